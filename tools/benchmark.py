"""Time a system on one image, stage by stage, and its memory.

    python tools/benchmark.py --config-file configs/aeroseg/aeroseg_vitb16_saml.yaml --size 384 --classes 17 --precision bf16

Weights are random: they do not change what an operation costs. Times are medians over warm runs, text features cached; the head
is what is left of the whole after both encoders. Peak memory is the process's, model included. Compare ratios within one run
rather than seconds between machines.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence

import torch
from detectron2.modeling import build_model
from torch import Tensor, nn

import ovrs.modeling.systems  # noqa: F401 - registers them with Detectron2
from ovrs.config import load_config
from ovrs.errors import OvrsError
from ovrs.vocabulary import Vocabulary


@contextlib.contextmanager
def timed(module: object, method: str, seconds: list[float]) -> Iterator[None]:
    """Add up how long ``module.method`` takes while the context lasts; each entry is one call."""
    original: Callable[..., object] = getattr(module, method)

    def measured(*args: object, **kwargs: object) -> object:
        start = time.perf_counter()
        result = original(*args, **kwargs)
        seconds.append(time.perf_counter() - start)
        return result

    setattr(module, method, measured)
    try:
        yield
    finally:
        delattr(module, method)


def peak_gib() -> float:
    """The process's peak resident memory."""
    unit = 1 if platform.system() == "Darwin" else 1024  # bytes there, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30


def measure(model: nn.Module, image: Tensor, vocabulary: Vocabulary, runs: int) -> dict[str, float]:
    """Medians in seconds of the whole forward pass and its parts."""
    text_start = time.perf_counter()
    with torch.no_grad(), model.autocast():
        model.text_features(vocabulary.rows)
    text = time.perf_counter() - text_start
    stages: dict[str, list[float]] = {"vision_language": [], "guidance_encoder": []}
    whole: list[float] = []
    with torch.no_grad(), contextlib.ExitStack() as stack:
        stack.enter_context(timed(model.vision_language, "image", stages["vision_language"]))
        if getattr(model, "guidance_encoder", None) is not None:
            stack.enter_context(timed(model.guidance_encoder, "forward", stages["guidance_encoder"]))
        for _ in range(runs + 1):
            start = time.perf_counter()
            model.scores(image, vocabulary)
            whole.append(time.perf_counter() - start)
    result = {name: statistics.median(values[1:]) for name, values in stages.items() if values}
    result["whole"] = statistics.median(whole[1:])
    result["head"] = result["whole"] - sum(value for name, value in result.items() if name != "whole")
    result["text_once"] = text
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0, or 2 with a line on standard error."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config-file", default="configs/aeroseg/aeroseg_vitb16_saml.yaml")
    parser.add_argument("--size", type=int, default=384, help="side of the image in pixels")
    parser.add_argument("--classes", type=int, default=17)
    parser.add_argument("--precision", default="fp32", choices=["fp32", "bf16", "fp16"])
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0 leaves PyTorch's choice")
    parser.add_argument("--runs", type=int, default=3, help="counted runs after one that warms up")
    parser.add_argument("--opts", nargs=argparse.REMAINDER, default=[], help="KEY VALUE pairs that override the configuration")
    args = parser.parse_args(arguments)
    logging.disable(logging.WARNING)
    if args.threads:
        torch.set_num_threads(args.threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    options = ["MODEL.DEVICE", device, "MODEL.PRECISION", args.precision, "DATASETS.TRAIN", "()", *args.opts]
    try:
        model = build_model(load_config(args.config_file, options)).eval()
    except OvrsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    vocabulary = Vocabulary.from_names(f"thing {number}" for number in range(args.classes))
    figures = measure(model, torch.rand(1, 3, args.size, args.size) * 255, vocabulary, args.runs)
    report = {name: round(value, 4) for name, value in figures.items()}
    report |= {"head_share": round(figures["head"] / figures["whole"], 3), "peak_gib": round(peak_gib(), 2)}
    asked = {"config": args.config_file, "size": args.size, "classes": args.classes, "precision": args.precision}
    print(json.dumps(asked | report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
