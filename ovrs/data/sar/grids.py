"""Whether an image and its SAR partner lie on the same grid of pixels: size, CRS and transform."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import rasterio
from affine import Affine
from rasterio.crs import CRS

from ovrs.errors import DataError

# How far apart corners may lie that count as the same place [pixels of the image].
TOLERANCE = 0.05


class PairError(DataError):
    """An image and a SAR raster that do not lie on the same grid."""


@dataclass(frozen=True)
class Grid:
    """Width and height in pixels, and where on Earth they lie; ``crs`` and ``transform`` are None where nobody says."""

    width: int
    height: int
    crs: CRS | None = None
    transform: Affine | None = None

    @classmethod
    def of(cls, dataset: rasterio.DatasetReader) -> Grid:
        """The grid of an open raster.

        Raises:
            PairError: it has no grid on the ground yet: ground control points or polynomials alone say where its pixels lie.
        """
        placed = dataset.transform if dataset.transform != Affine.identity() else None
        if placed is None and (dataset.gcps[0] or dataset.rpcs is not None):
            by = "ground control points (GCPs)" if dataset.gcps[0] else "rational polynomials (RPCs)"
            raise PairError(
                f"{dataset.name}: only {by} say where it lies, as of a scene in the sensor's own geometry, and the size says "
                "nothing of that; terrain-correct it first (gdalwarp, SNAP)"
            )
        return cls(dataset.width, dataset.height, dataset.crs if placed is not None else None, placed)

    @property
    def georeferenced(self) -> bool:
        """Whether it says where its pixels lie, and by which coordinates."""
        return self.transform is not None and self.crs is not None


def differences(image: Grid, sar: Grid) -> tuple[str, ...]:
    """What differs, in words; nothing where both are the same grid.

    What one of them does not say is no difference: a PNG and a GeoTIFF are compared by size alone.
    """
    found = []
    if (image.width, image.height) != (sar.width, sar.height):
        found.append(f"size: {image.width} x {image.height} pixels against {sar.width} x {sar.height}")
    if image.crs is not None and sar.crs is not None and image.crs != sar.crs:
        found.append(f"CRS: {image.crs.to_string()} against {sar.crs.to_string()}")
    elif image.transform is not None and sar.transform is not None:
        found += _transform_difference(image, image.transform, sar.transform)
    return tuple(found)


def require_same_grid(image: Grid, sar: Grid, *, names: Sequence[str], way_out: str) -> None:
    """Refuse a pair that does not lie on one grid.

    Args:
        names: of the image and of the SAR raster.
        way_out: what the user can do, for the message.

    Raises:
        PairError: every difference is named.
    """
    if found := differences(image, sar):
        raise PairError(f"{names[0]} and its SAR, {names[1]}, do not lie on one grid ({'; '.join(found)}); {way_out}")


def require_places(image: Grid, sar: Grid, *, names: Sequence[str]) -> None:
    """Refuse to resample what does not say where it lies.

    Raises:
        PairError: one of the two has no CRS or no transform.
    """
    for grid, name in zip((image, sar), names, strict=True):
        if not grid.georeferenced:
            raise PairError(
                f"{names[1]} cannot be resampled onto {names[0]} ({'; '.join(differences(image, sar))}): {name} has no "
                "CRS and transform that say where it lies; georeference it, or bring both to one size yourself"
            )


def _transform_difference(image: Grid, own: Affine, other: Affine) -> list[str]:
    corners = [(x, y) for x in (0, image.width) for y in (0, image.height)]
    try:
        moved = [~own @ (other @ corner) for corner in corners]
    except Exception as error:  # affine's own error of a transform that cannot be inverted
        raise PairError(f"the transform {tuple(own)[:6]} is none of an image: {error}") from error
    apart = max(math.dist(corner, place) for corner, place in zip(corners, moved, strict=True))
    if apart <= TOLERANCE:
        return []
    sizes = [f"{np.hypot(step.a, step.d):g} x {np.hypot(step.b, step.e):g}" for step in (own, other)]
    pixels = f"pixels of {sizes[0]} against {sizes[1]}, " if sizes[0] != sizes[1] else ""
    origins = f"upper left corner at {own.c:.10g}, {own.f:.10g} against {other.c:.10g}, {other.f:.10g}"
    return [f"transform: {pixels}{origins}, up to {apart:.3g} pixels apart"]
