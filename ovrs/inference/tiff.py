"""Opening GeoTIFFs for reading: which driver and settings, which bands, and what is refused from the header alone."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import numpy as np
import rasterio
from rasterio._err import CPLE_BaseError
from rasterio.enums import ColorInterp
from rasterio.errors import CRSError, NotGeoreferencedWarning, RasterioError, RasterioIOError

from ovrs.errors import InputError
from ovrs.inference.addresses import Location, Remote
from ovrs.inference.reading import Bands

# A block is decoded as a whole, whatever window is asked for [bytes].
_MAX_BLOCK = 2**29
# Rows are looked at in their full width [pixels].
_MAX_SIDE = 1_000_000
# Few and large requests, no listing of folders, and an end to waiting [seconds]. The environment may say otherwise.
_REMOTE_SETTINGS = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_INGESTED_BYTES_AT_OPEN": "32768",
    "GDAL_HTTP_CONNECTTIMEOUT": "15",
    "GDAL_HTTP_TIMEOUT": "60",
    "GDAL_HTTP_MAX_RETRY": "3",
    "GDAL_HTTP_RETRY_DELAY": "1",
}
# What accompanies a file (.aux.xml) can name other files, elsewhere too; without leave GDAL asks for none.
_LOCAL_SETTINGS = {"CPL_VSIL_CURL_ALLOWED_FILENAME": "/vsicurl/none"}


def open_tiff(location: Location, *, is_vrt: bool = False) -> rasterio.DatasetReader:
    """Open a GeoTIFF for reading; what is read of it is read within :func:`reading`.

    Args:
        is_vrt: open a VRT, which is trusted with what it points to. One of GDAL's virtual paths may always be one.

    Raises:
        InputError: its header is truncated or damaged, or it cannot be reached.
    """
    if isinstance(location, Remote):
        return _open(location, location.virtual_path, ("GTiff", "VRT") if location.is_virtual else ("GTiff",))
    return _open(location, os.fspath(location.absolute()), ("VRT",) if is_vrt else ("GTiff",))


def _open(location: Location, name: str, drivers: Sequence[str]) -> rasterio.DatasetReader:
    with reading(location), warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        for driver in drivers[:-1]:
            with suppress(RasterioIOError):
                return rasterio.open(name, driver=driver)
        return rasterio.open(name, driver=drivers[-1])


@contextmanager
def reading(location: Location) -> Iterator[None]:
    """GDAL's settings for an image, in this thread, and its errors as :class:`InputError`."""
    settings = _REMOTE_SETTINGS if isinstance(location, Remote) else _LOCAL_SETTINGS
    try:
        with rasterio.Env(**{name: value for name, value in settings.items() if name not in os.environ}):
            yield
    except (RasterioError, CPLE_BaseError, CRSError, UnicodeDecodeError) as error:
        cause = str(error.__cause__ or error)
        if isinstance(location, Remote):
            cause = cause.replace(location.virtual_path, "it").replace(location.address, "it")
            raise InputError(f"{location}: cannot be reached, or is no whole GeoTIFF ({cause})") from error
        raise InputError(f"{location}: the TIFF is truncated or damaged ({cause})") from error


def check_size(location: Location, dataset: rasterio.DatasetReader) -> None:
    """Refuse what could not be read in bounded memory.

    Raises:
        InputError: blocks that are too large to decode, or a side that is too long.
    """
    if max(dataset.width, dataset.height) > _MAX_SIDE:
        raise InputError(
            f"{location}: {dataset.width} x {dataset.height} pixels; no side may be longer than {_MAX_SIDE:,}; cut the scene"
        )
    bands = dataset.count if dataset.interleaving is not None and dataset.interleaving.name == "pixel" else 1
    for dtype, (rows, columns) in zip(dataset.dtypes, dataset.block_shapes, strict=True):
        size = rows * columns * bands * np.dtype(dtype).itemsize
        if size > _MAX_BLOCK:
            raise InputError(
                f"{location}: its blocks are {columns} x {rows} pixels of {size / 2**20:,.0f} MiB, and "
                f"{_MAX_BLOCK / 2**20:.0f} are allowed; write it in tiles: gdal_translate -co TILED=YES IN OUT"
            )


def choose_bands(location: Location, dataset: rasterio.DatasetReader, wanted: Bands | None = None) -> Bands:
    """The numbers of the bands that stand for red, green and blue.

    Without ``wanted``: those that the file calls so; else its first three; a single band stands for all three.

    Raises:
        InputError: a band that the file does not have, values that are no real numbers or stand for colours of a table, or
            more bands than colours without a word on which is which.
    """
    kinds = list(dataset.colorinterp)
    colors = [number for number, kind in enumerate(kinds, start=1) if kind != ColorInterp.alpha]
    named = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
    if wanted is not None:
        missing = [band for band in wanted if not 1 <= band <= dataset.count]
        if missing:
            raise InputError(
                f"{location}: has {_count(dataset.count, 'band')}, numbered from 1, and no band {missing[0]} (--bands)"
            )
        chosen = wanted
    elif all(kind in kinds for kind in named):
        chosen = (kinds.index(named[0]) + 1, kinds.index(named[1]) + 1, kinds.index(named[2]) + 1)
    elif len(colors) == 1:
        chosen = (colors[0],) * 3
    elif len(colors) == 3:
        chosen = (colors[0], colors[1], colors[2])
    else:
        raise InputError(
            f"{location}: has {_count(len(colors), 'band')} and does not say which are red, green and blue; "
            "name them, as in --bands 3,2,1"
        )
    for band in chosen:
        kind = dataset.dtypes[band - 1]
        if not kind.startswith(("int", "uint", "float")):
            raise InputError(f"{location}: its bands are {kind}, not real numbers")
    if wanted is None and kinds[chosen[0] - 1] == ColorInterp.palette:
        raise InputError(
            f"{location}: its values are numbers of colours in a table; write the colours themselves: "
            "gdal_translate -expand rgb IN OUT (or take the numbers as grey: --bands 1,1,1)"
        )
    return chosen


def _count(number: int, noun: str) -> str:
    return f"one {noun}" if number == 1 else f"{number} {noun}s"
