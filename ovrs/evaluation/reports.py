"""From what was counted to the figures of the open-vocabulary protocol, and a table of them for the terminal.

All figures are percentages; docs/evaluation.md defines each as a formula.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np
from numpy.typing import NDArray

from ovrs.evaluation import metrics
from ovrs.evaluation.base_novel import Membership, base_novel_means, memberships, summarised
from ovrs.evaluation.calibration import matrices
from ovrs.evaluation.metrics import MeanOver, mean_iou, split_means
from ovrs.evaluation.settings import EvaluationSettings
from ovrs.evaluation.tallies import Tallies
from ovrs.vocabulary import BACKGROUND_NAME, Vocabulary, VocabularyClass, normalized

CONVENTIONS: dict[MeanOver, str] = {
    "present": "means of IoU run over the classes that occur in the ground truth (Detectron2 today); mIoU-0.6 also counts "
    "those only predicted, as 0",
    "union": "means of IoU run over the classes that occur in the ground truth or the prediction, those only predicted as 0 "
    "(Detectron2 0.6); mIoU-present leaves the latter out",
}
# The mean IoU of the other definition, which stands beside the chosen one.
_OTHER: dict[MeanOver, tuple[str, MeanOver]] = {"present": ("mIoU-0.6", "union"), "union": ("mIoU-present", "present")}

# Classes in which a data set gathers what is none of the others; figures stand with and without them.
REST_NAMES = (BACKGROUND_NAME, "others", "other")


@dataclass(frozen=True)
class ClassScore:
    """Figures of one class in percent, NaN where it does not occur in the ground truth.

    ``precision`` (the user's accuracy) is NaN where it was never predicted, ``boundary_iou`` where it was not asked for;
    ``recall`` is the producer's accuracy; ``pixels`` are the ground truth's and ``predicted`` the prediction's.
    """

    name: str
    seen: bool
    iou: float
    precision: float
    recall: float
    f1: float
    boundary_iou: float
    pixels: int
    predicted: int


@dataclass(frozen=True)
class SegmentationReport:
    """Figures of one evaluation: their summary by name (``mIoU``, ``s-mIoU``, ...), of classes, along the calibration grid.

    ``members`` says of each class whether it is base or novel; it is empty where nothing is known of a training.
    """

    classes: tuple[ClassScore, ...]
    summary: dict[str, float]
    curve: tuple[dict[str, float], ...]
    settings: EvaluationSettings
    counts: NDArray[np.int64]
    members: tuple[Membership, ...] = ()

    @property
    def absent(self) -> list[str]:
        """Names of classes without a pixel of ground truth; no mean counts them (but see ``TEST.MIOU`` union)."""
        return [score.name for score in self.classes if not score.pixels]

    @property
    def never_predicted(self) -> list[str]:
        """Names of classes that occur in the ground truth and are nowhere predicted."""
        return [score.name for score in self.classes if score.pixels and not score.predicted]

    def detectron2_results(self) -> OrderedDict[str, dict[str, float]]:
        """The nested form in which Detectron2 logs, prints and verifies results."""
        figures = dict(self.summary)
        figures.update({f"IoU-{score.name}": score.iou for score in self.classes})
        figures.update({f"ACC-{score.name}": score.recall for score in self.classes})
        figures.update({f"UA-{score.name}": score.precision for score in self.classes})
        return OrderedDict(sem_seg=figures)

    def notes(self) -> list[str]:
        """What must be known to read the figures."""
        lines = [CONVENTIONS[self.settings.mean_over]]
        if self.members:
            lines.append(summarised([score.name for score in self.classes], self.members))
        if self.absent:
            lines.append(f"absent from the ground truth, hence without figures: {', '.join(self.absent)}")
        if self.never_predicted:
            lines.append(f"never predicted: {', '.join(self.never_predicted)}")
        if self.settings.calibration and "calibrated-h-mIoU" in self.summary:
            lines.append(f"calibrated: {self.settings.calibration:g} subtracted from the logits of seen names")
        return lines

    def table(self) -> str:
        """A line a class, the summary and the notes, for a terminal."""
        width = max(len("class"), *(len(score.name) for score in self.classes))
        heads = ["IoU", "prec.", "recall", "F1", *(["bIoU"] if self.settings.boundary_ratio else [])]
        lines = ["  ".join([f"{'class':<{width}}", " " * 6, *(f"{head:>6}" for head in heads), f"{'pixels':>13}"])]
        for score, member in zip_longest(self.classes, self.members):
            values = [score.iou, score.precision, score.recall, score.f1, score.boundary_iou][: len(heads)]
            split = f"{'seen' if score.seen else 'unseen':6}"
            group = [f"{member.group:5}  {member}"] if member else []
            lines.append("  ".join([f"{score.name:<{width}}", split, *map(_figure, values), f"{score.pixels:>13,}", *group]))
        names = list(self.summary)
        for start in range(0, len(names), 6):
            lines.append("  ".join(f"{name} {self.summary[name]:.2f}" for name in names[start : start + 6]))
        return "\n".join(lines + self.notes())


def build_report(tallies: Tallies, vocabulary: Vocabulary, trained: Sequence[VocabularyClass] = ()) -> SegmentationReport:
    """The report of all that was counted, over all processes; base and novel are told by the ``trained`` classes, if any."""
    settings, over = tallies.settings, tallies.settings.mean_over
    counts = tallies.plain.counts
    seen = np.array([cls.seen for cls in vocabulary.classes])
    split = bool(seen.any() and not seen.all())
    other, definition = _OTHER[over]
    curve = _curve(tallies, seen) if split else ()
    summary = {"mIoU": mean_iou(counts, over)}
    if not seen.all():
        summary |= split_means(counts, seen, over)
    if split:
        grouped = tallies.grouped.counts
        summary |= {"s-only-mIoU": mean_iou(grouped, over, seen), "u-only-mIoU": mean_iou(grouped, over, ~seen)}
    if split and settings.calibration:
        row = next(row for row in curve if row["constant"] == settings.calibration)
        summary |= {f"calibrated-{name}": value for name, value in row.items() if name != "constant"}
    members = memberships(vocabulary, trained) if trained else ()
    if members:
        summary |= base_novel_means(counts, members, seen, over)
    summary |= _without_rest(tallies, vocabulary)
    summary |= {other: mean_iou(counts, definition)} | metrics.overall(counts)
    boundary = _boundary(tallies)
    if settings.boundary_ratio:
        summary["bIoU"] = metrics.mean(boundary[~np.isnan(boundary)])
    measures = metrics.measure_classes(counts)
    classes = tuple(
        ClassScore(
            name=cls.name,
            seen=cls.seen,
            iou=float(measures.iou[index]),
            precision=float(measures.precision[index]),
            recall=float(measures.recall[index]),
            f1=float(measures.f1[index]),
            boundary_iou=float(boundary[index]),
            pixels=int(measures.truth[index]),
            predicted=int(measures.predicted[index]),
        )
        for index, cls in enumerate(vocabulary.classes)
    )
    kept = tuple(row for row in curve if row["constant"] in settings.grid)
    return SegmentationReport(classes, summary, kept, settings, counts, members)


def _curve(tallies: Tallies, seen: NDArray[np.bool_]) -> tuple[dict[str, float], ...]:
    """The split's figures at every constant."""
    over = tallies.settings.mean_over
    pairs = zip(tallies.curve.constants, matrices(tallies.curve.counts), strict=True)
    return tuple({"constant": c, "mIoU": mean_iou(counts, over)} | split_means(counts, seen, over) for c, counts in pairs)


def _without_rest(tallies: Tallies, vocabulary: Vocabulary) -> dict[str, float]:
    """Mean IoU and accuracy without what is left over, be it a class of the data set or a name that none of the classes is."""
    over, names = tallies.settings.mean_over, [normalized(cls.name) for cls in vocabulary.classes]
    figures = {}
    for rest in REST_NAMES:
        if rest == BACKGROUND_NAME and tallies.foreground.counts.any():
            counts, members = tallies.foreground.counts, None
        elif rest in names:
            counts, members = tallies.plain.counts, np.array([name != rest for name in names])
        else:
            continue
        figures[f"mIoU-without-{rest}"] = mean_iou(counts, over, members)
        figures[f"pACC-without-{rest}"] = metrics.pixel_accuracy(counts, members)
    return figures


def _boundary(tallies: Tallies) -> NDArray[np.float64]:
    """Boundary IoU by class, NaN for absent ones."""
    common, truth, predicted = tallies.boundary.counts
    return metrics.percent(common, truth + predicted - common, truth > 0)


def _figure(value: float) -> str:
    return f"{'-':>6}" if math.isnan(value) else f"{value:6.2f}"
