"""What a scene takes besides the network: drawn mosaics as files, a model that costs nothing, and the time around a model."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
import torch
from affine import Affine
from rasterio.windows import Window
from torch import Tensor
from tqdm import tqdm

from ovrs.benchmark.clock import timed
from ovrs.data.scenes import draw_scene
from ovrs.files import written_whole
from ovrs.inference.segmentation import Segmentation
from ovrs.inference.segmenter import Segmenter
from ovrs.inference.tiles import Tiling
from ovrs.vocabulary import Vocabulary

BLOCK = 512
# Different drawn blocks in a mosaic; more only take longer to draw.
_DRAWN = 8


class Costless:
    """A :class:`~ovrs.inference.tile_models.TileModel` whose scores are waves of the red band, so that all else has work."""

    batch = 8

    def __init__(self, tile: int = 256, overlap: float = 0.25) -> None:
        """Tiles of ``tile`` pixels, rounded up to whole patches of 16."""
        self.tiling = Tiling(tile=-(-tile // 16) * 16, overlap=overlap, patch=16, per_patch=4)

    def score(self, tiles: Tensor, vocabulary: Vocabulary) -> Tensor:
        """uint8 [B, 3, h, w] -> [B, N, h / 4, w / 4] in 0..1."""
        red = tiles[:, :1, 2::4, 2::4].float() / 255
        waves = torch.arange(1, len(vocabulary) + 1).view(1, -1, 1, 1)
        return torch.sin(red * waves * 3).mul_(0.5).add_(0.5)


def make_scene(path: Path, side: int, drawn: int = _DRAWN) -> None:
    """Write a mosaic of ``side`` x ``side`` pixels, unless it is there; JPEG in tiles of 512, as orthophotos often come.

    Args:
        drawn: so many different blocks.
    """
    if path.exists():
        return
    blocks = [
        draw_scene(seed, size=BLOCK).image.transpose(2, 0, 1)
        for seed in tqdm(range(drawn), "drawing", disable=None, leave=False)
    ]
    random = np.random.default_rng(0)
    profile = {
        "driver": "GTiff", "width": side, "height": side, "count": 3, "dtype": "uint8", "crs": "EPSG:32631",
        "transform": Affine(0.5, 0, 500_000, 0, -0.5, 5_000_000), "tiled": True, "blockxsize": BLOCK, "blockysize": BLOCK,
        "compress": "jpeg", "photometric": "ycbcr",
    }  # fmt: skip
    with written_whole(path) as temporary, rasterio.open(temporary, "w", **profile) as file:
        for top in tqdm(range(0, side, BLOCK), f"{side} x {side}", disable=None, leave=False):
            for left in range(0, side, BLOCK):
                block = np.rot90(blocks[random.integers(drawn)], int(random.integers(4)), (1, 2))
                block = block[:, : side - top, : side - left]
                file.write(block, window=Window(left, top, block.shape[2], block.shape[1]))


@dataclass(frozen=True)
class SceneTime:
    """How long a scene took.

    Attributes:
        seconds: all in all.
        network: of them, those in the model.
        result: what came out.
    """

    seconds: float
    network: float
    result: Segmentation

    @property
    def other(self) -> float:
        """Seconds in which the model did not compute: reading, blending, deciding or writing held it up."""
        return self.seconds - self.network


def time_scene(
    segmenter: Segmenter,
    path: Path,
    vocabulary: Vocabulary,
    output: Path,
    progress: Callable[[int, int], None] | None = None,
) -> SceneTime:
    """Segment the file into ``output``, and share the time."""
    network: list[float] = []
    with timed(segmenter.model, "score", network):
        start = time.perf_counter()
        result = segmenter.segment(path, vocabulary, output=output, progress=progress)
        seconds = time.perf_counter() - start
    return SceneTime(seconds, sum(network), result)


def input_and_output(folder: Path, size: int, vocabulary: Vocabulary) -> float:
    """Seconds to read an image of ``size`` x ``size`` pixels from a file and to write its maps, one tile and no model."""
    path = folder / f"image_{size}.tif"
    make_scene(path, size, drawn=1)
    return time_scene(Segmenter(Costless(tile=size, overlap=0.0)), path, vocabulary, folder / f"maps_{size}.tif").other
