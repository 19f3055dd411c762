"""Where the image files of data sets were taken: the climate zone of their place, and the size of their pixels."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable
from pathlib import Path

from ovrs.climate import lookup
from ovrs.climate.places import place_of_raster, region_of_tile
from ovrs.data.catalog import row_of
from ovrs.data.table import SceneSplit
from ovrs.errors import ConfigError, InputError


def check_lookup(names: Iterable[str], raster: Path | None = None) -> None:
    """Try, before a worker is the first to, whether zones can be looked up that images of data sets may need.

    None is needed of scenes, which are drawn with their zone, and of a data set that lies in one zone.

    Args:
        names: of registered data sets.
        raster: a climate map in place of the one that comes along; it is tried in any case.

    Raises:
        ConfigError: they cannot: the map's package is missing, or the raster cannot be read.
    """
    needy = [name for name in names if _needs_lookup(name)]
    try:
        if raster is not None or needy:
            lookup.check_map(raster)
    except InputError as error:
        if raster is not None:
            raise ConfigError(f"DATASETS.CLIMATE.RASTER: {error}") from error
        raise ConfigError(f"DATASETS.CLIMATE asks where images of {needy[0]} were taken: {error}, or give ZONE") from error


def _needs_lookup(name: str) -> bool:
    row = row_of(name)
    return row is None or not (row.climate or any(isinstance(split, SceneSplit) for split in row.splits.values()))


def zone_of_file(path: Path, dataset_name: str, raster: Path | None = None) -> str | None:
    """The climate zone of an image in a file; None where it is not known.

    It is the zone of its data set, where all of that lies in one; else that of its own georeference; else, where a data set's
    files begin with the name of a region, that of the region.

    Args:
        raster: a climate map in place of the one that comes along.

    Raises:
        InputError: the zone of its place cannot be looked up.
    """
    row = row_of(dataset_name)
    if row is not None and row.climate:
        return row.climate
    try:
        place = place_of_raster(path)
    except InputError:  # a picture that Pillow reads may be none to GDAL
        place = None
    if place is None and row is not None and row.tiles_name_regions:
        place = region_of_tile(path.name)
    zone = None if place is None else lookup.zone_at(place.lon, place.lat, raster)
    return None if zone is None else zone.code


def metres_a_pixel(path: Path) -> float:
    """The side of a pixel in metres, by the file's own georeference in a projection; 0 where it has none."""
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning, RasterioError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(path) as file:
                crs, transform = file.crs, file.transform
    except RasterioError:  # a picture that Pillow reads may be none to GDAL
        return 0.0
    if crs is None or not crs.is_projected or transform.is_identity:
        return 0.0
    return float(math.hypot(transform.a, transform.d) * crs.linear_units_factor[1])
