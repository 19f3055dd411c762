"""How large a pixel is on the ground."""

from __future__ import annotations

import math

from affine import Affine
from rasterio.crs import CRS
from rasterio.errors import RasterioError
from rasterio.warp import transform as project

# The WGS 84 ellipsoid: semi-major axis [m] and squared eccentricity.
_RADIUS = 6_378_137.0
_ECCENTRICITY2 = 0.006_694_379_990_14
# A projection that stretches areas by more than this share is not taken at its word (Mercator, degrees).
_TOLERANCE = 0.01


def ground_area(crs: CRS, transform: Affine, width: int, height: int) -> float | None:
    """Area in square metres of the pixel at the middle of an image; None where it cannot be known.

    It is the planar area in the units of the CRS, as GIS reports it, except where the projection stretches areas by more than
    one per cent (Web Mercator, geographic degrees): there it is the area on the WGS 84 ellipsoid.
    """
    planar = _planar_area(crs, transform)
    true = _ellipsoid_area(crs, transform, width, height)
    if planar is None or true is None:
        return true if planar is None else planar
    return planar if abs(planar - true) <= _TOLERANCE * true else true


def _planar_area(crs: CRS, transform: Affine) -> float | None:
    if not crs.is_projected:
        return None
    try:
        metres = crs.linear_units_factor[1]
    except RasterioError:
        return None
    area = abs(transform.determinant) * metres**2
    return area if math.isfinite(area) and area > 0 else None


def _ellipsoid_area(crs: CRS, transform: Affine, width: int, height: int) -> float | None:
    """From the longitudes and latitudes of the middle pixel's corner and its two neighbours."""
    column, row = width / 2, height / 2
    columns, rows = (column, column + 1, column), (row, row, row + 1)
    xs = [transform.a * x + transform.b * y + transform.c for x, y in zip(columns, rows, strict=True)]
    ys = [transform.d * x + transform.e * y + transform.f for x, y in zip(columns, rows, strict=True)]
    try:
        longitudes, latitudes = project(crs, "EPSG:4326", xs, ys)[:2]
    except RasterioError:
        return None
    if not all(map(math.isfinite, (*longitudes, *latitudes))):
        return None
    sine2 = math.sin(math.radians(latitudes[0])) ** 2
    normal = _RADIUS / math.sqrt(1 - _ECCENTRICITY2 * sine2)
    meridian = normal * (1 - _ECCENTRICITY2) / (1 - _ECCENTRICITY2 * sine2)
    east = [math.radians(value - longitudes[0]) * normal * math.sqrt(1 - sine2) for value in longitudes[1:]]
    north = [math.radians(value - latitudes[0]) * meridian for value in latitudes[1:]]
    area = abs(east[0] * north[1] - east[1] * north[0])
    return area if math.isfinite(area) and area > 0 else None
