r"""What leaving out work costs in a data set's figures, and saves in time: the presets of --quality, or keys of your own.

    python tools/benchmark_quality.py --config-file mini --data scenes_val --images 20
    python tools/benchmark_quality.py --config-file configs/mini/isaid/aeroseg.yaml --weights model_final.pth \
        --compare best balanced fast "TEST.ROTATIONS [0]" "TEST.ROTATIONS [0] TEST.OVERLAP 0.0"

Every image is segmented in all settings by turns, as the demo does it, so that their times can be compared image by image: what
slows the computer slows all of them. A setting is a preset or KEY VALUE pairs in quotes, and the others are compared with the
first. Nothing is trained or tuned here.

  s-, u-, h-mIoU  of the seen and the unseen classes, and their harmonic mean, in percent; without such parts only mIoU
  same            share of the labelled pixels that are given the same class as by the first setting, right or wrong
  time            of the first setting's, median over the images, and the middle half of them
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

from ovrs.errors import OvrsError
from ovrs.inference.quality import QUALITIES


def parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config-file", default="mini", metavar="FILE")
    parser.add_argument("--weights", metavar="FILE", help="default: MODEL.WEIGHTS of the configuration")
    parser.add_argument("--data", metavar="NAME", help="with labels (default: the first of DATASETS.TEST)")
    parser.add_argument(
        "--compare", nargs="+", default=list(reversed(QUALITIES)), metavar="SETTING", help="default: %(default)s"
    )
    parser.add_argument("--images", type=int, default=0, help="so many, spread evenly over the data set; 0 = all")
    parser.add_argument("--others", nargs="+", default=[], metavar="PRESET", help="ready vocabularies, whose words compete too")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0 leaves PyTorch's choice")
    parser.add_argument("--markdown", action="store_true", help="print a table instead of JSON")
    parser.add_argument("--opts", nargs=argparse.REMAINDER, default=[], help="KEY VALUE pairs for all settings; must come last")
    return parser


def table(reports: Sequence[dict[str, Any]]) -> str:
    """The figures as a table in Markdown."""
    means = [name for name in reports[0] if name.endswith("mIoU")]
    header = ["setting", *means, "same", "time", "middle half"]
    lines = [header, ["---", *["---:"] * (len(header) - 1)]]
    for figures in reports:
        low, high = figures["time_middle_half"]
        values = [f"{figures[name]:.1f}" for name in means]
        lines.append(
            [figures["setting"], *values, f"{figures['same']:.1f} %", f"{figures['time']:.2f}", f"{low:.2f} to {high:.2f}"]
        )
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0, or 2 with a line on standard error."""
    args = parser().parse_args(arguments)
    # Torch is imported after the arguments have been read, so that help answers at once.
    import torch

    from ovrs.benchmark.quality import measure

    if args.threads:
        torch.set_num_threads(args.threads)
    chosen = {"data": args.data, "images": args.images, "others": args.others, "options": args.opts}
    try:
        reports = measure(args.config_file, args.weights, args.compare, **chosen)
    except OvrsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(table(reports) if args.markdown else "\n".join(json.dumps(figures) for figures in reports))
    return 0


if __name__ == "__main__":
    sys.exit(main())
