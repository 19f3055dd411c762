"""Images a second of a system on a GPU, with reading, copying and computing overlapped, beside what the GPU can do at most.

    python tools/benchmark_throughput.py --check-synchronisation --profile output/throughput
    python tools/benchmark_throughput.py --compile --cuda-graphs --channels-last
    python tools/benchmark_throughput.py --config-file configs/mini/aeroseg.yaml --size 192 --batch 2 --batches 3 --workers 2

AerOSeg with ViT-B/16 and SAM ViT-L, 32 images of 384 x 384 at a time in bf16, unless asked otherwise; weights are random. The
last line tries the command on a CPU, without what is a GPU's own. A line of JSON:

  images_per_second      files read and decoded by processes, pinned, copied while the batch before is computed; maps copied
                         back while the next ones are
  without_reading        the same with one batch that is on the device already: what reading costs is the difference
  share_of_ceiling       of a large product of matrices in the same precision, measured before
  stages                 seconds a batch and share of the ceiling of each stage, by themselves (nothing overlaps, not compiled);
                         encoders: image and guidance encoder together
  peak_gpu_gib           what PyTorch held on the GPU

--check-synchronisation makes every operation an error that waits for the GPU in the loop; --profile writes a trace and a table
of operators. The first batches, in which a system makes what it keeps and is compiled, are not counted.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from ovrs.benchmark.ceilings import product_ceiling
from ovrs.benchmark.settings import Setting
from ovrs.benchmark.system import MeasuredSystem
from ovrs.benchmark.throughput import (
    Loop,
    as_graph,
    draw_images,
    no_synchronisation,
    profiled,
    reader,
    score_of,
    segment_all,
)
from ovrs.errors import ConfigError, OvrsError
from ovrs.modeling.complexity import Work

_WARM = 3  # batches
_PROFILED = 5


def parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config-file", default="configs/aeroseg/aeroseg_vitb16_saml.yaml", metavar="FILE")
    parser.add_argument("--size", type=int, default=384, help="side of the images in pixels; default: 384")
    parser.add_argument("--batch", type=int, default=32, help="images at a time; default: 32")
    parser.add_argument("--batches", type=int, default=50, help="default: 50")
    parser.add_argument("--classes", type=int, default=17, help="default: 17")
    parser.add_argument("--precision", default="bf16", choices=["fp32", "bf16", "fp16"], help="default: bf16")
    parser.add_argument("--workers", type=int, default=8, help="processes that read; default: 8")
    parser.add_argument("--images", nargs="+", type=Path, metavar="FILE", help="images of that size; drawn ones without")
    parser.add_argument("--folder", type=Path, default=Path("output/benchmark"), help="of drawn images; output/benchmark")
    parser.add_argument("--compile", nargs="?", const="default", metavar="MODE", help="torch.compile, in that mode if any")
    parser.add_argument("--cuda-graphs", action="store_true", help="replay the pass as one CUDA graph")
    parser.add_argument("--channels-last", action="store_true", help="weights and images with channels last in memory")
    parser.add_argument("--check-synchronisation", action="store_true", help="waiting for the GPU in the loop is an error")
    parser.add_argument("--profile", type=Path, metavar="DIR", help="write trace.json and profile.txt there")
    parser.add_argument("--opts", nargs=argparse.REMAINDER, default=[], help="KEY VALUE pairs that override the configuration")
    return parser


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """The figures, for JSON.

    Raises:
        OvrsError: the system cannot be built, or a GPU is asked for where there is none.
    """
    setting = Setting(args.config_file, args.size, args.classes, args.batch, precision=args.precision, options=tuple(args.opts))
    setting.check()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    for asked in ("cuda_graphs", "check_synchronisation"):
        if getattr(args, asked) and device.type != "cuda":
            raise ConfigError(f"no GPU is here; leave out --{asked.replace('_', '-')}")
    files = args.images or draw_images(args.folder, args.size)
    ceiling = product_ceiling(args.precision, device.type)
    system = MeasuredSystem(setting)
    model, images = system.model, system.images[:, :3].byte()
    turns, work = [system.run() for _ in range(_WARM)][1:], system.size().work
    if args.channels_last:
        model.to(memory_format=torch.channels_last)
    if args.compile:
        model.logits = torch.compile(model.logits, mode=args.compile)  # type: ignore[method-assign]
    score = score_of(model, system.vocabulary, channels_last=args.channels_last)
    if args.cuda_graphs:
        score = as_graph(score, images)
    segment_all(score, itertools.repeat(images.cpu(), _WARM), device, lambda maps: None)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()

    check = no_synchronisation() if args.check_synchronisation else contextlib.nullcontext()
    batches = reader(files, args.batches * args.batch, args.batch, args.workers, device)
    with tqdm(total=args.batches, unit="batch", disable=None) as bar, check:
        loop = segment_all(score, batches, device, lambda maps: bar.update())
    alone = segment_all(score, itertools.repeat(images, args.batches), device, lambda maps: None)
    if args.profile:
        with profiled(args.profile, device):
            segment_all(score, itertools.repeat(images, min(_PROFILED, args.batches)), device, lambda maps: None)
    return _figures(args, loop, alone, ceiling, turns, work)


def _figures(
    args: argparse.Namespace, loop: Loop, alone: Loop, ceiling: float, turns: list[dict[str, float]], work: Work
) -> dict[str, Any]:
    gpu = torch.cuda.is_available()
    operations = 2 * sum(work.products.values()) / args.batch  # an image
    fastest = {stage: min(turn[stage] for turn in turns) for stage in turns[0]}
    products = {stage: 2 * amount for stage, amount in work.products.items()}
    encoders = [stage for stage in ("image_encoder", "guidance") if stage in products]
    fastest["encoders"] = sum(fastest[stage] for stage in encoders)
    products["encoders"] = sum(products[stage] for stage in encoders)
    return {
        "config": args.config_file,
        "device": torch.cuda.get_device_name() if gpu else "cpu",
        **{name: getattr(args, name) for name in ("size", "batch", "classes", "precision", "workers")},
        **{name: getattr(args, name) for name in ("compile", "cuda_graphs", "channels_last")},
        "images_per_second": round(loop.per_second, 2),
        "without_reading": round(alone.per_second, 2),
        "ceiling_tflops": round(ceiling / 1e12, 3),
        "share_of_ceiling": round(loop.per_second * operations / ceiling, 3),
        "stages": {
            stage: {"seconds": round(seconds, 4), "share_of_ceiling": round(products[stage] / seconds / ceiling, 3)}
            for stage, seconds in fastest.items()
            if seconds and stage in products
        },
        "peak_gpu_gib": round(torch.cuda.max_memory_allocated() / 2**30, 2) if gpu else None,
        "synchronises": False if args.check_synchronisation else None,  # else there would be no figures
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0, or 2 with a line on standard error."""
    args = parser().parse_args(arguments)
    logging.disable(logging.WARNING)
    try:
        print(json.dumps(measure(args)))
    except OvrsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
