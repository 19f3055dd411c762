"""SAR rasters, whole or window by window, as decibels with NaN where nothing was measured."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio._err import CPLE_BaseError
from rasterio.errors import CRSError, NotGeoreferencedWarning, RasterioError, RasterioIOError
from rasterio.windows import Window

from ovrs.data.sar.encoding import SarEncoding
from ovrs.data.sar.grids import Grid, PairError, require_places, require_same_grid
from ovrs.data.sar.warping import Warp
from ovrs.errors import DataError

# What a file of a data set may be; others can name further files, elsewhere too.
DRIVERS = ("GTiff", "PNG", "JPEG", "ENVI", "HFA")
_SETTINGS = {"CPL_VSIL_CURL_ALLOWED_FILENAME": "/vsicurl/none", "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR"}
# No radar measures beyond [dB]; values that do are of another scale.
_DECIBELS = 150.0
WAY_OUT = "warp it onto that grid (gdalwarp), or give 'resample: true' under sar to have that done as it is read"


class SarRaster:
    """An open raster read as SAR; any thread may read.

    Args:
        dataset: open; whoever opened it closes it, after this.
        encoding: what its values mean.
        name: of the file, for messages.
        image: the grid of the image that it belongs to; None where it is read by itself.
        image_name: of that image, for messages.
        way_out: what a user can do where the grids differ, for the message.

    Raises:
        PairError: it does not lie on the image's grid and is not to be resampled, or cannot be.
        DataError: it lacks a band, or holds complex numbers.
    """

    def __init__(
        self,
        dataset: rasterio.DatasetReader,
        encoding: SarEncoding,
        *,
        name: str,
        image: Grid | None = None,
        image_name: str = "the image",
        way_out: str = WAY_OUT,
    ) -> None:
        self.encoding, self.name = encoding, name
        self._lock = threading.Lock()
        self._dataset = dataset
        self.height, self.width = dataset.height, dataset.width
        self._warp: Warp | None = None
        check_bands(dataset, encoding.bands, name)
        if image is not None:
            self._lay_onto(image, (image_name, name), way_out)
            self.height, self.width = image.height, image.width

    def read(self, top: int = 0, bottom: int | None = None, left: int = 0, right: int | None = None) -> NDArray[np.float32]:
        """float32 [S, h, w] of a window within the grid, all of it unless said otherwise: dB, or 0..255 of 8 bits.

        Raises:
            DataError: it is damaged, or its values cannot be of the scale that the encoding says.
        """
        bottom, right = self.height if bottom is None else bottom, self.width if right is None else right
        reach = self.encoding.speckle.reach
        above, before = max(top - reach, 0), max(left - reach, 0)
        below, behind = min(bottom + reach, self.height), min(right + reach, self.width)
        decoded = self._decoded(self._values(above, below, before, behind))
        return decoded[:, top - above : bottom - above, left - before : right - before]

    def read_checked(self) -> NDArray[np.float32]:
        """All of it, as :meth:`read` gives it, if its values as a whole may be of the scale that the encoding says.

        Raises:
            DataError: they cannot, or it is damaged.
        """
        values = self._values(0, self.height, 0, self.width)
        for band in values:
            require_scale(band, self.encoding, self.name)
        return self._decoded(values)

    def _decoded(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.stack([decode(band, self.encoding, self.name) for band in values])

    def _lay_onto(self, image: Grid, names: Sequence[str], way_out: str) -> None:
        own = Grid.of(self._dataset)
        try:
            require_same_grid(image, own, names=names, way_out=way_out)
        except DataError:
            if not self.encoding.resample:
                raise
            require_places(image, own, names=names)
            with opening(self.name):
                self._warp = Warp(own, image)

    def _values(self, top: int, bottom: int, left: int, right: int) -> NDArray[np.float32]:
        """float32 [S, h, w] as the file holds them, on the image's grid, NaN where it says that there are none."""
        if self._warp is None:
            return self._measured(top, bottom, left, right)
        with opening(self.name):
            return self._warp.read(self._mixable, len(self.encoding.bands), top, bottom, left, right)

    def _mixable(self, top: int, bottom: int, left: int, right: int) -> NDArray[np.float32]:
        """What may be mixed with its neighbours, on the raster's own grid: 0 of a power is no measurement."""
        values = self._measured(top, bottom, left, right)
        if self.encoding.scale in ("amplitude", "intensity"):
            values[values == 0] = np.nan
        return values

    def _measured(self, top: int, bottom: int, left: int, right: int) -> NDArray[np.float32]:
        """float32 [S, h, w] on the raster's own grid, NaN where it says that there are none."""
        with self._lock, opening(self.name):
            window = Window(left, top, right - left, bottom - top)
            return measured(self._dataset, self.encoding.bands, self.encoding.nodata, window)


def measured(
    dataset: rasterio.DatasetReader, bands: Sequence[int], nodata: float | None, window: Window
) -> NDArray[np.float32]:
    """float32 [S, h, w] as an open raster holds them, NaN where it, or ``nodata``, says that there are none."""
    values = dataset.read(list(bands), window=window).astype(np.float32)
    known = dataset.read_masks(list(bands), window=window) > 0
    if nodata is not None:
        known &= values != np.float32(nodata)
    values[~known] = np.nan
    return values


def check_bands(dataset: rasterio.DatasetReader, bands: Sequence[int], name: str) -> None:
    """Refuse bands that an open raster lacks, or that hold complex numbers.

    Raises:
        DataError: the first one.
    """
    for band in bands:
        if not 1 <= band <= dataset.count:
            raise DataError(f"{name}: has no band {band}; it has {dataset.count}")
        if np.dtype(dataset.dtypes[band - 1]).kind == "c":
            raise DataError(f"{name}: band {band} holds complex numbers; take their amplitude first")


def decode(values: NDArray[np.float32], encoding: SarEncoding, name: str) -> NDArray[np.float32]:
    """Decibels float32 [H, W] (0..255 of 8 bits), speckle filtered, of values as a file holds them, NaN where it has none.

    Amplitude and intensity of 0 or less are no measurement: products fill with 0 what the sensor did not see.

    Raises:
        DataError: values that cannot be of the encoding's scale.
    """
    values = np.where(np.isfinite(values), values, np.nan).astype(np.float32)
    _refuse_impossible(values, encoding, name)
    if encoding.scale == "8bit":
        return encoding.speckle(values)
    if encoding.scale == "db":
        if encoding.speckle.name == "none":
            return values
        power = 10.0 ** (0.1 * values.astype(np.float64))
    else:
        known = np.where(values > 0, values, np.nan).astype(np.float64)
        power = known**2 if encoding.scale == "amplitude" else known
    # Float32 spans 10^-38 to 10^38; from a squared 16-bit amplitude to -150 dB there is room.
    filtered = encoding.speckle(power.astype(np.float32))
    return np.asarray(10.0 * np.log10(filtered), dtype=np.float32)


def require_scale(values: NDArray[np.float32], encoding: SarEncoding, name: str) -> None:
    """Refuse the values of a raster, or a fair part of them, that cannot be of the encoding's scale; NaN says nothing.

    Calm water has as many values below 0 as above once a product's noise was taken off, so that a small part may have none
    above where the raster is sound.

    Raises:
        DataError: they are of another one.
    """
    _refuse_impossible(values, encoding, name)
    known = values[np.isfinite(values)]
    if encoding.scale in ("amplitude", "intensity") and known.size and float((known < 0).mean()) > 0.5:
        raise DataError(f"{_held(known, encoding, name)}, most of them below 0; give db")


def _refuse_impossible(values: NDArray[np.float32], encoding: SarEncoding, name: str) -> None:
    known = values[np.isfinite(values)]
    if not known.size:
        return
    if encoding.scale == "8bit" and (known.min() < 0 or known.max() > 255):
        raise DataError(f"{_held(known, encoding, name)}, beyond 0..255; give amplitude, intensity or db")
    if encoding.scale == "db" and abs(known).max() > _DECIBELS:
        raise DataError(
            f"{_held(known, encoding, name)}; give amplitude or intensity, 8bit for a stretched picture, or nodata for a value "
            "that fills"
        )


def _held(known: NDArray[np.float32], encoding: SarEncoding, name: str) -> str:
    return f"{name}: sar.scale is {encoding.scale}, but values run from {known.min():g} to {known.max():g}"


def read_sar(paths: Sequence[str], encoding: SarEncoding, *, image: str, size: tuple[int, int]) -> NDArray[np.float32]:
    """float32 [S, H, W]: the bands of all files in turn, on the grid of their image.

    Args:
        paths: one file, or one a polarisation.
        encoding: what their values mean.
        image: the image's file; it is opened only where a SAR file says where it lies.
        size: the image's height and width.

    Raises:
        PairError: a file does not lie on the image's grid.
        DataError: a file cannot be read.
    """
    parts = []
    for path in paths:
        with open_raster(path) as dataset:
            placed = Grid.of(dataset).transform is not None
            grid = grid_of_image(image, size) if placed else Grid(size[1], size[0])
            parts.append(SarRaster(dataset, encoding, name=path, image=grid, image_name=image).read_checked())
    return np.concatenate(parts)


def read_rgb_bands(path: str) -> NDArray[np.uint8]:
    """The first three bands of a raster as uint8 [H, W, 3]: of a file that holds SAR in a further band.

    Raises:
        DataError: it cannot be read, or its first three bands are not of 8 bits.
    """
    with open_raster(path) as dataset, opening(path):
        if dataset.count < 3 or any(dtype != "uint8" for dtype in dataset.dtypes[:3]):
            held = ", ".join(dataset.dtypes)
            raise DataError(f"{path}: its first three bands must be red, green and blue of 8 bits; it holds {held}")
        return np.ascontiguousarray(dataset.read([1, 2, 3]).transpose(1, 2, 0))


@contextmanager
def open_raster(path: str) -> Iterator[rasterio.DatasetReader]:
    """A raster file, open for reading.

    Raises:
        DataError: it is missing, damaged, or of another kind.
    """
    if not os.path.isfile(path):
        raise DataError(f"{path}: there is no such file")
    with opening(path), warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        dataset = _opened(Path(path).absolute())
    with dataset:
        yield dataset


def _opened(path: Path) -> rasterio.DatasetReader:
    for driver in DRIVERS:
        with suppress(RasterioIOError):
            return rasterio.open(path, driver=driver)
    raise DataError(f"{path}: not readable as a raster: it is damaged, or none of {', '.join(DRIVERS)}")


@contextmanager
def opening(name: str) -> Iterator[None]:
    """GDAL's settings for a file of a data set, in this thread, and its errors as DataError."""
    try:
        with rasterio.Env(**{key: value for key, value in _SETTINGS.items() if key not in os.environ}):
            yield
    except (RasterioError, CPLE_BaseError, CRSError, UnicodeDecodeError) as error:
        raise DataError(f"{name}: not readable as a raster: {error.__cause__ or error}") from error


def grid_of_image(path: str, size: tuple[int, int]) -> Grid:
    """The grid of an image file of a size [height, width]; size alone where the file says nothing of where it lies.

    Raises:
        PairError: only control points or polynomials say where it lies.
    """
    try:
        with open_raster(path) as dataset:
            grid = Grid.of(dataset)
    except PairError:
        raise
    except DataError:
        return Grid(size[1], size[0])
    return Grid(size[1], size[0], grid.crs, grid.transform)
