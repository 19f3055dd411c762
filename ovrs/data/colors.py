"""Changes of colour in training images: light, season and sensor differ from what was trained on."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from detectron2.data import transforms as T
from numpy.typing import NDArray

Change = Callable[[NDArray], NDArray]

RECIPES = ("jitter", "ssd")


def color_jitter(strength: float = 1.0, grey_share: float = 0.1) -> list[T.Augmentation]:
    """Brightness and contrast by up to 40 %, saturation by up to 50 %, each in half of the images; some turn grey.

    Args:
        strength: factor of these percentages, not negative.
        grey_share: share of images (0..1) that are shown without colour: many aerial archives are panchromatic.
    """
    some, more = 0.4 * strength, 0.5 * strength
    changes = [
        T.RandomBrightness(max(0.0, 1 - some), 1 + some),
        T.RandomContrast(max(0.0, 1 - some), 1 + some),
        T.RandomSaturation(max(0.0, 1 - more), 1 + more),
    ]
    steps: list[T.Augmentation] = [T.RandomApply(change, prob=0.5) for change in changes]
    if grey_share:
        steps.append(T.RandomApply(T.RandomSaturation(0.0, 0.0), prob=grey_share))
    return steps


class RandomSsdColors(T.Augmentation):
    """The photometric distortions of SSD (Liu et al., ECCV 2016), as CAT-Seg trains with them, on RGB images of 8 bits.

    Brightness by an amount of -32 to 32, contrast and saturation by a factor of 0.5 to 1.5, hue by -36 to 36 degrees; each in
    half of the images, contrast before or after the other two, equally likely.
    """

    def get_transform(self, image: NDArray) -> T.Transform:
        """The distortions of an image [H, W, 3]."""
        changes: list[Change] = []
        if _coin():
            amount = np.random.uniform(-32, 32)
            changes.append(lambda image: _byte(image.astype(np.float32) + amount))
        contrast: list[Change] = []
        if _coin():
            factor = np.random.uniform(0.5, 1.5)
            contrast.append(lambda image: _byte(image.astype(np.float32) * factor))
        saturation = np.random.uniform(0.5, 1.5) if _coin() else 1.0
        turn = np.random.randint(-18, 19) if _coin() else 0
        tint: list[Change] = [lambda image: _tinted(image, saturation, turn)] if saturation != 1.0 or turn else []
        changes += contrast + tint if _coin() else tint + contrast
        return T.ColorTransform(lambda image: _applied(changes, image))


def _coin() -> bool:
    return bool(np.random.randint(2))


def _byte(image: NDArray) -> NDArray[np.uint8]:
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def _tinted(image: NDArray, saturation: float, turn: int) -> NDArray[np.uint8]:
    """The image with its saturation multiplied and its hue turned, in OpenCV's steps of two degrees."""
    colors = cv2.cvtColor(image, cv2.COLOR_RGB2HSV).astype(np.float32)
    colors[..., 0] = (colors[..., 0] + turn) % 180
    colors[..., 1] *= saturation
    return cv2.cvtColor(_byte(colors), cv2.COLOR_HSV2RGB).astype(np.uint8)


def _applied(changes: list[Change], image: NDArray) -> NDArray:
    for change in changes:
        image = change(image)
    return image
