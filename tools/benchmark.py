r"""What systems cost: time by stages beside what the machine can do at most, memory, parameters and operations.

    python tools/benchmark.py
    python tools/benchmark.py --config-file configs/baselines/{ovrs,catseg}_vitb16.yaml \
        --classes 5 17 60 150 847 --precision fp32 bf16 --plain --output output/benchmark
    python tools/benchmark.py --config-file configs/baselines/catseg_vitb16.yaml --mode training text --batch 2 --plain
    python tools/benchmark.py --compare output/benchmark/benchmark.json

Every combination of what is given is measured: configuration, --mode, --size, --batch, --rotations, --classes, --precision. One
pass is one over square images, its words embedded already. Each setting runs in a process of its own, so that its memory is its
own; --at-once of them stand ready together and take turns, so that their ratios are paired: above all what is compared, other
systems, forms and precisions of the same images and words. So do a large product of matrices and a large copy, which are the
machine's ceilings. Compare ratios rather than seconds between computers. Values of weights change nothing, and are random.

The table, and benchmark.json and table.md in --output, say of each setting:

  seconds       median, fastest and slowest of the counted runs; in the JSON also of every stage
  to plain      in multiples of its plain form in single precision: what the peers' public code computes (--plain). Ratios are
                taken round by round, here and below
  to the first  of the first one with the same images and words; to its encoders: of its image and guidance encoders together
  head a class  what is left of the time after the encoders, for each class
  ceiling       share of the product of matrices in the same precision: 2 multiply-adds / seconds / what that product did;
                in the JSON also of every stage, and the share of the copy: bytes that operators read and write, by themselves
  text, once    seconds to embed the vocabulary for the first time
  files         seconds to read an image of that size and to write its maps with that many classes
  peak memory   of the process, libraries and model included (on a GPU: what PyTorch held there)
  parameters    all, those of the text tower, and those that learn
  GFLOPs        1e9 multiply-adds of the pass as fvcore counts them, text not included: a multiplication and an addition
                together are one, as in most papers; PyTorch's own counter says twice as much. In the JSON: uncounted operators,
                and the share of matrix products missed among them

time_and_memory.png shows both against the number of classes.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ovrs.errors import OvrsError
from ovrs.files import written_whole

# What measures imports PyTorch, for which nobody who asks for help shall wait.
if TYPE_CHECKING:
    from ovrs.benchmark.settings import Setting

MODES = ("inference", "training", "text")
# One of every system, at the size that runs anywhere.
DEFAULTS = [f"configs/mini/{name}.yaml" for name in ("aeroseg", "rs_zeroseg", "metasegnet", "tsmnet", "mafn")]
# Share of the products above which a count is called incomplete.
_NOTABLE = 0.01


def parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    several: dict[str, Any] = {"nargs": "+", "type": int, "metavar": "N"}
    parser.add_argument("--config-file", nargs="+", default=DEFAULTS, metavar="FILE", help="default: the mini systems")
    parser.add_argument("--mode", nargs="+", default=["inference"], choices=MODES, help="a pass (default), a step, or words")
    parser.add_argument("--size", **several, default=[384], help="side of the images in pixels; default: 384")
    parser.add_argument("--batch", **several, default=[1], help="images at a time; default: 1")
    parser.add_argument("--rotations", **several, default=[None], help="quarter turns of the ensemble; default: as configured")
    parser.add_argument("--classes", **several, default=[17], help="default: 17")
    parser.add_argument("--precision", nargs="+", default=["fp32"], choices=["fp32", "bf16", "fp16"], help="default: fp32")
    parser.add_argument("--plain", action="store_true", help="measure AerOSeg, OVRS and CAT-Seg in their plain form, too")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0 leaves PyTorch's choice")
    parser.add_argument("--runs", type=int, default=3, help="counted runs after one that warms up; 0 times nothing")
    parser.add_argument(
        "--at-once", type=int, default=6, metavar="N", help="models in memory at a time, at most, each 1 to 5 GiB; default: 6"
    )
    parser.add_argument("--output", type=Path, metavar="DIR", help="folder of benchmark.json, table.md and the picture")
    parser.add_argument(
        "--compare", type=Path, metavar="FILE", help="benchmark.json of an earlier run; prints ratios, new to old"
    )
    parser.add_argument("--json", action="store_true", help="print a line of JSON for each setting instead of tables")
    parser.add_argument("--opts", nargs=argparse.REMAINDER, default=[], help="KEY VALUE pairs that override the configuration")
    return parser


def settings_of(args: argparse.Namespace) -> list[Setting]:
    """What the command line asks for.

    Raises:
        ConfigError: some of it cannot be measured.
    """
    from ovrs.benchmark.settings import product

    return product(
        args.config_file,
        sizes=args.size,
        classes=args.classes,
        batches=args.batch,
        rotations=args.rotations,
        precisions=args.precision,
        modes=args.mode,
        plain=args.plain,
        threads=args.threads,
        options=args.opts,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0, or 2 with a line on standard error."""
    args = parser().parse_args(arguments)
    from ovrs.benchmark import processes
    from ovrs.benchmark.picture import draw
    from ovrs.benchmark.report import key, machine, read, report, write
    from ovrs.benchmark.settings import groups
    from ovrs.benchmark.tables import compared, describe, tables

    command = shlex.join(["python", "tools/benchmark.py", *(sys.argv[1:] if arguments is None else arguments)])
    try:
        old = read(args.compare) if args.compare else None
        about, results = machine(), []
        for costs in processes.measure(groups(settings_of(args), args.at_once), args.runs):
            results += report(costs)
            if args.output:  # after every group: what takes long may be interrupted
                write(args.output / "benchmark.json", results, about, command)
        text = tables(results)
        if args.output:
            with written_whole(args.output / "table.md") as temporary:
                temporary.write_text(
                    f"    {command}\n\n{about['processor']}, {about['cores']} cores, {about['date']}\n\n{text}\n"
                )
            draw(args.output / "time_and_memory.png", results)
    except OvrsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for figures in results:
        if figures.get("missed", 0) > _NOTABLE:
            share = f"{figures['missed']:.0%} of its matrix products"
            print(f"warning: {describe(figures)}: GFLOPs lack {share}, see uncounted in the JSON", file=sys.stderr)
    print("\n".join(json.dumps(figures) for figures in results) if args.json else text)
    if old is not None:
        print(f"\n{compared({'results': results}, old, key)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
