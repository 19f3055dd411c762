"""Images and label maps from their bytes (TIFF, PNG, JPEG, BMP), and back to whole files."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from PIL import Image
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader, MemoryFile

from ovrs.errors import DataError
from ovrs.files import written_whole

# Tiles and label maps carry no place on Earth; that is no news to anyone.
warnings.filterwarnings("ignore", category=NotGeoreferencedWarning)

# Formats in which tiles and label maps come, and no others: some of GDAL's make it read further files, or the network.
_FORMATS = ["GTiff", "PNG", "JPEG", "BMP"]
_MOST_PIXELS = 1 << 29
_JPEG_QUALITY = 95
_ENDS = {".png": b"IEND\xaeB`\x82", ".jpg": b"\xff\xd9"}


def read_rgb(data: bytes, name: str) -> NDArray[np.uint8]:
    """An image, uint8 [H, W, 3], from the bytes of a file: its first three bands, or grey as three, or a palette's colours.

    Args:
        data: the file's bytes.
        name: what messages call it.

    Raises:
        DataError: the bytes are no image, or not of 8 bits.
    """
    with _opened(data, name) as raster:
        if raster.dtypes[0] != "uint8":
            raise DataError(f"{name}: its pixels are {raster.dtypes[0]}, expected uint8")
        if raster.count < 3:
            band = raster.read(1)
            return _palette(raster)[band] if raster.colorinterp[0].name == "palette" else np.repeat(band[..., None], 3, axis=2)
        return np.ascontiguousarray(np.moveaxis(raster.read([1, 2, 3]), 0, 2))


def read_band(data: bytes, name: str, band: int = 1) -> NDArray[np.uint8]:
    """One band of an image, uint8 [H, W], from the bytes of a file.

    Raises:
        DataError: the bytes are no image, it has no such band, or that is not of 8 bits.
    """
    with _opened(data, name) as raster:
        if raster.count < band or raster.dtypes[band - 1] != "uint8":
            raise DataError(f"{name}: holds {', '.join(raster.dtypes)}; expected band {band} to be there, of uint8")
        return raster.read(band)


def read_index(data: bytes, name: str) -> NDArray[np.integer]:
    """A label map [H, W] from the bytes of a file: the numbers stored, whatever a palette makes of them.

    Raises:
        DataError: the bytes are no image, or it has more than one band of whole numbers.
    """
    with _opened(data, name) as raster:
        if raster.count != 1 or not np.issubdtype(np.dtype(raster.dtypes[0]), np.integer):
            raise DataError(f"{name}: has {raster.count} bands of {raster.dtypes[0]}, expected one of whole numbers")
        return raster.read(1)


def write_tile(path: Path, pixels: NDArray[np.uint8]) -> None:
    """Write an image [H, W, 3] or label map [H, W] whole, as PNG or (quality 95, no colour subsampling) JPEG."""
    image = Image.fromarray(pixels)
    with written_whole(path) as temporary:
        if path.suffix == ".jpg":
            image.save(temporary, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
        else:
            image.save(temporary, "PNG", compress_level=6)


def is_whole(path: Path) -> bool:
    """Whether a tile is there and ends as its format ends."""
    end = _ENDS[path.suffix]
    try:
        with path.open("rb") as file:
            file.seek(-len(end), 2)
            return file.read() == end
    except OSError:
        return False


def _palette(raster: DatasetReader) -> NDArray[np.uint8]:
    colors = np.zeros((256, 3), np.uint8)
    for index, color in raster.colormap(1).items():
        colors[index] = color[:3]
    return colors


@contextmanager
def _opened(data: bytes, name: str) -> Iterator[DatasetReader]:
    """A raster in memory. An image that ends early is an error: GDAL by itself reads the rest of a PNG or JPEG as noise."""
    if data.startswith(b"\x89PNG") and _ENDS[".png"] not in data[-1024:]:
        raise DataError(f"{name}: is no image that can be read, or is damaged (it ends early); download its archive again")
    try:
        with (
            rasterio.Env(GDAL_ERROR_ON_LIBJPEG_WARNING=True),
            MemoryFile(data) as memory,
            memory.open(driver=_FORMATS) as raster,
        ):
            if raster.width * raster.height > _MOST_PIXELS:
                raise DataError(f"{name}: claims {raster.width:,} x {raster.height:,} pixels; download its archive again")
            yield raster
    except RasterioError as error:
        raise DataError(f"{name}: is no image that can be read, or is damaged ({error}); download its archive again") from error
