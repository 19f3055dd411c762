"""Everything that is counted in one pass over a data set. All of it is integers, so processes add up exactly."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ovrs.evaluation.boundary import BoundaryCounts
from ovrs.evaluation.calibration import CalibrationCurve
from ovrs.evaluation.confusion import ConfusionMatrix, gather_sum
from ovrs.evaluation.decisions import Decision
from ovrs.evaluation.settings import EvaluationSettings


class Tallies:
    """The confusion matrix and what is counted beside it.

    Attributes:
        plain: all names compete.
        foreground: the classes compete without the background; empty where the scores have no background.
        grouped: only names of the true class's own group, seen or unseen, compete.
        curve: all names compete, under several calibration constants.
        boundary: bands along contours.
    """

    def __init__(self, seen: Sequence[bool], settings: EvaluationSettings, ignore_label: int) -> None:
        self.seen = tuple(seen)
        self.settings = settings
        self.ignore_label = ignore_label
        self.plain, self.foreground, self.grouped = (ConfusionMatrix(len(seen), ignore_label) for _ in range(3))
        self.curve = CalibrationCurve(len(seen), settings.constants)
        self.boundary = BoundaryCounts(len(seen), settings.boundary_ratio, ignore_label)

    def add(self, decision: Decision, truth: NDArray[np.integer], *, background: bool) -> NDArray[np.int64]:
        """Count one image with labels ``truth`` [H, W]; returns its own plain confusion matrix.

        Args:
            background: the scores had a channel for the background.

        Raises:
            ValueError: a true label is neither a class nor the ignored one.
        """
        own = self.plain.add(decision.truth, decision.plain)
        if background:
            self.foreground.add(decision.truth, decision.foreground)
        if not all(self.seen) and any(self.seen):
            self.grouped.add(decision.truth, decision.grouped)
        if self.curve.constants:
            self.curve.add(decision)
        if self.settings.boundary_ratio:
            self.boundary.add(truth, label_map(truth, decision.plain, self.ignore_label))
        return own

    def gather(self) -> Tallies | None:
        """The sum over all processes on the main one, None on the others."""
        total = Tallies(self.seen, self.settings, self.ignore_label)
        for name in ("plain", "foreground", "grouped", "curve", "boundary"):
            counts = gather_sum(getattr(self, name).counts)
            if counts is not None:
                getattr(total, name).counts = counts
        return None if counts is None else total


def label_map(truth: NDArray[np.integer], labels: NDArray[np.integer], ignore_label: int) -> NDArray[np.integer]:
    """Labels [P] of the counted pixels as a map [H, W] that is ignored where ``truth`` is."""
    whole = np.full(truth.shape, ignore_label, dtype=np.int64)
    whole[truth != ignore_label] = labels
    return whole
