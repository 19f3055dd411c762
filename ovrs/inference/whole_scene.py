"""A scene that is read once, reduced to what a model sees at a time; its map is still on the file's grid."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from ovrs.inference.scene import Scene


class WholeScene(Scene):
    """Another scene in ``size`` (rows, columns) pixels of the model's grid, whatever its shape. Only these are in memory."""

    def __init__(self, scene: Scene, size: tuple[int, int]) -> None:
        self._scene = scene
        self.place, self.model_size = scene.place, size
        read_as = ("READ_AS", f"{size[1]} x {size[0]} pixels")
        self.facts = (*(fact for fact in scene.facts if fact[0] != "GSD"), read_as)
        own = min(size[0], scene.height), min(size[1], scene.width)
        image = scene.reduced(own)
        if own != size:
            image = np.asarray(cv2.resize(image, size[::-1], interpolation=cv2.INTER_LINEAR), dtype=np.uint8)
        self._pixels = image.transpose(2, 0, 1)

    @property
    def version(self) -> str:
        """See the base class."""
        return self._scene.version

    def read(self, top: int, bottom: int, left: int, right: int) -> NDArray[np.uint8]:
        """See the base class."""
        return self._pixels[:, top:bottom, left:right]

    def valid(self, top: int, bottom: int, left: int, right: int) -> NDArray[np.bool_]:
        """See the base class."""
        return self._scene.valid(top, bottom, left, right)

    def reduced(self, size: tuple[int, int]) -> NDArray[np.uint8]:
        """See the base class."""
        return self._scene.reduced(size)
