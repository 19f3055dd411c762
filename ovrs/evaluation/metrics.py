"""Measures of a confusion matrix [N, N + 1] (row = truth, last column = none of the classes); docs/evaluation.md defines each.

All are percentages, NaN where undefined.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

# Which classes a mean IoU runs over: those that occur in the truth (Detectron2 today), or those that occur in the truth or in
# the prediction, where one that was only predicted counts 0 (Detectron2 0.6).
MeanOver = Literal["present", "union"]


@dataclass(frozen=True)
class ClassMeasures:
    """Per class [N]: ``truth`` and ``predicted`` pixels, and measures that are NaN where a class is absent from the truth.

    ``precision`` (user's accuracy) is NaN where a class was never predicted; ``recall`` is the producer's accuracy.
    """

    truth: Counts
    predicted: Counts
    iou: Floats
    precision: Floats
    recall: Floats
    f1: Floats


def measure_classes(counts: Counts) -> ClassMeasures:
    """IoU, precision, recall and F1 of every class."""
    hits, truth, predicted = np.diagonal(counts), counts.sum(axis=1), counts[:, :-1].sum(axis=0)
    present = truth > 0
    return ClassMeasures(
        truth=truth,
        predicted=predicted,
        iou=percent(hits, truth + predicted - hits, present),
        precision=percent(hits, predicted, present & (predicted > 0)),
        recall=percent(hits, truth, present),
        f1=percent(2 * hits, truth + predicted, present),
    )


def mean_iou(counts: Counts, over: MeanOver, members: Mask | None = None) -> float:
    """Mean IoU of the classes in ``members`` [N] (all of them where None), taken over those that ``over`` says."""
    measures = measure_classes(counts)
    counted = measures.truth > 0
    if over == "union":
        counted = counted | (measures.predicted > 0)
    if members is not None:
        counted = counted & members
    return mean(np.nan_to_num(measures.iou)[counted])


def pixel_accuracy(counts: Counts, members: Mask | None = None) -> float:
    """Share of the pixels of true classes in ``members`` [N] (all where None) whose prediction is right: overall accuracy.

    A pixel of a member that is predicted as another class is wrong, whichever that is.
    """
    hits, truth = np.diagonal(counts), counts.sum(axis=1)
    if members is not None:
        hits, truth = hits[members], truth[members]
    total = int(truth.sum())
    return 100 * int(hits.sum()) / total if total else math.nan


def split_means(
    counts: Counts, first: Mask, over: MeanOver, names: tuple[str, str, str] = ("s-mIoU", "u-mIoU", "h-mIoU")
) -> dict[str, float]:
    """Mean IoU of the classes in ``first`` [N], of the others, and their harmonic mean, under ``names``."""
    means = mean_iou(counts, over, first), mean_iou(counts, over, ~first)
    return dict(zip(names, (*means, harmonic_mean(*means)), strict=True))


def overall(counts: Counts) -> dict[str, float]:
    """Measures over all classes other than mean IoU: accuracies, Kappa and F1."""
    measures = measure_classes(counts)
    present = measures.truth > 0
    total = int(counts.sum())
    precision = mean(np.nan_to_num(measures.precision)[present])
    recall = mean(measures.recall[present])
    return {
        "fwIoU": float((measures.iou * measures.truth)[present].sum() / total) if total else math.nan,
        "mACC": recall,
        "pACC": pixel_accuracy(counts),
        "Kappa": kappa(counts),
        "mPrecision": precision,
        "mF1": mean(measures.f1[present]),
        "F1-of-means": harmonic_mean(precision, recall),
    }


def kappa(counts: Counts) -> float:
    """Cohen's Kappa in percent; NaN where chance alone would agree fully (a single class, everywhere right)."""
    total = int(counts.sum())
    # Exact integers: observed and expected agreement may both be within rounding of 1.
    observed = total * int(np.trace(counts))
    rows, columns = counts.sum(axis=1).tolist(), counts.sum(axis=0).tolist()
    expected = sum(row * column for row, column in zip(rows, columns, strict=False))
    whole = total * total - expected
    return 100 * (observed - expected) / whole if whole else math.nan


def harmonic_mean(first: float, second: float) -> float:
    """2ab / (a + b), 0 where both are 0; NaN where one of them is."""
    return 0.0 if first + second == 0 else 2 * first * second / (first + second)


def percent(part: Counts, whole: Counts, where: Mask) -> Floats:
    """100 part / whole, NaN except at ``where``."""
    return np.divide(100.0 * part, whole, out=np.full(part.shape, np.nan), where=where)


def mean(values: Floats) -> float:
    """The mean, NaN of nothing."""
    return float(values.mean()) if values.size else math.nan
