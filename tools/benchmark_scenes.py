"""Time and memory of whole scenes, with a model that costs nothing and with one that does.

    python tools/benchmark_scenes.py --sides 5000 20000
    python tools/benchmark_scenes.py --sides 5000 --config-file mini

Scenes are mosaics of drawn ones, JPEG in tiles of 512 as orthophotos are often delivered, made once in --folder. Each is
segmented in a process of its own. ``peak_gib`` is that process's peak memory above what it took with the model loaded;
``other_share`` the share of the time in which the model did not compute, but reading, blending, deciding or writing went on.
"""

from __future__ import annotations

import argparse
import json
import logging
import multiprocessing
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import rasterio
import torch
from affine import Affine
from rasterio.windows import Window
from torch import Tensor
from tqdm import tqdm

from ovrs.data.scenes import draw_scene
from ovrs.engine.benchmark import peak_gib, timed
from ovrs.errors import OvrsError
from ovrs.files import written_whole
from ovrs.inference.segmenter import Segmenter
from ovrs.inference.tiles import Tiling
from ovrs.vocabulary import Vocabulary

BLOCK = 512
# Different drawn blocks in a mosaic; more only take longer to draw.
_DRAWN = 8


class Costless:
    """A :class:`~ovrs.inference.segmenter.TileModel` whose scores are waves of the red band, so that all else has work."""

    tiling = Tiling(tile=256, overlap=0.25, patch=16, per_patch=4)
    batch = 8

    def score(self, tiles: Tensor, vocabulary: Vocabulary) -> Tensor:
        """uint8 [B, 3, h, w] -> [B, N, h / 4, w / 4] in 0..1."""
        red = tiles[:, :1, 2::4, 2::4].float() / 255
        waves = torch.arange(1, len(vocabulary) + 1).view(1, -1, 1, 1)
        return torch.sin(red * waves * 3).mul_(0.5).add_(0.5)


def make_scene(path: Path, side: int) -> None:
    """Write a mosaic of ``side`` x ``side`` pixels, unless it is there."""
    if path.exists():
        return
    drawn = [draw_scene(seed, size=BLOCK).image.transpose(2, 0, 1) for seed in tqdm(range(_DRAWN), "drawing")]
    random = np.random.default_rng(0)
    profile = {
        "driver": "GTiff", "width": side, "height": side, "count": 3, "dtype": "uint8", "crs": "EPSG:32631",
        "transform": Affine(0.5, 0, 500_000, 0, -0.5, 5_000_000), "tiled": True, "blockxsize": BLOCK, "blockysize": BLOCK,
        "compress": "jpeg", "photometric": "ycbcr",
    }  # fmt: skip
    with written_whole(path) as temporary, rasterio.open(temporary, "w", **profile) as file:
        for top in tqdm(range(0, side, BLOCK), f"{side} x {side}"):
            for left in range(0, side, BLOCK):
                block = np.rot90(drawn[random.integers(_DRAWN)], random.integers(4), (1, 2))
                block = block[:, : side - top, : side - left]
                file.write(block, window=Window(left, top, block.shape[2], block.shape[1]))


def measure(path: Path, output: Path, config_file: str | None, names: int, threads: int) -> None:
    """Segment a scene and print its figures as a line of JSON."""
    logging.disable(logging.WARNING)
    if threads:
        torch.set_num_threads(threads)
    vocabulary = Vocabulary.from_names(f"thing {number}" for number in range(names))
    segmenter = Segmenter(Costless()) if config_file is None else Segmenter.from_config(config_file)
    segmenter.model.score(torch.zeros(1, 3, 192, 192, dtype=torch.uint8), vocabulary)
    before = peak_gib()
    seconds: list[float] = []
    start = time.perf_counter()
    with timed(segmenter.model, "score", seconds):
        with tqdm(desc=path.name, unit="tile") as bar:

            def progress(done: int, total: int) -> None:
                bar.total = total
                bar.update(done - bar.n)

            result = segmenter.segment(path, vocabulary, output=output, progress=progress)
        whole = time.perf_counter() - start
    figures = {
        "model": config_file or "costless",
        "scene": f"{result.place.width} x {result.place.height}",
        "names": names,
        "seconds": round(whole, 1),
        "other_share": round(1 - sum(seconds) / whole, 3),
        "model_gib": round(before, 2),
        "peak_gib": round(peak_gib() - before, 2),
    }
    print(json.dumps(figures), flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0, or 2 with a line on standard error."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sides", type=int, nargs="+", default=[5000], metavar="PIXELS", help="default: 5000")
    parser.add_argument("--names", type=int, default=16, help="default: 16")
    parser.add_argument("--config-file", help="a model; without it one that costs nothing")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads of the model; 0 leaves PyTorch's choice")
    parser.add_argument("--folder", type=Path, default=Path("output/benchmark"), help="default: output/benchmark")
    args = parser.parse_args(arguments)
    processes = multiprocessing.get_context("spawn")
    for side in args.sides:
        scene = args.folder / f"scene_{side}.tif"
        try:
            make_scene(scene, side)
        except OvrsError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        output = args.folder / f"scene_{side}.classes.tif"
        process = processes.Process(target=measure, args=(scene, output, args.config_file, args.names, args.threads))
        process.start()
        process.join()
        if process.exitcode:
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
