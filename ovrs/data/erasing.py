"""Boxes of black in training images: a thing must be told by what is left of it."""

from __future__ import annotations

import numpy as np
from detectron2.data import transforms as T
from numpy.typing import NDArray


class RandomErasedBoxes(T.Augmentation):
    """Blackens squares at random places of some images; what is labelled there stays labelled.

    RMSIN and MAFN draw a fifth of their references once and blacken 20 to 60 squares of 32 pixels, in other places each time,
    before the image is resized; here every image is drawn anew.

    Args:
        share: of the images (0..1).
        least, most: how many squares, both included.
        side: of a square, in pixels; it is cut off to what fits into the image.
    """

    def __init__(self, share: float, least: int = 20, most: int = 60, side: int = 32) -> None:
        super().__init__()
        self.share, self.least, self.most, self.side = share, least, most, side

    def get_transform(self, image: NDArray) -> T.Transform:
        """The squares of an image [H, W, ...]."""
        if np.random.uniform() >= self.share:
            return T.NoOpTransform()
        height, width = image.shape[:2]
        high, wide = min(self.side, height), min(self.side, width)
        count = np.random.randint(self.least, self.most + 1)
        tops = np.random.randint(0, height - high + 1, count)
        lefts = np.random.randint(0, width - wide + 1, count)
        corners = [(int(top), int(left)) for top, left in zip(tops, lefts, strict=True)]
        return T.ColorTransform(lambda pixels: _blackened(pixels, corners, high, wide))


def _blackened(image: NDArray, corners: list[tuple[int, int]], height: int, width: int) -> NDArray:
    image = image.copy()
    for top, left in corners:
        image[top : top + height, left : left + width] = 0
    return image
