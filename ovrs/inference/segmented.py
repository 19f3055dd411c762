"""A segmented image: the map, how sure it is, and what it covers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS

from ovrs.inference.addresses import Location
from ovrs.inference.ground import PixelAreas
from ovrs.vocabulary import Vocabulary

if TYPE_CHECKING:
    from ovrs.inference.whereabouts import Whereabouts

# uint8, or uint16 above 254 names.
Labels = NDArray[np.unsignedinteger[Any]]

# Above this many names a map's values need sixteen bits, for the largest value means nodata.
_MAX_NAMES_8_BIT = 254


def label_type(num_names: int) -> type[np.uint8] | type[np.uint16]:
    """The type of a map's values: eight bits and 255 = nodata up to 254 names, sixteen bits and 65535 = nodata above."""
    return np.uint8 if num_names <= _MAX_NAMES_8_BIT else np.uint16


def nodata_value(num_names: int) -> int:
    """The value of pixels that hold no image: 255, or 65535 above 254 names."""
    return int(np.iinfo(label_type(num_names)).max)


@dataclass(frozen=True)
class Place:
    """The grid that a map lies on.

    Attributes:
        height, width: rows and columns.
        crs: the coordinate reference system, None where the image has none.
        transform: from (column, row) to the CRS's coordinates, None without a CRS.
        pixel_area: ground area of the pixel in the middle in square metres, None where unknown.
        path: the image's file or address; None for an array.
        synthetic: drawn by ovrs, not photographed.
        pixel_areas: of every pixel, where they differ; None where all are like the one in the middle.
        zone: the climate zone in which ovrs has drawn it; "" of a photograph.
    """

    height: int
    width: int
    crs: CRS | None = None
    transform: Affine | None = None
    pixel_area: float | None = None
    path: Location | None = None
    synthetic: bool = False
    pixel_areas: PixelAreas | None = None
    zone: str = ""


class Maps(Protocol):
    """Where the maps of a segmentation are: in memory, or in files."""

    def labels(self) -> Labels:
        """[H, W]."""
        ...

    def confidence(self) -> NDArray[np.float32]:
        """[H, W]."""
        ...

    def probabilities(self) -> NDArray[np.uint8] | None:
        """[names, H, W], or None where they were not kept."""
        ...

    def strips(self, rows: int) -> Iterator[tuple[int, Labels, NDArray[np.float32]]]:
        """First row, labels and confidence [., W] of strips of about so many rows, from the top down."""
        ...


@dataclass
class Coverage:
    """Pixels, confidence and, where pixels differ in size, square metres per name, counted while a map is made."""

    names: int
    areas: PixelAreas | None = None
    pixels: NDArray[np.int64] = field(init=False)
    confidence: NDArray[np.float64] = field(init=False)
    square_metres: NDArray[np.float64] = field(init=False)

    def __post_init__(self) -> None:
        self.pixels = np.zeros(self.names, dtype=np.int64)
        self.confidence, self.square_metres = np.zeros(self.names), np.zeros(self.names)

    def add(self, labels: Labels, confidence: NDArray[np.float32], top: int = 0, left: int = 0) -> None:
        """Count a piece of a map [h, w] whose upper left pixel is in row ``top`` and column ``left``."""
        valid = labels < self.names
        values = labels[valid]
        self.pixels += np.bincount(values, minlength=self.names)
        self.confidence += np.bincount(values, weights=confidence[valid].astype(np.float64), minlength=self.names)
        if self.areas is not None:
            areas = self.areas.window(top, left, *labels.shape)
            self.square_metres += np.bincount(values, weights=areas[valid], minlength=self.names)


@dataclass(frozen=True)
class Segmented:
    """The map of one image, without what can be made of it (:class:`~ovrs.inference.segmentation.Segmentation`).

    Attributes:
        place: the grid that it lies on.
        vocabulary: what the image was segmented into.
        maps: where the map itself is.
        coverage: what it covers.
        preview: the image [h, w, 3] and its map [h, w], reduced to what fits on a screen.
        provenance: facts about how the map was made, by name.
        files: what was written.
        whereabouts: where the image was taken and what the model was told of that; None for a model that reads no places.
    """

    place: Place
    vocabulary: Vocabulary
    maps: Maps
    coverage: Coverage
    preview: tuple[NDArray[np.uint8], Labels]
    provenance: tuple[tuple[str, str], ...] = ()
    files: Sequence[Path] = ()
    whereabouts: Whereabouts | None = None

    @property
    def nodata(self) -> int:
        """The value of pixels that hold no image: 255, or 65535 above 254 names."""
        return nodata_value(len(self.vocabulary))

    @cached_property
    def labels(self) -> Labels:
        """uint8 or uint16 [H, W]: indices into ``vocabulary.names``, or :attr:`nodata`. Read from its file if it has one."""
        return self.maps.labels()

    @cached_property
    def confidence(self) -> NDArray[np.float32]:
        """float32 [H, W] in 0..1, NaN where there is nodata. Read from its file if it has one."""
        return self.maps.confidence()

    @cached_property
    def probabilities(self) -> NDArray[np.uint8] | None:
        """uint8 [names, H, W], 0..254 for 0..1 and 255 for nodata; None unless they were asked for."""
        return self.maps.probabilities()

    @property
    def valid_share(self) -> float:
        """Share of the pixels that hold an image, 0..1."""
        return int(self.coverage.pixels.sum()) / (self.place.height * self.place.width)

    def pixels(self) -> dict[str, int]:
        """Pixels per name, in the order of the map's values; nodata is not counted."""
        return {name: int(count) for name, count in zip(self.vocabulary.names, self.coverage.pixels, strict=True)}

    def shares(self) -> dict[str, float]:
        """Share of the valid pixels per name, 0..1; all 0 where no pixel is valid."""
        pixels = self.pixels()
        valid = max(sum(pixels.values()), 1)
        return {name: count / valid for name, count in pixels.items()}

    def areas(self) -> dict[str, float] | None:
        """Square metres per name; None where the size of a pixel on the ground is unknown."""
        area = self.place.pixel_area
        if area is None:
            return None
        metres = self.coverage.pixels * area if self.place.pixel_areas is None else self.coverage.square_metres
        return {name: float(value) for name, value in zip(self.vocabulary.names, metres, strict=True)}

    def mean_confidence(self) -> dict[str, float]:
        """Mean confidence per name, 0..1; NaN for a name that covers nothing."""
        with np.errstate(invalid="ignore"):
            means = self.coverage.confidence / self.coverage.pixels
        return {name: float(mean) for name, mean in zip(self.vocabulary.names, means, strict=True)}
