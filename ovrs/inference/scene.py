"""A scene that is read in windows: pixels as the model wants them, and which of the file's pixels are valid.

Two grids lie over a scene: the file's own, on which results are written, and the model's, which is the same unless a ground
sample distance is asked for. Nothing of a GeoTIFF's size is held in memory; pictures and arrays are small enough to be.
"""

from __future__ import annotations

import hashlib
import math
from abc import ABC, abstractmethod

import cv2
import numpy as np
from numpy.typing import NDArray

from ovrs.errors import InputError
from ovrs.inference.addresses import version_of
from ovrs.inference.rasters import ImageInput
from ovrs.inference.segmented import Place

# A model's grid this close to the file's own is taken to be it [share].
_SAME_GSD = 0.01
# A file is not enlarged beyond this: it would only show the model blur.
_MAX_ENLARGED = 8.0
# Rows of the file that are looked at together for nodata.
_STRIP = 512


class Scene(ABC):
    """Windows of one scene; as a context it is closed at the end.

    Attributes:
        place: the file's grid.
        model_size: rows and columns of the model's grid, which covers the same ground.
        facts: how it is read, by name, for the tags of what is written.
    """

    place: Place
    model_size: tuple[int, int]
    facts: tuple[tuple[str, str], ...] = ()

    @property
    def height(self) -> int:
        """Rows of the file's grid."""
        return self.place.height

    @property
    def width(self) -> int:
        """Columns of the file's grid."""
        return self.place.width

    @property
    def version(self) -> str:
        """What tells the scene from another, and from itself at another time."""
        return version_of(self.place.path)

    @abstractmethod
    def read(self, top: int, bottom: int, left: int, right: int) -> NDArray[np.uint8] | NDArray[np.float32]:
        """Pixels of the model's grid: uint8 [3, rows, columns], or float32 [3 + S, rows, columns], see ``PairedScene``."""

    @abstractmethod
    def valid(self, top: int, bottom: int, left: int, right: int) -> NDArray[np.bool_]:
        """Which pixels [rows, columns] of the file's grid hold an image."""

    @abstractmethod
    def reduced(self, size: tuple[int, int]) -> NDArray[np.uint8]:
        """The scene in ``size`` (rows, columns) pixels, no more than it has: uint8 [h, w, 3]."""

    def close(self) -> None:  # noqa: B027 - what is in memory has nothing to close
        """Let the file go."""

    def __enter__(self) -> Scene:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def holds_image(self, top: int, bottom: int, left: int, right: int) -> NDArray[np.bool_]:
        """For the columns ``left`` to ``right`` of the model's grid whether there is a valid pixel in those rows of it."""
        rows, columns = self.height / self.model_size[0], self.width / self.model_size[1]
        first, last = math.floor(left * columns), min(math.ceil(right * columns), self.width)
        until, valid = min(math.ceil(bottom * rows), self.height), np.zeros(last - first, dtype=bool)
        for start in range(math.floor(top * rows), until, _STRIP):  # a reduced window may cover all of a large file
            valid |= self.valid(start, min(start + _STRIP, until), first, last).any(axis=0)
            if valid.all():
                break
        starts = np.floor(np.arange(left, right) * columns).astype(int) - first
        # A column of the model's may lie over several of the file's, and several over one.
        return np.asarray(np.maximum.reduceat(valid, starts) if columns > 1 else np.take(valid, starts))


class ArrayScene(Scene):
    """A scene in memory."""

    def __init__(self, image: ImageInput, gsd: float | None = None) -> None:
        self.place = image.place
        self.model_size = model_grid(self.place, gsd)
        self._valid = image.valid
        rgb = image.rgb
        if self.model_size != (self.height, self.width):
            smooth = cv2.INTER_AREA if self.model_size[0] < self.height else cv2.INTER_LINEAR
            rgb = np.asarray(cv2.resize(rgb, self.model_size[::-1], interpolation=smooth), dtype=np.uint8)
            self.facts = (("GSD", f"{gsd:g} m"),)
        self._rgb, self._pixels = image.rgb, rgb.transpose(2, 0, 1)

    @property
    def version(self) -> str:
        """Its pixels' own: what is in memory may have no file, or be another array of the same size."""
        digest = hashlib.sha256(np.ascontiguousarray(self._rgb).data)
        digest.update(np.ascontiguousarray(self._valid).data)
        return digest.hexdigest()

    def read(self, top: int, bottom: int, left: int, right: int) -> NDArray[np.uint8]:
        """See the base class."""
        return self._pixels[:, top:bottom, left:right]

    def valid(self, top: int, bottom: int, left: int, right: int) -> NDArray[np.bool_]:
        """See the base class."""
        return self._valid[top:bottom, left:right]

    def reduced(self, size: tuple[int, int]) -> NDArray[np.uint8]:
        """See the base class."""
        return np.asarray(cv2.resize(self._rgb, size[::-1], interpolation=cv2.INTER_AREA), dtype=np.uint8)


def model_grid(place: Place, gsd: float | None) -> tuple[int, int]:
    """Rows and columns of the grid on which a pixel covers ``gsd`` metres; the file's own where None is asked for.

    Raises:
        InputError: no positive distance, the file's own is unknown, or it is much coarser.
    """
    if gsd is None:
        return place.height, place.width
    name = place.path if place.path is not None else "the image"
    if not (math.isfinite(gsd) and gsd > 0):
        raise InputError(f"--gsd {gsd:g}: a ground sample distance is a positive number of metres")
    if place.pixel_area is None:
        raise InputError(
            f"{name}: has no coordinate reference system, so its ground sample distance is unknown; leave --gsd out"
        )
    own = math.sqrt(place.pixel_area)
    if abs(own / gsd - 1) <= _SAME_GSD:
        return place.height, place.width
    if own / gsd > _MAX_ENLARGED:
        raise InputError(f"{name}: its pixels are {own:g} m; --gsd {gsd:g} would enlarge it more than {_MAX_ENLARGED:g} times")
    return max(round(place.height * own / gsd), 1), max(round(place.width * own / gsd), 1)
