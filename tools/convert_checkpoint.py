r"""Convert checkpoints between the layouts of the published CAT-Seg and OVRS and this code base's, in both directions.

    python tools/convert_checkpoint.py model_final.pth catseg.safetensors --layout catseg --check
    python tools/convert_checkpoint.py catseg/ViT-B-16 catseg.safetensors --layout catseg
    python tools/convert_checkpoint.py output/model_final.pth theirs.pth --to catseg --check
    python tools/convert_checkpoint.py model_final.pth start.safetensors --layout catseg \
        --for-config configs/aeroseg/aeroseg_vitb16_saml.yaml --opts MODEL.GUIDANCE.WEIGHTS sam_vit_l_0b3195.pth

--layout reads a published file (a state dict, or Detectron2's with one under "model"; or .safetensors) and writes ours as
.safetensors: use it as MODEL.WEIGHTS of configs/baselines/catseg_vitb16.yaml and its neighbours. --to writes ours in a
published layout, as Detectron2 does. --check converts the result back and compares it with SOURCE bit for bit. --for-config
starts another system from a published file: it builds that system, puts in what fits, prints the rest, and writes all of it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import ovrs
from ovrs.errors import ConfigError, OutputError, OvrsError, WeightsError
from ovrs.files import written_whole
from ovrs.modeling.published.cache import weights_path

# Torch is imported after the arguments have been read, so that help and mistakes answer at once.
if TYPE_CHECKING:
    from torch import Tensor

LAYOUTS = ("catseg", "ovrs")  # of ovrs.modeling.layouts


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0, or 2 with a line on standard error."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", help="the checkpoint to read, by path or, once fetched, by name (catseg/ViT-B-16)")
    parser.add_argument("target", help="the file to write: .safetensors, or .pth with --to")
    way = parser.add_mutually_exclusive_group(required=True)
    way.add_argument("--layout", choices=LAYOUTS, help="whose layout SOURCE has; TARGET gets ours")
    way.add_argument("--to", choices=LAYOUTS, help="whose layout TARGET gets; SOURCE has ours")
    parser.add_argument("--check", action="store_true", help="convert back and compare bit for bit before writing")
    parser.add_argument("--for-config", metavar="FILE", help="write a start for this configuration's system instead")
    parser.add_argument("--seed", type=int, default=0, help="of what the source cannot give (default: 0)")
    parser.add_argument("--opts", nargs="+", default=[], metavar="KEY VALUE", help="overrides of FILE's configuration keys")
    args = parser.parse_args(arguments)
    from ovrs.modeling.weights_files import read_state_dict, write_state_dict

    try:
        if args.for_config and args.to:
            raise ConfigError("--for-config starts from a published file: give --layout, not --to")
        path = weights_path(args.source)
        source = read_state_dict(path)
        state = renamed(source, args, path)
        if args.check:
            print(check(source, state, args.layout, args.to))
        if args.for_config:
            state = start(state, args)
        elif args.layout:
            write_state_dict(state, args.target, {"format": "ovrs", "version": ovrs.__version__, "converted_from": args.layout})
        else:
            write_published(state, args.target)
    except OvrsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{args.target}: {len(state)} tensors, {sum(value.numel() for value in state.values()):,} values")
    return 0


def renamed(source: Mapping[str, Tensor], args: argparse.Namespace, path: Path) -> dict[str, Tensor]:
    """``source`` under the names of the other side.

    Raises:
        WeightsError: a name has no place there; names the file ``path``.
    """
    from ovrs.modeling.layouts import from_layout, to_layout

    try:
        return from_layout(source, args.layout) if args.layout else to_layout(source, args.to)
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error


def check(source: Mapping[str, Tensor], state: Mapping[str, Tensor], layout: str | None, to: str | None) -> str:
    """What the way back gives, in a line.

    Raises:
        WeightsError: it is not ``source``.
    """
    from ovrs.modeling.layouts import differences, from_layout, to_layout

    if layout:
        back = to_layout(state, layout)
    else:
        assert to is not None
        back = from_layout(state, to)
        source = {name: value for name, value in source.items() if not name.startswith("back_projection.")}
    # Older exports may lack the masks, which follow from the sizes.
    back = {name: value for name, value in back.items() if name in source or not name.endswith(".attn_mask")}
    wrong = differences(source, back)
    if wrong:
        raise WeightsError(f"there and back {len(wrong)} of {len(source)} tensors differ: {', '.join(wrong[:5])}")
    return f"there and back: {len(source)} tensors, {sum(v.numel() for v in source.values()):,} values, equal bit for bit"


def start(source: Mapping[str, Tensor], args: argparse.Namespace) -> dict[str, Tensor]:
    """Write a complete start of the configured system, and print what comes from where."""
    import torch

    from ovrs.config import load_config
    from ovrs.modeling.header import about_configuration
    from ovrs.modeling.initialisation import initialise
    from ovrs.modeling.registry import build_model
    from ovrs.modeling.weights_files import write_state_dict

    cfg = load_config(args.for_config, [*args.opts, "MODEL.DEVICE", "cpu", "MODEL.WEIGHTS", ""])
    torch.manual_seed(args.seed)
    result = initialise(build_model(cfg).state_dict(), source)
    print("\n".join(result.report()))
    print(f"{len(result.fits) + len(result.adapted)} of {len(result.state)} tensors come from {args.source}")
    origin = {"format": "ovrs", "start": f"{args.layout} checkpoint {args.source}; the rest as built with seed {args.seed}"}
    origin["origin"] = "\n".join(result.report())
    write_state_dict(result.state, args.target, {**about_configuration(cfg), **origin})
    return result.state


def write_published(state: Mapping[str, Tensor], path: str) -> None:
    """Write a file as Detectron2 does, under a temporary name first.

    Raises:
        OutputError: the name does not end in ``.pth``, or the file cannot be written.
    """
    if not path.endswith(".pth"):
        raise OutputError(f"{path}: the public code reads PyTorch files; let the name end in .pth")
    import torch

    with written_whole(path) as temporary:
        torch.save({"model": {name: value.detach().contiguous() for name, value in state.items()}}, temporary)


if __name__ == "__main__":
    sys.exit(main())
