"""Convert a published CAT-Seg or OVRS checkpoint into this code base's layout.

    python tools/convert_checkpoint.py SOURCE TARGET --layout catseg|ovrs

SOURCE is a .pth (a state dict, or Detectron2's with one under "model") or .safetensors; TARGET is written as .safetensors.
Train or evaluate with it through configs/baselines/catseg_vitb16.yaml (or ovrs_vitb16.yaml) and MODEL.WEIGHTS TARGET.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from ovrs.errors import OvrsError
from ovrs.modeling.checkpoints import read_state_dict, write_state_dict
from ovrs.modeling.layouts import LAYOUTS, from_layout


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0, or 2 with a line on standard error."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", help="the published checkpoint")
    parser.add_argument("target", help="the file to write, ending in .safetensors")
    parser.add_argument("--layout", required=True, choices=sorted(LAYOUTS), help="whose layout SOURCE has")
    args = parser.parse_args(arguments)
    try:
        state = from_layout(read_state_dict(args.source), args.layout)
        write_state_dict(state, args.target, {"format": "ovrs", "converted_from": args.layout})
    except OvrsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{args.target}: {len(state)} tensors, {sum(value.numel() for value in state.values()):,} values")
    return 0


if __name__ == "__main__":
    sys.exit(main())
