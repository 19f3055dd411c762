"""What a screen shows of a segmentation: layers that lie over the image, one class's scores, and the scores of one pixel.

The map itself and the scores stay in their files; here is only what fits on a screen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.windows import Window

from ovrs.errors import InputError
from ovrs.inference.decision import PROBABILITY_STEPS
from ovrs.inference.segmentation import Referred, Segmentation
from ovrs.inference.segmented import Labels, Place
from ovrs.pictures import Picture, hatch
from ovrs.vocabulary import Vocabulary

# Longer side of the layers [pixels].
SCREEN_SIDE = 1600
_NODATA = 255


@dataclass(frozen=True)
class Screen:
    """The layers of one map.

    Attributes:
        place: the grid of the map.
        vocabulary: what the image was segmented into.
        image: uint8 [h, w, 3], the image reduced to at most :data:`SCREEN_SIDE`.
        map: [h, w], the map reduced to the same size.
        shares, areas: of every name; see :class:`Segmentation`.
        valid_share: share of the pixels that hold an image.
        files: the GeoTIFFs of ``labels`` and of ``probabilities``, a band for each name that is scored.
        bare: the value over which the image is seen as it is: the background of a sentence.
    """

    place: Place
    vocabulary: Vocabulary
    image: Picture
    map: Labels
    shares: dict[str, float]
    areas: dict[str, float] | None
    valid_share: float
    files: Mapping[str, Path]
    bare: int | None = None

    @classmethod
    def of(cls, result: Segmentation, files: Mapping[str, Path]) -> Screen:
        """The layers of a result whose map and scores were written."""
        image, labels = result.preview
        height, width = screen_size(image.shape[0], image.shape[1])
        small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
        reduced = cv2.resize(labels, (width, height), interpolation=cv2.INTER_NEAREST)
        return cls(
            result.place,
            result.vocabulary,
            np.asarray(small, dtype=np.uint8),
            np.asarray(reduced, dtype=labels.dtype),
            result.shares(),
            result.areas(),
            result.valid_share,
            files,
            bare=1 if isinstance(result, Referred) else None,
        )

    @property
    def scored(self) -> tuple[str, ...]:
        """The names that have scores of their own; a background given by a threshold has none."""
        threshold = self.vocabulary.background.policy == "threshold"
        return self.vocabulary.names[: self.vocabulary.num_classes] if threshold else self.vocabulary.names

    def class_layer(self) -> Picture:
        """uint8 [h, w, 3]: every pixel in the colour of its class, nodata hatched."""
        valid = self.map < len(self.vocabulary)
        picture = np.asarray(self.vocabulary.palette[np.where(valid, self.map, 0)], dtype=np.uint8)
        if self.bare is not None:
            picture[self.map == self.bare] = self.image[self.map == self.bare]
        picture[~valid] = hatch(*valid.shape)[~valid]
        return picture

    def heat_layer(self, name: str) -> tuple[Picture, float]:
        """The scores of one name as uint8 [h, w, 3], dark to bright from 0 to the highest; and that highest score, 0..1.

        Raises:
            InputError: no such name, or one without scores.
        """
        if name not in self.scored:
            raise InputError(f"there are no scores of {name!r}; there are those of {', '.join(self.scored)}")
        with rasterio.open(self.files["probabilities"]) as file:
            band = file.read(self.scored.index(name) + 1, out_shape=self.map.shape, resampling=Resampling.nearest)
        valid = band != _NODATA
        top = int(band[valid].max(initial=0))
        picture = heat_colors()[np.where(valid, band.astype(np.uint32) * 255 // max(top, 1), 0)]
        picture[~valid] = hatch(*valid.shape)[~valid]
        return picture, top / PROBABILITY_STEPS

    def pixel_at(self, across: float, down: float) -> tuple[int, int]:
        """Row and column of the map at shares 0..1 of its width and height.

        Raises:
            InputError: a share that is none.
        """
        if not (0 <= across <= 1 and 0 <= down <= 1):
            raise InputError(f"the point {across:g}, {down:g} is outside of the map")
        row, column = int(down * self.place.height), int(across * self.place.width)
        return min(row, self.place.height - 1), min(column, self.place.width - 1)

    def scores_at(self, row: int, column: int) -> dict[str, float] | None:
        """Scores 0..1 of every name at a pixel of the map, the highest first; None where there is nodata."""
        with rasterio.open(self.files["probabilities"]) as file:
            values = file.read(window=Window(column, row, 1, 1)).ravel()
        if (values == _NODATA).all():
            return None
        scores = {name: float(value) / PROBABILITY_STEPS for name, value in zip(self.scored, values, strict=True)}
        return dict(sorted(scores.items(), key=lambda item: -item[1]))

    def chosen_at(self, row: int, column: int) -> str | None:
        """The name that the map gives a pixel; None where there is nodata."""
        with rasterio.open(self.files["labels"]) as file:
            value = int(file.read(1, window=Window(column, row, 1, 1))[0, 0])
        return self.vocabulary.names[value] if value < len(self.vocabulary) else None


def screen_size(height: int, width: int) -> tuple[int, int]:
    """Rows and columns of an image on the screen: at most :data:`SCREEN_SIDE`, never enlarged."""
    scale = min(SCREEN_SIDE / max(height, width), 1.0)
    return max(round(height * scale), 1), max(round(width * scale), 1)


def heat_colors() -> NDArray[np.uint8]:
    """uint8 [256, 3]: from dark violet to light yellow, ever brighter, so that it reads without colour too."""
    ramp = np.arange(256, dtype=np.uint8)[:, None]
    return np.ascontiguousarray(cv2.applyColorMap(ramp, cv2.COLORMAP_INFERNO)[:, 0, ::-1])
