"""The SAR partner of an image: a file that is read window by window, or an array; checked against the image's grid first."""

from __future__ import annotations

import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import ColorInterp
from rasterio.windows import Window as RasterWindow

from ovrs.data.sar.encoding import SarEncoding
from ovrs.data.sar.grids import Grid, differences, require_same_grid
from ovrs.data.sar.raster import SarRaster, decode, open_raster, opening
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
# A guess at the scale looks at so many windows along either axis, of this side [pixels].
_LOOKS, _LOOK = 4, 128


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
    """An array [S, H, W] in memory, decoded whole."""

    def __init__(self, values: NDArray[np.generic], encoding: SarEncoding) -> None:
        self.size, self.said = (values.shape[1], values.shape[2]), f"an array, {in_words(encoding)}"
        self.scale = _scale_read(encoding)
        self.version = hashlib.sha256(np.ascontiguousarray(values).data).hexdigest()
        bands = [values[band - 1].astype(np.float32) for band in encoding.bands]
        if encoding.nodata is not None:
            bands = [np.where(band == np.float32(encoding.nodata), np.float32(np.nan), band) for band in bands]
        self._decoded = np.stack([decode(band, encoding, _ARRAY) for band in bands])

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
            is stored turned.
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
        encoding = _encoding_of(dataset, options, bands, path)
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
        said += f", nodata {encoding.nodata:.17g}"
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
    chosen = options.bands or tuple(range(1, (bands or len(values)) + 1))
    if max(chosen) > len(values):
        raise InputError(f"{_ARRAY}: has no band {max(chosen)}; it has {len(values)}")
    scale = options.scale
    if scale is None:
        some = values[:, :: max(own.height // 512, 1), :: max(own.width // 512, 1)].astype(np.float32)
        scale = guessed_scale(some, values.dtype == np.uint8, _ARRAY)
    return ArrayPartner(values, options.encoding(scale, chosen))


def _encoding_of(dataset: rasterio.DatasetReader, options: SarOptions, bands: int, path: Path) -> SarEncoding:
    """Which bands of a file are read as what."""
    chosen = options.bands
    if chosen is None:
        held = [band for band, kind in enumerate(dataset.colorinterp, start=1) if kind != ColorInterp.alpha]
        chosen = tuple(range(1, bands + 1)) if bands else tuple(held)
    if options.scale is not None:
        return options.encoding(options.scale, chosen)
    there = tuple(band for band in chosen if band <= dataset.count)
    of_bytes = all(dataset.dtypes[band - 1] == "uint8" for band in there)
    return options.encoding(guessed_scale(_glimpse(dataset, there, options, path), of_bytes, str(path)), chosen)


def _glimpse(dataset: rasterio.DatasetReader, bands: tuple[int, ...], options: SarOptions, path: Path) -> NDArray[np.float32]:
    """Some of the values of a file's bands, NaN where there are none: windows spread over it, so that none is read whole."""
    side = min(_LOOK, dataset.height), min(_LOOK, dataset.width)
    rows, columns = (
        sorted({int(start) for start in np.linspace(0, full - part, _LOOKS)})
        for full, part in zip((dataset.height, dataset.width), side, strict=True)
    )
    found = []
    with opening(str(path)):
        for window in (RasterWindow(left, top, side[1], side[0]) for top in rows for left in columns):
            values = dataset.read(list(bands), window=window)
            if values.dtype.kind == "c":
                return np.full(1, np.nan, np.float32)  # which is refused with its own words
            values, known = values.astype(np.float32), dataset.read_masks(list(bands), window=window) > 0
            found.append(values[known & (values != np.float32(np.nan if options.nodata is None else options.nodata))])
    return np.concatenate(found)


def _name(place: Place) -> str:
    return "the image" if place.path is None else str(place.path)
