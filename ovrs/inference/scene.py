"""A scene that is read in windows: pixels as the model wants them, and which of the file's pixels are valid.

Two grids lie over a scene: the file's own, on which results are written, and the model's, which is the same unless a ground
sample distance is asked for. Nothing of a GeoTIFF's size is held in memory; pictures and arrays are small enough to be.
"""

from __future__ import annotations

import math
import os
import threading
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from affine import Affine
from numpy.typing import NDArray
from PIL import Image
from rasterio.crs import CRS
from rasterio.enums import MaskFlags, Resampling
from rasterio.errors import RasterioError
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window

from ovrs.errors import InputError
from ovrs.inference.collar import Collar
from ovrs.inference.nodata import Nodata
from ovrs.inference.rasters import (
    DEFAULT_MAX_PICTURE,
    DEFAULT_MAX_PIXELS,
    Bands,
    ImageInput,
    choose_bands,
    open_tiff,
    place_of,
    read_header,
    read_picture,
)
from ovrs.inference.segmentation import Place
from ovrs.inference.stretch import Stretch, StretchRule, as_eight_bits

# A model's grid this close to the file's own is taken to be it [share].
_SAME_GSD = 0.01
# A file is not enlarged beyond this: it would only show the model blur.
_MAX_ENLARGED = 8.0
# Side of the thumbnail that a stretch is fitted to [pixels].
_SAMPLE_SIDE = 2048


@dataclass(frozen=True)
class ReadOptions:
    """How a file becomes eight-bit RGB.

    Attributes:
        bands: numbers from 1 of the bands that stand for red, green and blue; None takes the file's own.
        stretch: how other than eight-bit values are brought to 0..255.
        nodata: what is invalid beside what the file declares, see :data:`Nodata`.
        gsd: metres a pixel at which the model sees the scene; None takes the file's own.
        max_pixels: of a GeoTIFF, which is never in memory as a whole.
        max_picture: pixels of a picture, which is.
    """

    bands: Bands | None = None
    stretch: StretchRule = field(default_factory=StretchRule)
    nodata: Nodata = "auto"
    gsd: float | None = None
    max_pixels: int = DEFAULT_MAX_PIXELS
    max_picture: int = DEFAULT_MAX_PICTURE


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

    @abstractmethod
    def read(self, top: int, bottom: int, left: int, right: int) -> NDArray[np.uint8]:
        """Pixels [3, rows, columns] of the model's grid."""

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

    def holds_image(self, top: int, bottom: int) -> NDArray[np.bool_]:
        """For every column of the model's grid whether there is a valid pixel in the rows ``top`` to ``bottom``."""
        rows, columns = self.height / self.model_size[0], self.width / self.model_size[1]
        valid = self.valid(math.floor(top * rows), min(math.ceil(bottom * rows), self.height), 0, self.width).any(axis=0)
        starts = np.floor(np.arange(self.model_size[1]) * columns).astype(int)
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

    def read(self, top: int, bottom: int, left: int, right: int) -> NDArray[np.uint8]:
        """See the base class."""
        return self._pixels[:, top:bottom, left:right]

    def valid(self, top: int, bottom: int, left: int, right: int) -> NDArray[np.bool_]:
        """See the base class."""
        return self._valid[top:bottom, left:right]

    def reduced(self, size: tuple[int, int]) -> NDArray[np.uint8]:
        """See the base class."""
        return np.asarray(cv2.resize(self._rgb, size[::-1], interpolation=cv2.INTER_AREA), dtype=np.uint8)


class TiffScene(Scene):
    """A GeoTIFF, read window by window from any thread.

    Raises:
        InputError: its bands or ground sample distance cannot be used, or it is too large.
    """

    def __init__(self, path: Path, options: ReadOptions) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._file = open_tiff(path)
        try:
            self._prepare(options)
        except BaseException:
            self.close()
            raise

    def _prepare(self, options: ReadOptions) -> None:
        file = self._file
        synthetic = "SYNTHETIC" in file.tags()  # our own drawings say so
        self.place = place_of(file.height, file.width, file.crs, file.transform, self.path, synthetic)
        self._bands = list(choose_bands(self.path, file, options.bands))
        self._nodata = options.nodata
        self._collar: Collar | None = None
        self.model_size = model_grid(self.place, options.gsd)
        self._model_file = self._resampled() if self.model_size != (self.height, self.width) else file
        self._stretch = self._fit(options.stretch)
        if options.nodata == "auto" and not self._declares():
            self._collar = self._find_collar()
        self.facts = (
            ("BANDS", ",".join(map(str, self._bands))),
            *((("STRETCH", str(self._stretch)),) if self._stretch is not None else ()),
            *((("GSD", f"{options.gsd:g} m"),) if self._model_file is not file else ()),
        )

    def read(self, top: int, bottom: int, left: int, right: int) -> NDArray[np.uint8]:
        """See the base class."""
        bands = self._bands_of(self._model_file, Window(left, top, right - left, bottom - top))
        return self._eight_bits(bands)

    def valid(self, top: int, bottom: int, left: int, right: int) -> NDArray[np.bool_]:
        """See the base class."""
        window = Window(left, top, right - left, bottom - top)
        with self._lock, self._damage():
            valid = self._file.dataset_mask(window=window) > 0
        floating = any(np.dtype(self._file.dtypes[band - 1]).kind == "f" for band in self._bands)
        if floating or isinstance(self._nodata, int):
            bands = self._bands_of(self._file, window)
            valid &= np.isfinite(bands).all(axis=0)
            if isinstance(self._nodata, int):
                valid &= ~(bands == self._nodata).all(axis=0)
        if self._collar is not None:
            valid &= ~self._collar.rows(top, bottom)[:, left:right]
        return np.asarray(valid)

    def reduced(self, size: tuple[int, int]) -> NDArray[np.uint8]:
        """See the base class."""
        whole = Window(0, 0, self.width, self.height)
        bands = self._bands_of(self._file, whole, out_shape=(3, *size), resampling=Resampling.average)
        return self._eight_bits(bands).transpose(1, 2, 0)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _eight_bits(self, bands: NDArray[Any]) -> NDArray[np.uint8]:
        return as_eight_bits(bands) if self._stretch is None else self._stretch(bands)

    def _bands_of(self, file: Any, window: Window, **options: Any) -> NDArray[Any]:
        with self._lock, self._damage():
            return np.asarray(file.read(self._bands, window=window, **options))

    def _damage(self) -> _Damage:
        return _Damage(self.path)

    def _resampled(self) -> WarpedVRT:
        """The file on the model's grid; mean values where it is coarser, bilinear where it is finer."""
        rows, columns = self.model_size
        own = self._file.transform
        crs = self.place.crs or CRS.from_epsg(3857)  # both sides the same: nothing is projected
        return WarpedVRT(
            self._file,
            src_crs=crs,
            crs=crs,
            transform=own @ Affine.scale(self.width / columns, self.height / rows),
            width=columns,
            height=rows,
            resampling=Resampling.average if rows < self.height else Resampling.bilinear,
            tolerance=0.01,  # pixels; at 0 GDAL makes no transformer
        )

    def _fit(self, rule: StretchRule) -> Stretch | None:
        shrink = max(self.height, self.width) / _SAMPLE_SIDE
        size = (max(round(self.height / max(shrink, 1)), 1), max(round(self.width / max(shrink, 1)), 1))
        whole = Window(0, 0, self.width, self.height)
        sample = self._bands_of(self._file, whole, out_shape=(3, *size))
        with self._lock, self._damage():
            valid = self._file.dataset_mask(out_shape=size) > 0
        finite = np.isfinite(sample).all(axis=0)
        # Zero in every band is what undeclared nodata looks like.
        return rule.fit(sample, valid & finite & (sample != 0).any(axis=0))

    def _declares(self) -> bool:
        """Whether the file itself leaves any pixel out."""
        if all(MaskFlags.all_valid in flags for flags in self._file.mask_flag_enums):
            return False
        step = 1024
        return not all(
            self.valid(top, min(top + step, self.height), 0, self.width).all() for top in range(0, self.height, step)
        )

    def _find_collar(self) -> Collar | None:
        def brightest(top: int, bottom: int) -> NDArray[np.uint8]:
            bands = self._bands_of(self._file, Window(0, top, self.width, bottom - top))
            return np.asarray(np.abs(bands).max(axis=0))

        height, width = self.height, self.width
        edges = ((0, 0, width, 1), (0, height - 1, width, 1), (0, 0, 1, height), (width - 1, 0, 1, height))
        if not any((self._bands_of(self._file, Window(*edge)) == 0).all(axis=0).any() for edge in edges):
            return None
        collar = Collar(brightest, self.height, self.width)
        return None if collar.empty else collar


class _Damage:
    """Turns what rasterio raises on a damaged file into an :class:`InputError`."""

    def __init__(self, path: Path | None) -> None:
        self.path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if isinstance(error, RasterioError):
            raise InputError(f"{self.path}: the TIFF is truncated or damaged ({error.__cause__ or error})") from error


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


def open_scene(image: Any, options: ReadOptions | None = None) -> Scene:
    """A scene from a file, an array uint8 [H, W, 3], a PIL image or an :class:`ImageInput`.

    Raises:
        InputError: it cannot be read; see :class:`TiffScene` and :func:`ovrs.inference.rasters.read_picture`.
    """
    options = options or ReadOptions()
    if isinstance(image, (str, os.PathLike)):
        header = read_header(image, options.max_pixels, options.max_picture, options.bands)
        if header.is_tiff:
            return TiffScene(header.path, options)
        image = read_picture(header.path, nodata=options.nodata, max_pixels=options.max_picture)
    elif isinstance(image, Image.Image):
        image = ImageInput.from_picture(image)
    elif isinstance(image, np.ndarray):
        image = ImageInput.from_array(image)
    return ArrayScene(image, options.gsd)
