"""Images and their label maps cut into tiles."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ovrs.data.table import IGNORE_LABEL

Edge = Literal["shift", "pad", "drop"]


@dataclass(frozen=True)
class Tiling:
    """How an image is cut.

    ``size`` is a tile's side in pixels, None leaves images whole; ``stride`` the step between tiles (default: ``size``).
    ``edge`` says what happens where the last step leaves the image: ``shift`` moves the tile back until it fits, so that it
    overlaps its neighbour; ``pad`` fills it; ``drop`` leaves the rest of the image out. An image smaller than a tile is
    filled, but for ``drop``. Filling is 0 in the image and 255 in the label map. A tile of which less than ``least`` (0..1)
    is labelled, or nothing, is dropped.
    """

    size: int | None = 256
    stride: int | None = None
    edge: Edge = "shift"
    least: float = 0.0

    def __post_init__(self) -> None:
        if (self.size is not None and self.size < 1) or (self.stride is not None and self.stride < 1):
            raise ValueError(f"tiles of {self.size} pixels every {self.stride}: both must be positive")


@dataclass(frozen=True)
class Tile:
    """A tile: where its corner is in the image, its pixels [h, w, 3] and its labels [h, w]."""

    top: int
    left: int
    image: NDArray[np.uint8]
    labels: NDArray[np.uint8]


def starts(length: int, size: int, stride: int, edge: Edge) -> list[int]:
    """Where tiles start along an axis of ``length`` pixels, in ascending order, each once."""
    if length < size:
        return [] if edge == "drop" else [0]
    inside = list(range(0, length - size + 1, stride))
    if edge == "shift" and inside[-1] + size < length:
        inside.append(length - size)
    if edge == "pad" and inside[-1] + size < length:
        inside.append(inside[-1] + stride)
    return [start for start in inside if start < length]


def cut(image: NDArray[np.uint8], labels: NDArray[np.uint8], tiling: Tiling) -> Iterator[Tile]:
    """The tiles of an image [H, W, 3] and its labels [H, W], row by row, those without enough labels included."""
    if tiling.size is None:
        yield Tile(0, 0, image, labels)
        return
    size, stride = tiling.size, tiling.stride or tiling.size
    height, width = labels.shape
    for top in starts(height, size, stride, tiling.edge):
        for left in starts(width, size, stride, tiling.edge):
            window = np.s_[top : top + size, left : left + size]
            yield Tile(top, left, _filled(image[window], size, 0), _filled(labels[window], size, IGNORE_LABEL))


def is_labelled(labels: NDArray[np.uint8], tiling: Tiling) -> bool:
    """Whether a tile has any labelled pixel, and at least the share that the tiling asks for."""
    count = int(np.count_nonzero(labels != IGNORE_LABEL))
    return count > 0 and count >= tiling.least * labels.size


def _filled(pixels: NDArray[np.uint8], size: int, value: int) -> NDArray[np.uint8]:
    missing = [(0, size - pixels.shape[0]), (0, size - pixels.shape[1])] + [(0, 0)] * (pixels.ndim - 2)
    return np.pad(pixels, missing, constant_values=value) if any(after for _, after in missing) else pixels
