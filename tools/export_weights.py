r"""Turn a training checkpoint into weights to share: safetensors, without the optimizer, with a header that says what they are.

    python tools/export_weights.py output/mini/model_final.pth configs/mini/aeroseg.safetensors --half \
        --about "configuration=configs/mini/aeroseg.yaml" "data=procedural scenes"

Where the training kept a running average of its weights (SOLVER.EMA_DECAY), the average is what is exported. They load like any
other: MODEL.WEIGHTS, or --weights of the demo. Half precision is widened again when it is loaded.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import ovrs
from ovrs.errors import OutputError, OvrsError
from ovrs.modeling.checkpoints import read_state_dict, write_state_dict


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0, or 2 with a line on standard error."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", help="a checkpoint of train_net.py")
    parser.add_argument("target", help="the file to write, ending in .safetensors")
    parser.add_argument("--half", action="store_true", help="store floating-point weights in half precision")
    parser.add_argument("--about", nargs="*", default=[], metavar="KEY=VALUE", help="what goes into the header")
    args = parser.parse_args(arguments)
    try:
        if any("=" not in item for item in args.about):
            raise OutputError(f"--about takes KEY=VALUE, got {args.about}")
        state = read_state_dict(args.source)
        if args.half:
            state = {name: value.half() if value.is_floating_point() else value for name, value in state.items()}
        about = dict(item.split("=", 1) for item in args.about)
        write_state_dict(state, args.target, {"format": "ovrs", "version": ovrs.__version__, **about})
    except OvrsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{args.target}: {len(state)} tensors, {sum(value.numel() for value in state.values()):,} values")
    return 0


if __name__ == "__main__":
    sys.exit(main())
