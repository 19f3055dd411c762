"""The figures of tools/benchmark_throughput.py."""

from __future__ import annotations

import argparse
import contextlib
import itertools
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
from ovrs.errors import ConfigError
from ovrs.modeling.complexity import Work

_WARM = 3  # batches
_PROFILED = 5


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
