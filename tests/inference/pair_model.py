"""A model that reads colours, SAR and descriptions, and pairs of files for it: water is blue in the image and dark in SAR."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import torch
from affine import Affine
from numpy.typing import NDArray

from ovrs.inference.tiles import Tiling
from ovrs.vocabulary import Vocabulary

PLACE = Affine(10, 0, 500_000, 0, -10, 5_000_000)
UTM33 = "EPSG:32633"
WATER_DB, LAND_DB = -20.0, -8.0


class Pairs:
    """Scores of (water, land): blue says water with 0.7 at most, SAR below -14 dB with 0.9; a flood is said to be all water."""

    tiling = Tiling(tile=32, overlap=0.25, patch=8, per_patch=8)
    batch, reads_sar, reads_descriptions, sar_bands = 2, True, True, 1

    def __init__(self) -> None:
        self.shapes: set[tuple[int, torch.dtype]] = set()
        self.tiles = 0

    def identity(self) -> str:
        return "pairs"

    def score(self, tiles: torch.Tensor, vocabulary: Vocabulary) -> torch.Tensor:
        self.shapes.add((tiles.shape[1], tiles.dtype))
        self.tiles += len(tiles)
        blue = tiles[:, 2:3].float().nan_to_num(nan=127.5) / 255
        water = 0.15 + 0.55 * blue
        if tiles.shape[1] > 3:
            seen = (tiles[:, 3:].mean(dim=1, keepdim=True) < -14).float() * 0.8 + 0.1
            water = torch.where(tiles[:, 3:4].isnan(), water, seen)
        if "flood" in vocabulary.description:
            water = torch.ones_like(water)
        return torch.cat([water, 1 - water], dim=1)


def write(path: Path, bands: NDArray[Any], **profile: Any) -> Path:
    """Bands [C, H, W] as a GeoTIFF at :data:`PLACE`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = {"count": bands.shape[0], "height": bands.shape[1], "width": bands.shape[2], "dtype": bands.dtype.name}
    with rasterio.open(path, "w", **{"driver": "GTiff", "crs": UTM33, "transform": PLACE, **shape, **profile}) as file:
        file.write(bands)
    return path


def optical(height: int = 96, width: int = 160, cloud: bool = True) -> NDArray[np.uint8]:
    """uint8 [3, H, W]: water in the left half; under a cloud of grey in the upper half nothing is told."""
    bands = np.full((3, height, width), 60, np.uint8)
    bands[2, :, : width // 2] = 220
    bands[2, :, width // 2 :] = 20
    if cloud:
        bands[:, : height // 2] = 120
    return bands


def decibels(height: int = 96, width: int = 160) -> NDArray[np.float32]:
    """float32 [1, H, W]: water in the left half."""
    values = np.full((1, height, width), LAND_DB, np.float32)
    values[:, :, : width // 2] = WATER_DB
    return values


def pair(folder: Path, name: str = "town", **shape: int) -> tuple[Path, Path]:
    """An image and its SAR partner."""
    return write(folder / f"{name}.tif", optical(**shape)), write(folder / "sar" / f"{name}.tif", decibels(**shape))
