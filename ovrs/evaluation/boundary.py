"""Boundary IoU (Cheng et al., CVPR 2021): IoU of the bands along the inside of contours, which large areas do not drown.

The original is defined on one mask; here every class of a label map is a mask, and bands are added up over the data set.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class BoundaryCounts:
    """Band pixels by class, int64 [3, N]: common to truth and prediction, the truth's, the prediction's.

    What is ignored is cut out of truth and prediction alike, and its rim is a contour, as the
    image's border is in the original.

    Args:
        num_classes: N; a prediction of N is none of them.
        ratio: width of the band as a share of the image's diagonal; at least one pixel. The original takes 0.02.
    """

    def __init__(self, num_classes: int, ratio: float, ignore_label: int) -> None:
        self.num_classes = num_classes
        self.ratio = ratio
        self.ignore_label = ignore_label
        self.counts = np.zeros((3, num_classes), dtype=np.int64)

    def add(self, truth: NDArray[np.integer], prediction: NDArray[np.integer]) -> None:
        """Count one image; both [H, W], the prediction arbitrary where the truth is ignored."""
        width = max(round(self.ratio * float(np.hypot(*truth.shape))), 1)
        valid = truth != self.ignore_label
        masked = np.where(valid, prediction, self.ignore_label)
        in_truth, in_prediction = (band(labels, width) & valid for labels in (truth, masked))
        common = in_truth & in_prediction & (truth == masked)
        for row, labels, mask in ((0, truth, common), (1, truth, in_truth), (2, masked, in_prediction)):
            self.counts[row] += np.bincount(labels[mask], minlength=self.num_classes)[: self.num_classes]


def band(labels: NDArray[np.integer], width: int) -> NDArray[np.bool_]:
    """Pixels [H, W] with another label, or the outside of the image, at most ``width`` pixels away (in rows and columns)."""
    height, length = labels.shape
    # A window is of one label if no two neighbours in it differ, across or down; sums over windows come from running sums.
    changes = [
        _window_sums(labels[:, 1:] != labels[:, :-1], 2 * width + 1, 2 * width),
        _window_sums(labels[1:] != labels[:-1], 2 * width, 2 * width + 1),
    ]
    near = np.ones((height, length), dtype=bool)
    if height > 2 * width and length > 2 * width:
        near[width : height - width, width : length - width] = (changes[0] + changes[1]) > 0
    return near


def _window_sums(values: NDArray[np.bool_], height: int, width: int) -> NDArray[np.int32]:
    """Sums over all windows of a size that lie inside; empty where it does not fit."""
    sums = np.zeros((values.shape[0] + 1, values.shape[1] + 1), dtype=np.int32)
    np.cumsum(values, axis=0, dtype=np.int32, out=sums[1:, 1:])
    np.cumsum(sums[1:, 1:], axis=1, out=sums[1:, 1:])
    if height >= len(sums) or width >= sums.shape[1]:
        return np.zeros((0, 0), dtype=np.int32)
    return sums[height:, width:] - sums[:-height, width:] - sums[height:, :-width] + sums[:-height, :-width]
