"""Augmentations of training images that Detectron2 lacks, and the list that a configuration asks for."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np
from detectron2.data import transforms as T
from fvcore.transforms.transform import CropTransform, PadTransform, Transform, TransformList
from numpy.typing import NDArray

# What stands where a crop is larger than its image.
PAD_COLOR = 128
PAD_LABEL = 255

# Share of training images that are shown without colour: many aerial archives are panchromatic.
GREYSCALE_SHARE = 0.1


class QuarterTurnTransform(Transform):
    """Turns an image [H, W, ...] by ``turns`` quarters, counter-clockwise."""

    def __init__(self, turns: int, height: int, width: int) -> None:
        super().__init__()
        self.turns, self.height, self.width = turns % 4, height, width

    def apply_image(self, img: NDArray) -> NDArray:
        """The turned image; sides change places for an odd number of turns."""
        return np.ascontiguousarray(np.rot90(img, self.turns))

    def apply_segmentation(self, segmentation: NDArray) -> NDArray:
        """Labels turn as the image does."""
        return self.apply_image(segmentation)

    def apply_coords(self, coords: NDArray) -> NDArray:
        """Points (x, y) [n, 2] in pixels."""
        height, width = self.height, self.width
        for _ in range(self.turns):
            coords = np.stack([coords[:, 1], width - coords[:, 0]], axis=1)
            height, width = width, height
        return coords

    def inverse(self) -> Transform:
        """The turn back."""
        sides = (self.height, self.width) if self.turns % 2 == 0 else (self.width, self.height)
        return QuarterTurnTransform(-self.turns, *sides)


class RandomQuarterTurn(T.Augmentation):
    """Any of the four quarter turns, equally likely: nothing on the ground has an upper side."""

    def get_transform(self, image: NDArray) -> Transform:
        """A turn for an image [H, W, ...]."""
        return QuarterTurnTransform(int(np.random.randint(4)), *image.shape[:2])


class RandomSquareCrop(T.Augmentation):
    """A square of ``size`` pixels at a random place; smaller images are padded (grey, label 255) on random sides."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def get_transform(self, image: NDArray) -> Transform:
        """Padding followed by a crop for an image [H, W, ...]."""
        height, width = image.shape[:2]
        lack_y, lack_x = max(self.size - height, 0), max(self.size - width, 0)
        top, left = np.random.randint(lack_y + 1), np.random.randint(lack_x + 1)
        pad = PadTransform(left, top, lack_x - left, lack_y - top, width, height, PAD_COLOR, PAD_LABEL)
        height, width = height + lack_y, width + lack_x
        y, x = np.random.randint(height - self.size + 1), np.random.randint(width - self.size + 1)
        return TransformList([pad, CropTransform(x, y, self.size, self.size, width, height)])


def build_augmentations(
    *,
    shortest_edges: Sequence[int],
    sampling: str = "choice",
    longest_edge: int = 0,
    crop: int = 0,
    flip: bool = True,
    quarter_turns: bool = False,
    color_jitter: bool = True,
) -> list[T.Augmentation]:
    """Training augmentations in the order they are applied.

    Args:
        shortest_edges: lengths in pixels to which the shortest edge is resized; 0 leaves it as it is.
        sampling: ``choice`` of one of them, or ``range`` between two.
        longest_edge: the longest edge is kept below this; 0 = no limit.
        crop: side of the square cut out; 0 = no crop.
        flip: mirror in both directions, each with probability 1/2.
        quarter_turns: turn by a random multiple of 90 degrees.
        color_jitter: change brightness, contrast and saturation, sometimes down to grey.
    """
    edges = tuple(shortest_edges)
    if sampling == "range" and len(edges) == 1:
        edges = edges * 2
    steps: list[T.Augmentation] = [T.ResizeShortestEdge(edges, longest_edge or sys.maxsize, sampling)]
    if crop:
        steps.append(RandomSquareCrop(crop))
    if flip:
        steps += [T.RandomFlip(horizontal=True, vertical=False), T.RandomFlip(horizontal=False, vertical=True)]
    if quarter_turns:
        steps.append(RandomQuarterTurn())
    if color_jitter:
        changes = [T.RandomBrightness(0.6, 1.4), T.RandomContrast(0.6, 1.4), T.RandomSaturation(0.5, 1.5)]
        steps += [T.RandomApply(change, prob=0.5) for change in changes]
        steps.append(T.RandomApply(T.RandomSaturation(0.0, 0.0), prob=GREYSCALE_SHARE))
    return steps
