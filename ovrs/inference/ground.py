"""How large a pixel is on the ground."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.errors import RasterioError
from rasterio.warp import transform as project

# The WGS 84 ellipsoid: semi-major axis [m] and squared eccentricity.
_RADIUS = 6_378_137.0
_ECCENTRICITY2 = 0.006_694_379_990_14
# A projection that stretches areas by more than this share is not taken at its word (Mercator, degrees).
_TOLERANCE = 0.01


# Rows and columns of the grid on which areas are known exactly.
_NODES = 65


@dataclass(frozen=True, eq=False)
class PixelAreas:
    """Ground areas of the pixels of an image on which they differ.

    Attributes:
        nodes: square metres at rows and columns that are spread evenly from the first to the last, [at most 65, at most 65].
        shape: rows and columns of the image.
    """

    nodes: NDArray[np.float64]
    shape: tuple[int, int]

    def window(self, top: int, left: int, height: int, width: int) -> NDArray[np.float64]:
        """Square metres [height, width], linear between the nodes."""
        rows = _weights(self.shape[0], self.nodes.shape[0], top, height)
        columns = _weights(self.shape[1], self.nodes.shape[1], left, width)
        areas: NDArray[np.float64] = rows @ self.nodes @ columns.T
        return areas


def ground_area(crs: CRS, transform: Affine, width: int, height: int) -> float | None:
    """Area in square metres of the pixel at the middle of an image; None where it cannot be known.

    It is the planar area in the units of the CRS, as GIS reports it, except where the projection stretches areas by more than
    one per cent (Web Mercator, geographic degrees): there it is the area on the WGS 84 ellipsoid.
    """
    planar, true = _planar_area(crs, transform), _middle_area(crs, transform, width, height)
    return planar if planar is not None and _is_true(planar, true) else true


def ground_areas(crs: CRS, transform: Affine, width: int, height: int) -> PixelAreas | None:
    """As :func:`ground_area`, of every pixel; None where all count alike: the planar area is true, or nothing is known."""
    planar, middle = _planar_area(crs, transform), _middle_area(crs, transform, width, height)
    if middle is None or (planar is not None and _is_true(planar, middle)):
        return None
    columns, rows = (np.linspace(0, size - 1, min(size, _NODES)) for size in (width, height))
    areas = _ellipsoid_areas(crs, transform, *(axis.ravel() for axis in np.meshgrid(columns, rows)))
    if areas is None:
        return None
    # Where the projection ends there are no pixels to speak of.
    nodes = np.where(np.isfinite(areas), areas, middle).reshape(len(rows), len(columns))
    return PixelAreas(nodes, (height, width))


def _is_true(planar: float, true: float | None) -> bool:
    return true is None or abs(planar - true) <= _TOLERANCE * true


def _planar_area(crs: CRS, transform: Affine) -> float | None:
    if not crs.is_projected:
        return None
    try:
        metres = crs.linear_units_factor[1]
    except RasterioError:
        return None
    area = abs(transform.determinant) * metres**2
    return area if math.isfinite(area) and area > 0 else None


def _middle_area(crs: CRS, transform: Affine, width: int, height: int) -> float | None:
    areas = _ellipsoid_areas(crs, transform, np.array([(width - 1) / 2]), np.array([(height - 1) / 2]))
    return None if areas is None or not math.isfinite(areas[0]) or areas[0] <= 0 else float(areas[0])


def _ellipsoid_areas(
    crs: CRS, transform: Affine, columns: NDArray[np.float64], rows: NDArray[np.float64]
) -> NDArray[np.float64] | None:
    """Areas of pixels, from longitudes and latitudes half a pixel to all sides of their centres; NaN where there are none."""
    across, down = columns + 0.5, rows + 0.5
    columns = np.concatenate([across - 0.5, across + 0.5, across, across, across])
    rows = np.concatenate([down, down, down - 0.5, down + 0.5, down])
    xs = transform.a * columns + transform.b * rows + transform.c
    ys = transform.d * columns + transform.e * rows + transform.f
    try:
        longitudes, latitudes = (np.radians(values) for values in project(crs, "EPSG:4326", xs, ys)[:2])
    except RasterioError:
        return None
    with np.errstate(invalid="ignore"):
        west, east, above, below, _ = np.split(longitudes, 5)
        along, down_meridian = _turn(east - west), _turn(below - above)
        west, east, above, below, middle = np.split(latitudes, 5)
        sine2 = np.sin(middle) ** 2
        normal = _RADIUS / np.sqrt(1 - _ECCENTRICITY2 * sine2)
        meridian = normal * (1 - _ECCENTRICITY2) / (1 - _ECCENTRICITY2 * sine2)
        areas = np.abs(along * (below - above) - down_meridian * (east - west)) * normal * np.cos(middle) * meridian
    return np.where(np.isfinite(areas), areas, np.nan)


def _turn(angles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Differences of longitudes, across the antimeridian the short way."""
    return (angles + math.pi) % (2 * math.pi) - math.pi


def _weights(size: int, nodes: int, start: int, count: int) -> NDArray[np.float64]:
    """What each of ``nodes`` along an axis counts at ``count`` pixels from ``start`` on, [count, nodes]."""
    if nodes == 1:
        return np.ones((count, 1))
    at = (start + np.arange(count)) * ((nodes - 1) / (size - 1))
    return np.maximum(1 - np.abs(at[:, None] - np.arange(nodes)), 0)
