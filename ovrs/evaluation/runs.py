"""Reading the reports of run folders back: one report a run and data set."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from ovrs.errors import DataError


class ClassFigure(NamedTuple):
    """A figure of a class: its name in a run's summary, what land-cover papers call it in full, and its key in a report."""

    name: str
    title: str
    key: str


CLASS_FIGURES = (
    ClassFigure("UA", "user's accuracy", "precision"),
    ClassFigure("PA", "producer's accuracy", "recall"),
    ClassFigure("F1", "F1", "f1"),
    ClassFigure("IoU", "IoU", "iou"),
)


@dataclass(frozen=True)
class Run:
    """One report: the run's ``folder``, its data set, figures by name (NaN where undefined), and its calibration curve.

    Figures of a class go by ``IoU-<class>``, ``UA-`` (user's accuracy), ``PA-`` (producer's) and ``F1-<class>``.
    """

    folder: Path
    dataset: str
    summary: dict[str, float]
    curve: tuple[dict[str, float], ...]

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.resolve().name


def read_runs(folders: Iterable[str | Path], dataset: str | None = None) -> list[Run]:
    """All reports of run folders (``inference/<data set>/report.json`` in each), in the order given.

    Args:
        dataset: only reports of this data set; a folder without one is an error.

    Raises:
        DataError: a folder holds no (such) report, or a file is no report.
    """
    return [run for folder in folders for run in _runs_of(Path(folder), dataset)]


def _runs_of(folder: Path, dataset: str | None) -> list[Run]:
    pattern = f"inference/{dataset or '*'}/report.json"
    paths = sorted(folder.glob(pattern))
    if not paths:
        raise DataError(
            f"{folder}: no {pattern}; evaluate the run first: train_net.py --eval-only --resume OUTPUT_DIR {folder}"
        )
    return [_read(folder, path) for path in paths]


def _read(folder: Path, path: Path) -> Run:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        curve = tuple(_figures(row) for row in content.get("calibration_curve", []))
        summary = _figures(content["summary"]) | _figures(_of_classes(content.get("classes", [])))
        return Run(folder, content.get("dataset", path.parent.name), summary, curve)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path}: not a report of an evaluation ({type(error).__name__}: {error}); evaluate the run again"
        ) from error


def _of_classes(scores: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """The figures of report.json's ``classes`` by name; a report from before one of them does without it."""
    return {f"{each.name}-{of['name']}": of[each.key] for of in scores for each in CLASS_FIGURES if each.key in of}


def _figures(figures: dict[str, Any]) -> dict[str, float]:
    return {name: math.nan if value is None else float(value) for name, value in figures.items()}
