"""Write a system with a fixed vocabulary as ONNX (.onnx) or as a torch.export program (.pt2), checked against PyTorch.

    python tools/export.py --config-file mini --vocab "ship, bridge, water" --output output/harbour.onnx

In: image, uint8 [B, 3, H, W], RGB. Out: scores, float32 in 0..1 [B, N, h, w], four a patch (--full-size: H and W). A JSON file
of the same name says the classes, their colours, the sizes that are allowed and how closely it agrees. More in docs/export.md.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ovrs
from ovrs.errors import ConfigError, OutputError, OvrsError
from ovrs.vocabulary import Vocabulary

# Torch is imported after the arguments have been read, so that help and mistakes answer at once.
if TYPE_CHECKING:
    from ovrs.inference.fixed_vocabulary import FixedVocabulary
    from ovrs.modeling.vision_language_model import VisionLanguageModel


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0, or 2 with a line on standard error."""
    args = parser().parse_args(arguments)
    from ovrs.inference.exporting import SUFFIXES, trace, write
    from ovrs.inference.fixed_vocabulary import FixedVocabulary

    try:
        path = Path(args.output)
        if path.suffix not in SUFFIXES:
            raise OutputError(f"{path}: exports end in {' or '.join(SUFFIXES)}")
        model, about = build(args)
        vocabulary = Vocabulary.read(args.vocab) if Path(args.vocab).is_file() else Vocabulary.parse(args.vocab)
        module = FixedVocabulary(model, vocabulary, full_size=args.full_size)
        side = model.fixed_size or model.inference.tile
        exported = trace(module, tuple(args.size or (side, side)), batch=args.batch, open_sizes=not args.fixed_size)
        write(exported, module, path, {**about, **describe(module, args.gsd)})
    except OvrsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    sizes = f"fixed at {exported.size[0]} x {exported.size[1]}: {exported.fixed}"
    if not exported.fixed:
        sizes = f"open: multiples of {module.multiple()} pixels from {module.smallest()} on"
    megabytes = sum(file.stat().st_size for file in path.parent.glob(f"{path.name}*")) / 1e6
    print(f"{path}: {megabytes:.1f} MB; {path.stem}.json beside it")
    print(f"height and width are {sizes}; batch fixed at {args.batch}")
    for (height, width), error in exported.error.items():
        print(f"{height} x {width}: differs from PyTorch by {error:.1e} of the spread of its scores")
    eager, written = exported.seconds
    print(f"a pass on this CPU: {written:.3f} s, in PyTorch {eager:.3f} s ({written / eager:.2f} times)")
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config-file", default="mini", help="configuration, by path or bare name")
    parser.add_argument("--weights", help="weights (default: MODEL.WEIGHTS); 'random' tries the path without any")
    parser.add_argument("--vocab", required=True, help="words (see docs/words.md), or a vocabulary file")
    parser.add_argument("--output", required=True, help="the file to write, .onnx or .pt2")
    parser.add_argument("--size", type=int, nargs=2, metavar=("H", "W"), help="of the example (default: TEST.TILE)")
    parser.add_argument("--fixed-size", action="store_true", help="do not leave height and width open")
    parser.add_argument("--full-size", action="store_true", help="scores at the image's size")
    parser.add_argument("--batch", type=int, default=1, help="images a pass (default: 1)")
    parser.add_argument("--gsd", type=float, help="metres a pixel of the images it is meant for; noted in the description")
    parser.add_argument("opts", nargs=argparse.REMAINDER, metavar="KEY VALUE", help="overrides of configuration keys")
    return parser


def build(args: argparse.Namespace) -> tuple[VisionLanguageModel, dict[str, Any]]:
    """The model on the CPU in single precision, and where it comes from."""
    if args.batch < 1 or (args.size and min(args.size) < 1):
        raise ConfigError("--batch and --size take numbers from 1 on")
    from ovrs.config import load_config
    from ovrs.inference.named_weights import RANDOM_WEIGHTS, find_weights
    from ovrs.modeling.checkpoints import load_weights
    from ovrs.modeling.registry import build_model
    from ovrs.modeling.vision_language_model import VisionLanguageModel

    cfg = load_config(args.config_file, [*args.opts, "MODEL.DEVICE", "cpu", "MODEL.PRECISION", "fp32", "DATASETS.TRAIN", "()"])
    weights = find_weights(cfg.MODEL.WEIGHTS if args.weights is None else args.weights)
    model = build_model(cfg).eval()
    if not isinstance(model, VisionLanguageModel):
        raise ConfigError(f"{cfg.MODEL.META_ARCHITECTURE} has no image path for a fixed vocabulary that can be exported")
    if weights != RANDOM_WEIGHTS:
        load_weights(model, weights)
    about = {
        "format": "ovrs export",
        "version": ovrs.__version__,
        "system": cfg.MODEL.META_ARCHITECTURE,
        "configuration": args.config_file,
        "weights": Path(weights).name,
    }
    return model, about


def describe(module: FixedVocabulary, gsd: float | None) -> dict[str, Any]:
    """What a user of the file must know of its input, output and classes."""
    system, vocabulary = module.system, module.vocabulary
    scores = "as the image" if module.full_size else f"{system.scores_per_patch} a patch of {system.size_divisor} pixels"
    if system.fixed_size and not module.full_size:
        scores += f" of the image squeezed to {system.fixed_size} x {system.fixed_size}"
    normalization = system.vision_normalization
    classes = [
        {"value": value, "name": name, "color": [int(channel) for channel in color]}
        for value, (name, color) in enumerate(zip(vocabulary.names, vocabulary.palette, strict=True))
    ]
    for entry, cls in zip(classes, vocabulary.classes, strict=False):
        entry.update(words=list(cls.words), **({} if cls.threshold is None else {"threshold": cls.threshold}))
    if system.reads_class_descriptions:  # they are in the graph
        for entry, said in zip(classes, vocabulary.class_descriptions, strict=False):
            entry["said"] = said
    return {
        "input": {
            "name": "image",
            "type": "uint8",
            "axes": ["batch", "channel", "height", "width"],
            "channels": "red, green, blue",
            "normalization": "inside the graph",
            "mean": normalization.mean.flatten().tolist(),
            "std": normalization.std.flatten().tolist(),
            "metres_a_pixel": gsd,
        },
        "output": {
            "name": "scores",
            "type": "float32",
            "axes": ["batch", "class", "height", "width"],
            "range": [0, 1],
            "size": scores,
            "label": "the class of the highest score",
        },
        "classes": classes,
        "background": vocabulary.background.policy,
    }


if __name__ == "__main__":
    sys.exit(main())
