"""The SAR partner of an image: a file that is read window by window, or an array; checked against the image's grid first."""

from __future__ import annotations

import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import ColorInterp
from rasterio.windows import Window as RasterWindow

from ovrs.data.sar.encoding import SarEncoding
from ovrs.data.sar.grids import Grid, differences, require_same_grid
from ovrs.data.sar.raster import SarRaster, check_bands, decode, grid_of_image, measured, open_raster, opening, require_scale
from ovrs.data.sar.speckle import SpeckleError
from ovrs.data.sar.upright import require_upright
from ovrs.errors import InputError
from ovrs.inference.addresses import Remote, locate, version_of
from ovrs.inference.resampling import Window, resampled
from ovrs.inference.sar_options import SarOptions, guessed_scale
from ovrs.inference.segmented import Place
from ovrs.inference.tiff import check_size

# A file; or float or uint8 [H, W] or [S, H, W].
SarInput = str | os.PathLike[str] | NDArray[np.generic]

WAY_OUT = "warp it onto that grid (gdalwarp), or have that done as it is read (--sar-resample)"
_ARRAY = "the SAR array"
# A first look at a file's values: at so many windows along either axis, of this side [pixels].
_LOOKS, _LOOK = 4, 128
# Where these hold none, it is searched in windows of this side [pixels].
_SEARCHED = 1024


class Partner(ABC):
    """SAR on its image's grid: dB, or 0..255 of eight bits; NaN where nothing was measured.

    Attributes:
        size: rows and columns.
        scale: what is read: ``db``, or ``8bit``.
        said: how it is read, in words, for the tags of what is written.
        version: what tells it from another, and from itself at another time.
    """

    size: tuple[int, int]
    scale: str
    said: str
    version: str

    @abstractmethod
    def read(self, top: int, bottom: int, left: int, right: int) -> NDArray[np.float32]:
        """float32 [S, rows, columns]."""

    def on(self, grid: tuple[int, int], window: Window) -> NDArray[np.float32]:
        """The same [S, h, w] in a window of a grid of so many rows and columns over the same ground."""
        return resampled(self.read, self.size, grid, window)


class FilePartner(Partner):
    """An open raster; any thread may read."""

    def __init__(self, raster: SarRaster, path: Path, said: str) -> None:
        self.size, self.said, self.version = (raster.height, raster.width), said, version_of(path)
        self.scale, self._raster = _scale_read(raster.encoding), raster

    def read(self, top: int, bottom: int, left: int, right: int) -> NDArray[np.float32]:
        """See the base class."""
        return self._raster.read(top, bottom, left, right)


class ArrayPartner(Partner):
    """Values float32 [S, H, W] in memory, NaN where nothing was measured; decoded whole."""

    def __init__(self, values: NDArray[np.float32], encoding: SarEncoding) -> None:
        self.size, self.said = (values.shape[1], values.shape[2]), f"an array, {in_words(encoding)}"
        self.scale = _scale_read(encoding)
        self.version = hashlib.sha256(np.ascontiguousarray(values).data).hexdigest()
        self._decoded = np.stack([decode(band, encoding, _ARRAY) for band in values])

    def read(self, top: int, bottom: int, left: int, right: int) -> NDArray[np.float32]:
        """See the base class."""
        return self._decoded[:, top:bottom, left:right]


@contextmanager
def open_partner(sar: SarInput, place: Place, options: SarOptions, bands: int = 0) -> Iterator[Partner]:
    """The partner of an image that lies at ``place``.

    Args:
        bands: how many a model reads; 0 where it does not say.

    Raises:
        PairError: it lies on another grid, and is not to be resampled or cannot be; what differs is named. Or one of the two
            is stored turned, or in a sensor's own geometry.
        InputError: it is of a kind that is not read, its scale cannot be told, or it has other bands than the model reads.
        DataError: the file is missing or damaged, or its values are of another scale.
    """
    if options.bands is not None and bands and len(options.bands) != bands:
        raise InputError(
            f"the model reads {bands} polarisation{'s' * (bands > 1)} of SAR, and bands {list(options.bands)} are "
            f"{len(options.bands)}; name as many (--sar-bands)"
        )
    if isinstance(place.path, Path):
        require_upright(place.path)
        if place.transform is None:
            grid_of_image(str(place.path), (place.height, place.width))
    if isinstance(sar, np.ndarray):
        yield _of_array(sar, place, options, bands)
        return
    if not isinstance(sar, (str, os.PathLike)):
        raise InputError(f"SAR is a file, or an array [H, W] or [S, H, W], not {type(sar).__name__}")
    path = locate(sar, allow_remote=True)
    if isinstance(path, Remote):
        raise InputError(f"{path}: a SAR partner is read from a file here; fetch it first")
    require_upright(path)
    with open_raster(os.fspath(path)) as dataset:
        check_size(path, dataset)
        grid, names = Grid(place.width, place.height, place.crs, place.transform), (_name(place), str(path))
        if not options.resample:
            require_same_grid(grid, Grid.of(dataset), names=names, way_out=WAY_OUT)
        encoding = encoding_of(dataset, options, bands, path, image=place.path)
        raster = SarRaster(dataset, encoding, name=names[1], image=grid, image_name=names[0], way_out=WAY_OUT)
        moved = ", resampled onto the image's grid" if differences(grid, Grid.of(dataset)) else ""
        yield FilePartner(raster, path, f"{path.name}, {in_words(encoding)}{moved}")


def _scale_read(encoding: SarEncoding) -> str:
    return "8bit" if encoding.scale == "8bit" else "db"


def in_words(encoding: SarEncoding) -> str:
    """Which bands are read as what: ``band 1, db, nodata -99, speckle filter lee of 5 pixels``."""
    several = "s" * (len(encoding.bands) > 1)
    said = f"band{several} {','.join(map(str, encoding.bands))}, {encoding.scale}"
    if encoding.nodata is not None:
        said += f", nodata {str(float(encoding.nodata)).removesuffix('.0')}"
    speckle = encoding.speckle
    if speckle.name == "none":
        return said
    looks = "" if speckle.name == "boxcar" else f" for {speckle.looks:g} looks"
    return f"{said}, speckle filter {speckle.name} of {2 * speckle.reach + 1} pixels{looks}"


def _of_array(values: NDArray[np.generic], place: Place, options: SarOptions, bands: int) -> ArrayPartner:
    if values.ndim not in (2, 3) or values.dtype.kind not in "fiu" or not values.size:
        raise InputError(f"SAR as an array is [H, W] or [S, H, W] of real numbers, not {values.dtype} of shape {values.shape}")
    values = values[None] if values.ndim == 2 else values
    own = Grid(values.shape[2], values.shape[1])
    way_out = "an array says nothing of where it lies; give one of the image's size"
    require_same_grid(Grid(place.width, place.height), own, names=(_name(place), _ARRAY), way_out=way_out)
    chosen = options.bands or _first_bands(range(1, len(values) + 1), bands, _ARRAY)
    if max(chosen) > len(values):
        raise InputError(f"{_ARRAY}: has no band {max(chosen)}; it has {len(values)}")
    of_bytes = values.dtype == np.uint8
    floats = np.ma.filled(values[[band - 1 for band in chosen]].astype(np.float32), np.nan)
    if options.nodata is not None:
        floats[floats == np.float32(options.nodata)] = np.nan
    return ArrayPartner(floats, _encoding_for(floats, options, chosen, of_bytes, _ARRAY))


def encoding_of(
    dataset: rasterio.DatasetReader, options: SarOptions, bands: int, path: Path, *, image: object = None
) -> SarEncoding:
    """Which bands of a file are read as what, by the options and some of its values.

    Args:
        bands: how many a model reads; 0 where it does not say.
        image: the file of the image that it belongs to, which may be the same one.

    Raises:
        InputError: its scale cannot be told, it has no such bands, or a filter does not suit it.
        DataError: its values are of another scale.
    """
    name = str(path)
    for band in options.bands or ():
        if image == path and band <= dataset.count and dataset.colorinterp[band - 1] == ColorInterp.alpha:
            raise InputError(
                f"{name}: band {band} is declared to be the image's transparency, so that the image would have no pixel where "
                f"SAR is 0; write the file without: gdal_translate -colorinterp_{band} undefined {path.name} ..."
            )
    held = [band for band, kind in enumerate(dataset.colorinterp, start=1) if kind != ColorInterp.alpha]
    chosen = options.bands or _first_bands(held, bands, name)
    check_bands(dataset, chosen, name)
    of_bytes = all(dataset.dtypes[band - 1] == "uint8" for band in chosen)
    return _encoding_for(_glimpse(dataset, chosen, options, name), options, chosen, of_bytes, name)


def _encoding_for(
    some: NDArray[np.float32], options: SarOptions, bands: tuple[int, ...], of_bytes: bool, name: str
) -> SarEncoding:
    """How bands are read of which ``some`` values [S, ...] are known: as the options say, or as these have it."""
    try:
        encoding = options.encoding(options.scale or guessed_scale(some, of_bytes, name), bands)
    except SpeckleError as error:
        raise InputError(f"{name}: {error}") from error
    for band in some:
        require_scale(band, encoding, name)
    return encoding


def _first_bands(held: Sequence[int], bands: int, name: str) -> tuple[int, ...]:
    """Those of the bands that are held that a model of so many reads; all where it does not say."""
    wanted = bands or 1
    if len(held) < wanted:
        raise InputError(
            f"{name}: holds {len(held)} band{'s' * (len(held) != 1)} of values, alpha apart, and {wanted} "
            f"{'are' if wanted > 1 else 'is'} read; give a raster that has a band for each polarisation"
        )
    return tuple(held[:bands] if bands else held)


def _glimpse(dataset: rasterio.DatasetReader, bands: tuple[int, ...], options: SarOptions, name: str) -> NDArray[np.float32]:
    """Some of the values [S, N] of a file's bands, NaN where there are none: of windows spread over it, so that it is read
    whole only in search of its first value.
    """
    height, width = dataset.height, dataset.width
    side = min(_LOOK, height), min(_LOOK, width)
    rows, columns = (
        sorted({int(start) for start in np.linspace(0, full - part, _LOOKS)})
        for full, part in zip((height, width), side, strict=True)
    )
    spread = (RasterWindow(left, top, side[1], side[0]) for top in rows for left in columns)
    every = (
        RasterWindow(left, top, min(_SEARCHED, width - left), min(_SEARCHED, height - top))
        for top in range(0, height, _SEARCHED)
        for left in range(0, width, _SEARCHED)
    )

    def look(window: RasterWindow) -> NDArray[np.float32]:
        with opening(name):
            return measured(dataset, bands, options.nodata, window).reshape(len(bands), -1)

    found = np.concatenate([look(window) for window in spread], axis=1)
    if np.isfinite(found).any():
        return found
    return next((values for values in map(look, every) if np.isfinite(values).any()), found)


def _name(place: Place) -> str:
    return "the image" if place.path is None else str(place.path)
