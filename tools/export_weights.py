r"""Turn a training checkpoint into weights to share: safetensors, without the optimizer, with a header that says what they are.

    python tools/export_weights.py output/mini/model_final.pth configs/mini/aeroseg.safetensors --half \
        --config-file configs/mini/mixed.yaml --scores output/mini/report.json --licence "research use"
    python tools/export_weights.py --show configs/mini/aeroseg.safetensors

With --config-file the header holds the configuration (architecture), the classes of DATASETS.TRAIN and which of them were
seen, the data sets and the versions of the packages; a system built from another configuration warns of what contradicts it.
Where the training kept a running average of its weights (SOLVER.EMA_DECAY), the average is what is exported. They load like any
other: MODEL.WEIGHTS, or --weights of the demo. Half precision is widened again when it is loaded.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import ovrs
from ovrs.errors import OutputError, OvrsError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0, or 2 with a line on standard error."""
    args = parser().parse_args(arguments)
    # Torch is imported after the arguments have been read, so that help and mistakes answer at once.
    from ovrs.modeling.blocks.pair_queue import queued
    from ovrs.modeling.weights_files import read_metadata, read_state_dict, write_state_dict

    try:
        if args.show:
            print(shown(read_metadata(args.show)))
            return 0
        if not args.target:
            raise OutputError("name the checkpoint and the file to write, or --show FILE")
        about = header(args)
        # The pairs that a training has met last are for going on with it.
        state = {name: value for name, value in read_state_dict(args.source).items() if not queued(name)}
        if args.half:
            state = {name: value.half() if value.is_floating_point() else value for name, value in state.items()}
        write_state_dict(state, args.target, about)
    except OvrsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{args.target}: {len(state)} tensors, {sum(value.numel() for value in state.values()):,} values")
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", nargs="?", help="a checkpoint of train_net.py")
    parser.add_argument("target", nargs="?", help="the file to write, ending in .safetensors")
    parser.add_argument("--half", action="store_true", help="store floating-point weights in half precision")
    parser.add_argument("--config-file", metavar="FILE", help="the configuration of the training, such as output/config.yaml")
    parser.add_argument("--scores", metavar="FILE", help="report.json of an evaluation: its figures go into the header")
    parser.add_argument("--licence", help="under which the weights may be used")
    parser.add_argument("--about", nargs="*", default=[], metavar="KEY=VALUE", help="what else goes into the header")
    parser.add_argument("--show", metavar="FILE", help="print the header of a .safetensors file")
    return parser


def header(args: argparse.Namespace) -> dict[str, str]:
    """The header that the arguments ask for.

    Raises:
        OutputError: ``--about`` is not KEY=VALUE, or ``--scores`` names no JSON file.
    """
    if any("=" not in item for item in args.about):
        raise OutputError(f"--about takes KEY=VALUE, got {args.about}")
    about = {"format": "ovrs", "version": ovrs.__version__}
    if args.config_file:
        from ovrs.config import load_config
        from ovrs.data.catalog import register_files, vocabulary_of
        from ovrs.modeling.header import about_classes, about_configuration

        cfg = load_config(args.config_file)
        register_files(cfg.DATASETS.FILES)
        about.update(about_configuration(cfg), configuration=args.config_file, data=", ".join(cfg.DATASETS.TRAIN))
        if cfg.DATASETS.TRAIN and cfg.DATASETS.TASK == "segmentation":  # sentences are of no classes
            about.update(about_classes(vocabulary_of(cfg.DATASETS.TRAIN[0])))
    if args.licence:
        about["licence"] = args.licence
    if args.scores:
        try:
            about["scores"] = json.dumps(json.loads(Path(args.scores).read_text("utf-8")))
        except (OSError, ValueError) as error:
            raise OutputError(f"{args.scores}: not readable as JSON: {error}") from error
    return {**about, **dict(item.split("=", 1) for item in args.about)}


def shown(about: dict[str, str]) -> str:
    """A header for people: a line a key, longer values below it."""
    if not about:
        return "no header"
    short_first = sorted(about, key=lambda key: (about[key].count("\n"), key))
    return "\n".join(f"{key}:{_indented(about[key])}" for key in short_first)


def _indented(value: str) -> str:
    lines = value.strip().splitlines()
    return f" {value.strip()}" if len(lines) < 2 else "".join(f"\n    {line}" for line in lines)


if __name__ == "__main__":
    sys.exit(main())
