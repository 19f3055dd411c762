"""From a confusion matrix to the figures of the open-vocabulary protocol, and the files that hold them.

All figures are percentages. Means run over the classes that occur in the ground truth (``mIoU``, as Detectron2 computes it
today). ``mIoU-0.6`` is the mean of Detectron2 0.6, which also divides by classes that were only predicted, each counting 0; it
is lower or equal. ``s-mIoU`` and ``u-mIoU`` are means over the seen and the unseen classes, all of which compete for every
pixel, and ``h-mIoU`` is the harmonic mean of these two.
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ovrs.files import written_whole
from ovrs.vocabulary import Vocabulary

CONVENTION = "means over the classes that occur in the ground truth; mIoU-0.6 also counts those only predicted, as 0"


@dataclass(frozen=True)
class ClassScore:
    """Figures of one class in percent, NaN where it does not occur in the ground truth; ``pixels`` it has there."""

    name: str
    seen: bool
    iou: float
    accuracy: float
    precision: float
    pixels: int


@dataclass(frozen=True)
class SegmentationReport:
    """Figures of one evaluation: of each class, and their summary by name (``mIoU``, ``s-mIoU``, ...)."""

    classes: tuple[ClassScore, ...]
    summary: dict[str, float]

    def detectron2_results(self) -> OrderedDict[str, dict[str, float]]:
        """The nested form in which Detectron2 logs, prints and verifies results."""
        figures = dict(self.summary)
        figures.update({f"IoU-{score.name}": score.iou for score in self.classes})
        figures.update({f"ACC-{score.name}": score.accuracy for score in self.classes})
        return OrderedDict(sem_seg=figures)

    def table(self) -> str:
        """A line a class and the summary, for a terminal."""
        width = max(len("class"), *(len(score.name) for score in self.classes))
        lines = [f"{'class':<{width}}  {'':6}  {'IoU':>6}  {'acc.':>6}  {'prec.':>6}  {'pixels':>12}"]
        for score in self.classes:
            figures = "  ".join(_figure(value) for value in (score.iou, score.accuracy, score.precision))
            lines.append(f"{score.name:<{width}}  {'seen' if score.seen else 'unseen':6}  {figures}  {score.pixels:>12,}")
        lines.append("  ".join(f"{name} {value:.2f}" for name, value in self.summary.items()))
        return "\n".join(lines)


def build_report(counts: NDArray[np.int64], vocabulary: Vocabulary) -> SegmentationReport:
    """The report of pixel counts [N, N + 1] (see :class:`~ovrs.evaluation.confusion.ConfusionMatrix`)."""
    hits = np.diagonal(counts).astype(np.float64)
    truth = counts.sum(axis=1).astype(np.float64)
    predicted = counts[:, :-1].sum(axis=0).astype(np.float64)
    present = truth > 0
    iou = _percent(hits, truth + predicted - hits, present)
    accuracy = _percent(hits, truth, present)
    precision = _percent(hits, predicted, predicted > 0)
    seen = np.array([cls.seen for cls in vocabulary.classes])
    summary = {
        "mIoU": _mean(iou),
        "fwIoU": float(np.nansum(iou * truth) / truth.sum()) if truth.sum() else math.nan,
        "mACC": _mean(accuracy),
        "pACC": float(100 * hits.sum() / truth.sum()) if truth.sum() else math.nan,
        "mIoU-0.6": _ratio(float(np.nansum(iou)), int((present | (predicted > 0)).sum())),
    }
    if not seen.all():
        seen_mean, unseen_mean = _mean(iou[seen]), _mean(iou[~seen])
        summary.update({"s-mIoU": seen_mean, "u-mIoU": unseen_mean, "h-mIoU": harmonic_mean(seen_mean, unseen_mean)})
    scores = zip(vocabulary.classes, iou, accuracy, precision, truth, strict=True)
    classes = tuple(ClassScore(cls.name, cls.seen, float(i), float(a), float(p), int(n)) for cls, i, a, p, n in scores)
    return SegmentationReport(classes, summary)


def harmonic_mean(first: float, second: float) -> float:
    """2ab / (a + b), 0 where both are 0; NaN where one of them is."""
    return 0.0 if first + second == 0 else 2 * first * second / (first + second)


def write_report(report: SegmentationReport, counts: NDArray[np.int64], folder: str | os.PathLike[str]) -> tuple[Path, Path]:
    """Write ``report.json`` (summary, classes, confusion matrix) and ``classes.csv``; returns their paths.

    Raises:
        OutputError: the folder or a file cannot be written.
    """
    folder = Path(folder)
    content = {
        "convention": CONVENTION,
        "summary": {name: _json_number(value) for name, value in report.summary.items()},
        "classes": [{name: _json_number(value) for name, value in vars(score).items()} for score in report.classes],
        "confusion": counts.tolist(),
    }
    rows = io.StringIO()
    writer = csv.writer(rows, lineterminator="\n")
    writer.writerow(["class", "split", "iou", "accuracy", "precision", "pixels"])
    for score in report.classes:
        figures = ["" if math.isnan(value) else f"{value:.4f}" for value in (score.iou, score.accuracy, score.precision)]
        writer.writerow([score.name, "seen" if score.seen else "unseen", *figures, score.pixels])
    paths = folder / "report.json", folder / "classes.csv"
    _write_text(paths[0], json.dumps(content, indent=1, allow_nan=False) + "\n")
    _write_text(paths[1], rows.getvalue())
    return paths


def _write_text(path: Path, text: str) -> None:
    with written_whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _percent(part: NDArray[np.float64], whole: NDArray[np.float64], where: NDArray[np.bool_]) -> NDArray[np.float64]:
    return np.divide(100 * part, whole, out=np.full_like(part, np.nan), where=where)


def _mean(values: NDArray[np.float64]) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else math.nan


def _ratio(total: float, count: int) -> float:
    return total / count if count else math.nan


def _json_number(value: float | str | bool) -> float | str | bool | None:
    return None if isinstance(value, float) and math.isnan(value) else value


def _figure(value: float) -> str:
    return f"{'-':>6}" if math.isnan(value) else f"{value:6.2f}"
