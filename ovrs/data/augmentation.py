"""Turns and scales of training images that Detectron2 lacks, and the list of augmentations that a configuration asks for."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np
from detectron2.data import transforms as T
from fvcore.transforms.transform import Transform
from numpy.typing import NDArray

from ovrs.data.colors import RECIPES, RandomSsdColors
from ovrs.data.colors import color_jitter as jitter
from ovrs.data.crops import RandomSquareCrop
from ovrs.data.erasing import RandomErasedBoxes
from ovrs.errors import ConfigError


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


class RandomScale(T.Augmentation):
    """Enlarges or shrinks by a random factor, uniform between ``low`` and ``high``: ground sample distances vary."""

    def __init__(self, low: float, high: float) -> None:
        super().__init__()
        self.low, self.high = low, high

    def get_transform(self, image: NDArray) -> Transform:
        """A resize for an image [H, W, ...]; bilinear for the image, nearest for labels."""
        height, width = image.shape[:2]
        factor = np.random.uniform(self.low, self.high)
        return T.ResizeTransform(height, width, max(1, round(height * factor)), max(1, round(width * factor)))


def build_augmentations(
    *,
    shortest_edges: Sequence[int],
    sampling: str = "choice",
    longest_edge: int = 0,
    scale_jitter: Sequence[float] = (),
    crop: int = 0,
    crop_rare: float = 0.0,
    crop_max_area: float = 1.0,
    flip: bool = True,
    flip_vertical: bool = True,
    quarter_turns: bool = False,
    color_jitter: bool = True,
    color_recipe: str = "jitter",
    color_strength: float = 1.0,
    grey_share: float = 0.1,
    erased_share: float = 0.0,
    erased_boxes: Sequence[int] = (20, 60),
    erased_size: int = 32,
) -> list[T.Augmentation]:
    """Training augmentations in the order they are applied.

    Args:
        shortest_edges: lengths in pixels to which the shortest edge is resized; 0 leaves it as it is.
        sampling: ``choice`` of one of them, or ``range`` between two.
        longest_edge: the longest edge is kept below this; 0 = no limit.
        scale_jitter: smallest and largest factor of a further, random resize; empty = none.
        crop: side of the square cut out; 0 = no crop.
        crop_rare, crop_max_area: see :class:`~ovrs.data.crops.RandomSquareCrop`.
        flip: mirror from left to right, with probability 1/2.
        flip_vertical: where ``flip``, also mirror from top to bottom, with probability 1/2.
        quarter_turns: turn by a random multiple of 90 degrees.
        color_jitter: change colours.
        color_recipe: how: ``jitter`` or ``ssd`` (see :mod:`ovrs.data.colors`).
        color_strength, grey_share: of ``jitter``.
        erased_share, erased_boxes, erased_size: see :class:`~ovrs.data.erasing.RandomErasedBoxes`.

    Raises:
        ConfigError: a value that cannot work, by its configuration key.
    """
    _check(scale_jitter, crop, crop_rare, crop_max_area, color_recipe, color_strength, grey_share)
    _check_erasing(erased_share, erased_boxes, erased_size)
    edges = tuple(shortest_edges)
    if sampling == "range" and len(edges) == 1:
        edges = edges * 2
    least, most = erased_boxes
    steps: list[T.Augmentation] = [RandomErasedBoxes(erased_share, least, most, erased_size)] if erased_share else []
    steps.append(T.ResizeShortestEdge(edges, longest_edge or sys.maxsize, sampling))
    if scale_jitter:
        steps.append(RandomScale(*scale_jitter))
    if crop:
        steps.append(RandomSquareCrop(crop, rare=crop_rare, max_area=crop_max_area))
    if flip:
        steps.append(T.RandomFlip(horizontal=True, vertical=False))
        if flip_vertical:
            steps.append(T.RandomFlip(horizontal=False, vertical=True))
    if quarter_turns:
        steps.append(RandomQuarterTurn())
    if color_jitter:
        steps += [RandomSsdColors()] if color_recipe == "ssd" else jitter(color_strength, grey_share)
    return steps


def _check(
    scale_jitter: Sequence[float],
    crop: int,
    crop_rare: float,
    crop_max_area: float,
    color_recipe: str,
    color_strength: float,
    grey_share: float,
) -> None:
    scale = tuple(scale_jitter)
    for key, value, fits, wanted in (
        ("SCALE_JITTER", scale, not scale or (len(scale) == 2 and 0 < scale[0] <= scale[1]), "two factors, or nothing"),
        ("CROP_RARE", crop_rare, 0 <= crop_rare <= 1, "a probability of 0..1"),
        ("CROP_RARE", crop_rare, crop > 0 or not crop_rare, "0 without a CROP_SIZE"),
        ("CROP_SINGLE_CATEGORY_MAX_AREA", crop_max_area, 0 < crop_max_area <= 1, "a share above 0, up to 1"),
        ("COLOR_RECIPE", color_recipe, color_recipe in RECIPES, " or ".join(RECIPES)),
        ("COLOR_STRENGTH", color_strength, color_strength >= 0, "a factor of 0 or more"),
        ("GREY_SHARE", grey_share, 0 <= grey_share <= 1, "a share of 0..1"),
    ):
        if not fits:
            raise ConfigError(f"INPUT.{key} is {value!r}; it must be {wanted}")


def _check_erasing(share: float, boxes: Sequence[int], size: int) -> None:
    if not 0 <= share <= 1:
        raise ConfigError(f"INPUT.ERASED_SHARE is {share!r}; it must be a share of 0..1")
    if len(boxes) != 2 or not all(isinstance(count, int) for count in boxes) or not 0 <= boxes[0] <= boxes[1]:
        raise ConfigError(
            f"INPUT.ERASED_BOXES is {tuple(boxes)!r}; it must be the least and the most of them, such as (20, 60)"
        )
    if size < 1:
        raise ConfigError(f"INPUT.ERASED_SIZE is {size!r}; it must be the side of a box in pixels")
