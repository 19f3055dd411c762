"""Where an image was taken and what climate zone that is: by its own grid, or as the user says."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING

from ovrs.climate import places
from ovrs.climate.zones import Zone, zone_named
from ovrs.inference.addresses import Location
from ovrs.inference.climate_options import ClimateOptions

if TYPE_CHECKING:
    from ovrs.inference.reading import ReadOptions
    from ovrs.inference.segmented import Place as Grid


def coordinates_of_file(location: Location, options: ReadOptions) -> str:
    """Where a file says that it was taken, as :meth:`ClimateOptions.where` reads it; of a drawn scene its zone.

    Returns:
        Latitude and longitude in degrees; "" where the file says nothing.

    Raises:
        InputError: it cannot be segmented.
    """
    grid = grid_of_file(location, options)
    if grid is None or grid.zone:
        return "" if grid is None else grid.zone
    place = _middle_of(grid)
    return "" if place is None else f"{place.lat:.4f}, {place.lon:.4f}"


def grid_of_file(location: Location, options: ReadOptions) -> Grid | None:
    """Of a GeoTIFF; None of a picture, which lies nowhere."""
    from ovrs.inference.rasters import place_of_file, read_header
    from ovrs.inference.tiff import open_tiff, reading

    header = read_header(location, options)
    if header.kind == "picture":
        return None
    with open_tiff(location, is_vrt=header.kind == "VRT") as file, reading(location):
        return place_of_file(file, location)


def place_and_zone(options: ClimateOptions, grid: Grid | None) -> tuple[places.Place | None, Zone | None, str]:
    """The place of an image, the zone there, and who says the zone where it is not looked up."""
    place = options.place or (None if grid is None else _middle_of(grid))
    return place, *_zone_of(place, options, "" if grid is None else grid.zone)


def _middle_of(grid: Grid) -> places.Place | None:
    """By its coordinate reference system, or the control points of a GeoTIFF that has no other."""
    if grid.crs is not None:
        name = "the image" if grid.path is None else grid.path.name
        return places.place_of_grid(grid.crs, grid.transform, grid.width, grid.height, f"the middle of {name}")
    if isinstance(grid.path, Path) and grid.path.suffix.lower() in (".tif", ".tiff"):
        return places.place_of_raster(grid.path)
    return None


def _zone_of(place: places.Place | None, options: ClimateOptions, drawn: str) -> tuple[Zone | None, str]:
    """The zone of a place, and who says so where it is not looked up there."""
    if options.zone:
        return zone_named(options.zone), "as named"
    if drawn and options.place is None:
        return zone_named(drawn), "as drawn"
    if place is None:
        return None, ""
    from ovrs.climate.lookup import zone_at

    return zone_at(place.lon, place.lat, options.raster), "" if options.raster is None else os.path.basename(options.raster)


def pixel_size(grid: Grid | None, gsd: float | None) -> float:
    """Metres a pixel; 0 where nothing says so."""
    if gsd is not None:
        return gsd
    return 0.0 if grid is None or grid.pixel_area is None else math.sqrt(grid.pixel_area)
