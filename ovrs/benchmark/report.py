"""The figures of a run as JSON, which a later run can be compared with."""

from __future__ import annotations

import dataclasses
import datetime
import json
import os
import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

import ovrs
from ovrs.benchmark.processes import Cost
from ovrs.benchmark.settings import Setting
from ovrs.errors import InputError
from ovrs.files import written_whole
from ovrs.modeling.complexity import Operations
from ovrs.modeling.stages import ENCODERS

FORMAT = 1
Figures = dict[str, Any]


def machine() -> Figures:
    """What the figures depend on beside the code."""
    versions = {"ovrs": getattr(ovrs, "__version__", ""), "python": platform.python_version()}
    for name in ("torch", "numpy", "open_clip_torch", "segment-anything", "timm", "detectron2"):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "system": platform.platform(),
        "versions": versions,
    }


def _processor() -> str:
    table = Path("/proc/cpuinfo")
    lines = table.read_text().splitlines() if table.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def report(costs: Sequence[Cost]) -> list[Figures]:
    """The figures of a group, whose settings took turns."""
    plain = {cost.setting: cost for cost in costs if cost.setting.form == "plain"}
    first: dict[Setting, Cost] = {}
    for cost in costs:
        first.setdefault(cost.setting.cell, cost)
    return [_figures(cost, plain.get(cost.setting.reference), first[cost.setting.cell]) for cost in costs]


def _figures(cost: Cost, plain: Cost | None, first: Cost) -> Figures:
    """Of one setting; its time also as multiples of its plain form's, and of the first one's of the same cell."""
    size, work, setting = cost.size, cost.size.work, cost.setting
    figures: Figures = {"setting": dataclasses.asdict(setting)}
    if cost.rounds:
        figures |= {
            "seconds": {stage: spread(turn[stage] for turn in cost.rounds) for stage in cost.rounds[0]},
            "to_plain": None if plain is None else _ratio(cost, plain),
            "to_first": _ratio(cost, first),
            "to_encoders": _to_encoders(cost),
            "head_a_class": _head_a_class(cost),
            "text_once": size.text_once,
            "files": median(turn.files[setting.size, setting.classes] for turn in cost.ceilings),
            "share_of_products": _shares(cost, work.products, lambda at: at.products[setting.precision] / 2),
            "share_of_copy": _shares(cost, work.moved, lambda at: at.copy),
            "ceilings": {
                "flops": spread(turn.products[setting.precision] for turn in cost.ceilings),
                "copy": spread(turn.copy for turn in cost.ceilings),
            },
        }
    parameters = size.parameters
    figures["parameters"] = {
        "all": parameters.every,
        "trained": parameters.trained,
        "text": parameters.text,
        "text_trained": parameters.text_trained,
    }
    figures |= {"peak_gib": size.peak_gib, "peak_gpu_gib": size.peak_gpu_gib, "products": work.products, "moved": work.moved}
    if isinstance(work, Operations):
        figures |= {"operations": work.whole, "uncounted": work.uncounted, "missed": work.missed}
    return figures


def spread(values: Iterable[float]) -> dict[str, float]:
    """Median, least and most."""
    listed = list(values)
    return {"median": median(listed), "least": min(listed), "most": max(listed)}


def head(seconds: Mapping[str, float]) -> float:
    """What is left of a run after its encoders."""
    return seconds["whole"] - encoders(seconds)


def encoders(seconds: Mapping[str, float]) -> float:
    """What a run spends before any class is looked at."""
    return sum(seconds.get(stage, 0.0) for stage in ENCODERS)


def _ratio(cost: Cost, other: Cost) -> dict[str, float]:
    """Round by round."""
    return spread(own["whole"] / turn["whole"] for own, turn in zip(cost.rounds, other.rounds, strict=True))


def _head_a_class(cost: Cost) -> float | None:
    """Seconds of a pass behind the encoders, for each class."""
    return median(map(head, cost.rounds)) / cost.setting.classes if cost.setting.mode == "inference" else None


def _to_encoders(cost: Cost) -> dict[str, float] | None:
    """The whole as multiples of the encoders alone."""
    alone = [encoders(turn) for turn in cost.rounds]
    if cost.setting.mode != "inference" or not all(alone):
        return None
    return spread(turn["whole"] / part for turn, part in zip(cost.rounds, alone, strict=True))


def _shares(cost: Cost, asked: Mapping[str, int], ceiling: Callable[[Any], float]) -> dict[str, float]:
    """What the machine did of what it can do at most, of each stage that takes time, round by round."""
    amounts = {"whole": sum(asked.values()), **asked}
    return {
        stage: median(amount / turn[stage] / ceiling(at) for turn, at in zip(cost.rounds, cost.ceilings, strict=True))
        for stage, amount in amounts.items()
        if all(turn.get(stage) for turn in cost.rounds)
    }


def key(figures: Figures) -> tuple[Any, ...]:
    """What makes two figures those of the same thing."""
    setting = figures["setting"]
    return tuple(
        tuple(value) if isinstance(value := setting.get(field.name), list) else value for field in dataclasses.fields(Setting)
    )


def write(path: Path, results: Sequence[Figures], about: Figures, command: str) -> None:
    """Write the figures, rounded to six digits.

    Raises:
        OutputError: the file cannot be written.
    """
    answer = {"format": FORMAT, "command": command, "machine": about, "results": [_rounded(each) for each in results]}
    with written_whole(path) as temporary:
        temporary.write_text(json.dumps(answer, indent=1) + "\n")


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(part) for name, part in value.items()}
    if isinstance(value, float | np.floating):
        return float(f"{value:.6g}")
    return value


def read(path: Path) -> Figures:
    """The figures of an earlier run.

    Raises:
        InputError: the file is missing, or not what :func:`write` wrote.
    """
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: no figures of a benchmark: {error}") from error
    if not isinstance(found, dict) or found.get("format") != FORMAT or not isinstance(found.get("results"), list):
        raise InputError(f"{path}: no figures of a benchmark, or of another version; measure them again with --output")
    return found
