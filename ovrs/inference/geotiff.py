"""Writing rasters on a scene's grid, block by block: tiled, compressed, with overviews and tags."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio._err import CPLE_BaseError
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.shutil import copy as copy_raster
from rasterio.windows import Window

from ovrs.errors import OutputError

BLOCK = 512
# A raster is given overviews until one fits into a block; below this side it needs none [pixels].
_OVERVIEWS_FROM = 2 * BLOCK


@dataclass(frozen=True)
class Layer:
    """One raster.

    Attributes:
        dtype: of its values.
        nodata: the value of pixels without an image, if there are such.
        count: bands.
        tags: text by name.
        names: a description for each band.
        colors: RGBA by value, for a class map.
        options: further creation options, as ``predictor``.
        overviews: how pixels are put together.
    """

    dtype: str
    nodata: float | None
    count: int = 1
    tags: Mapping[str, str] | None = None
    names: Sequence[str] = ()
    colors: Mapping[int, tuple[int, ...]] | None = None
    options: Mapping[str, object] | None = None
    overviews: Resampling = Resampling.nearest


# Where a piece begins (row, column), and its values [bands, h, w].
Piece = tuple[int, int, NDArray[Any]]


def write_raster(
    path: Path,
    layer: Layer,
    pieces: Iterable[Piece],
    shape: tuple[int, int],
    crs: CRS | None,
    transform: Affine | None,
    *,
    cog: bool = False,
) -> None:
    """Write a raster of ``shape`` (rows, columns) from pieces that cover it, each of whole blocks.

    Args:
        path: a temporary name; nobody should meet the file before this returns.
        cog: a cloud-optimised GeoTIFF; it is written a second time from a first one beside it.

    Raises:
        OutputError: it cannot be written; a full disk among the reasons.
    """
    first = path.with_name(f"{path.name}.blocks") if cog else path
    profile = {
        "driver": "GTiff",
        "count": layer.count,
        "height": shape[0],
        "width": shape[1],
        "dtype": layer.dtype,
        "nodata": layer.nodata,
        "crs": crs,
        "transform": transform,
        "tiled": True,
        "blockxsize": BLOCK,
        "blockysize": BLOCK,
        "compress": "deflate",
        "interleave": "band",
        "num_threads": "all_cpus",
        "BIGTIFF": "IF_SAFER",
    }
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(first, "w", **{**profile, **(layer.options or {})}) as file:
                file.update_tags(**dict(layer.tags or {}))
                for band, name in enumerate(layer.names, start=1):
                    file.set_band_description(band, name)
                if layer.colors is not None:
                    file.write_colormap(1, dict(layer.colors))
                for top, left, values in pieces:
                    file.write(values, window=Window(left, top, values.shape[2], values.shape[1]))
            if max(shape) >= _OVERVIEWS_FROM:
                _add_overviews(first, layer.overviews, max(shape))
            if cog:
                options = {"compress": "deflate", "blocksize": BLOCK, "overviews": "AUTO", "BIGTIFF": "IF_SAFER"}
                copy_raster(first, path, driver="COG", **options)
                first.unlink()
        _read_through(path)
    except (RasterioError, CPLE_BaseError, OSError) as error:
        raise OutputError(f"{path.name}: cannot be written: {error.__cause__ or error}") from error


def _add_overviews(path: Path, resampling: Resampling, side: int) -> None:
    factors = [2**level for level in range(1, 20) if side / 2 ** (level - 1) > BLOCK]
    with rasterio.open(path, "r+") as file:
        file.build_overviews(factors, resampling)


def _read_through(path: Path) -> None:
    """Read every block once: what GDAL writes as it closes a file can fail without a word, on a full disk."""
    with rasterio.open(path) as file:
        for _, window in file.block_windows(1):
            file.read(window=window)


def as_bands(values: NDArray[Any]) -> NDArray[Any]:
    """[h, w] or [bands, h, w] -> [bands, h, w]."""
    return values[None] if values.ndim == 2 else np.asarray(values)
