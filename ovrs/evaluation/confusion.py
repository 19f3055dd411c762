"""The confusion matrix: all that is kept of the predictions of a whole data set."""

from __future__ import annotations

import numpy as np
from detectron2.utils import comm
from numpy.typing import NDArray

IGNORE_LABEL = 255


class ConfusionMatrix:
    """Pixel counts int64 [N, N + 1]: row = true class, column = predicted class; the last column is "none of them".

    Pixels whose true label is ``ignore_label`` are not counted.
    """

    def __init__(self, num_classes: int, ignore_label: int = IGNORE_LABEL) -> None:
        self.num_classes = num_classes
        self.ignore_label = ignore_label
        self.counts = np.zeros((num_classes, num_classes + 1), dtype=np.int64)

    def add(self, truth: NDArray[np.integer], prediction: NDArray[np.integer]) -> NDArray[np.int64]:
        """Count one image and return its own counts; both arrays have the same shape.

        A prediction >= N means that no class was chosen.

        Raises:
            ValueError: the shapes differ, or a true label is neither a class nor the ignored one.
        """
        if truth.shape != prediction.shape:
            raise ValueError(f"truth {truth.shape} and prediction {prediction.shape} differ in shape")
        valid = truth != self.ignore_label
        true = truth[valid].astype(np.int64)
        if true.size and not 0 <= true.min() <= true.max() < self.num_classes:
            raise ValueError(f"true labels span {true.min()} to {true.max()}, outside 0 to {self.num_classes - 1}")
        chosen = np.minimum(prediction[valid].astype(np.int64), self.num_classes)
        cells = np.bincount(true * (self.num_classes + 1) + chosen, minlength=self.counts.size).reshape(self.counts.shape)
        self.counts += cells
        return cells


def gather_sum(counts: NDArray[np.int64]) -> NDArray[np.int64] | None:
    """The sum over all processes on the main one, None on the others; of integers, so in any order the same."""
    comm.synchronize()
    parts = comm.gather(counts)
    return np.sum(parts, axis=0, dtype=np.int64) if comm.is_main_process() else None
