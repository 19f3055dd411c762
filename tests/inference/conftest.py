"""Images written for a test: a GeoTIFF or a picture with four quadrants of known colour."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from rasterio.transform import from_origin

TRANSFORM = from_origin(500_000, 4_000_000, 0.5, 0.5)


@pytest.fixture
def quadrants() -> NDArray[np.uint8]:
    """uint8 [48, 64, 3]: red, green / blue, grey."""
    rgb = np.zeros((48, 64, 3), dtype=np.uint8)
    rgb[:24, :32] = (200, 20, 20)
    rgb[:24, 32:] = (20, 200, 20)
    rgb[24:, :32] = (20, 20, 200)
    rgb[24:, 32:] = (90, 90, 90)
    return rgb


@pytest.fixture
def write_tiff(tmp_path: Path) -> Callable[..., Path]:
    """``write_tiff(bands [C, H, W], name="image.tif", colors=None, mask=None, **profile)`` in UTM at half a metre."""

    def write(bands: NDArray[Any], name: str = "image.tif", colors: Any = None, mask: Any = None, **profile: Any) -> Path:
        path = tmp_path / name
        shape = {"count": bands.shape[0], "height": bands.shape[1], "width": bands.shape[2], "dtype": bands.dtype.name}
        with rasterio.open(
            path, "w", **{"driver": "GTiff", "crs": "EPSG:32631", "transform": TRANSFORM, **shape, **profile}
        ) as file:
            if colors is not None:
                file.colorinterp = colors
            file.write(bands)
            if mask is not None:
                file.write_mask(mask)
        return path

    return write
