"""Polygons as masks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from rasterio.features import rasterize

Ring = Sequence[tuple[float, float]]


def filled(rings: Sequence[Ring], height: int, width: int) -> NDArray[np.bool_]:
    """The pixels, bool [height, width], whose centre lies inside any of the rings.

    Args:
        rings: corners (x, y) in pixels, 0, 0 being the upper left corner of the upper left pixel; what lies outside the image
            is cut off. A ring needs no last corner that repeats the first.
        height, width: of the image, in pixels.
    """
    shapes = [{"type": "Polygon", "coordinates": [[*ring, ring[0]]]} for ring in rings]
    return rasterize(shapes, out_shape=(height, width), dtype=np.uint8).astype(bool)
