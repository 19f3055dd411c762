"""Square crops of training images: anywhere, around classes that are rare, and not of one class alone."""

from __future__ import annotations

import numpy as np
from detectron2.data import transforms as T
from fvcore.transforms.transform import CropTransform, PadTransform, Transform, TransformList
from numpy.typing import NDArray

from ovrs.data.table import IGNORE_LABEL

# What stands where a crop is larger than its image; its labels are ignored.
PAD_COLOR = 128

# A crop that one class fills is drawn again up to so many times; CAT-Seg's recipe (Detectron2's) has the same.
ATTEMPTS = 10


class RandomSquareCrop(T.Augmentation):
    """A square of ``size`` pixels at a random place; smaller images are padded (grey, label 255) on random sides.

    Args:
        rare: probability (0..1) that the crop is laid around a labelled pixel. First a class is drawn, each that occurs in the
            image being equally likely, then one of its pixels: small things come as often as large ones, and crops without
            any label are rare. The pixel lies in the middle half of the crop, as far as the image's edges allow.
        max_area: a crop in which one class has more than this share (0..1) of the labelled pixels is drawn again.
    """

    def __init__(self, size: int, *, rare: float = 0.0, max_area: float = 1.0) -> None:
        super().__init__()
        self.size, self.rare, self.max_area = size, rare, max_area

    def get_transform(self, image: NDArray, sem_seg: NDArray | None = None) -> Transform:
        """Padding followed by a crop for an image [H, W, ...] with labels [H, W]; without labels the crop may lie anywhere."""
        height, width = image.shape[:2]
        lack_y, lack_x = max(self.size - height, 0), max(self.size - width, 0)
        top, left = np.random.randint(lack_y + 1), np.random.randint(lack_x + 1)
        pad = PadTransform(left, top, lack_x - left, lack_y - top, width, height, PAD_COLOR, IGNORE_LABEL)
        height, width = height + lack_y, width + lack_x
        if sem_seg is None or (not self.rare and self.max_area >= 1):
            y, x = self._anywhere(height, width)
        else:
            y, x = self._chosen(pad.apply_segmentation(sem_seg))
        return TransformList([pad, CropTransform(x, y, self.size, self.size, width, height)])

    def _chosen(self, labels: NDArray) -> tuple[int, int]:
        """Top and left of a crop of labels [H, W] as asked for."""
        for _ in range(ATTEMPTS):
            around = self.rare > 0 and np.random.uniform() < self.rare
            y, x = self._around_a_class(labels) if around else self._anywhere(*labels.shape)
            if self.max_area >= 1 or _largest_share(labels[y : y + self.size, x : x + self.size]) <= self.max_area:
                break
        return y, x

    def _anywhere(self, height: int, width: int) -> tuple[int, int]:
        return np.random.randint(height - self.size + 1), np.random.randint(width - self.size + 1)

    def _around_a_class(self, labels: NDArray) -> tuple[int, int]:
        classes = np.flatnonzero(_histogram(labels))
        if not classes.size:
            return self._anywhere(*labels.shape)
        pixels = np.flatnonzero(labels == np.random.choice(classes))
        place = np.unravel_index(np.random.choice(pixels), labels.shape)
        quarter = self.size // 4
        corner = [int(at) - np.random.randint(quarter, self.size - quarter) for at in place]
        y, x = (min(max(at, 0), side - self.size) for at, side in zip(corner, labels.shape, strict=True))
        return y, x


def _histogram(labels: NDArray) -> NDArray[np.int64]:
    """Pixels of each label but the ignored one."""
    return np.bincount(labels.reshape(-1), minlength=IGNORE_LABEL)[:IGNORE_LABEL]


def _largest_share(labels: NDArray) -> float:
    """The share of the labelled pixels that the most frequent class has; 1 where there are none."""
    counts = _histogram(labels)
    total = int(counts.sum())
    return float(counts.max() / total) if total else 1.0
