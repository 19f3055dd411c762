"""Time the evaluator on random tiles: processor milliseconds an image, on one thread, scores in memory.

python tools/benchmark_evaluation.py --ignored 0.95
python tools/benchmark_evaluation.py --ignored 0 --grid 41
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence

import numpy as np
import torch

from ovrs.evaluation.evaluator import SegmentationEvaluator
from ovrs.evaluation.settings import EvaluationSettings
from ovrs.vocabulary import Vocabulary, VocabularyClass

BLOCK = 32  # side in pixels of the areas of one label


def tile(rng: np.random.Generator, size: int, classes: int, ignored: float) -> torch.Tensor:
    """Labels [size, size] in square areas, a share of which is ignored."""
    blocks = rng.integers(0, classes, (-(-size // BLOCK),) * 2)
    blocks[rng.random(blocks.shape) < ignored] = 255
    return torch.from_numpy(np.kron(blocks, np.ones((BLOCK, BLOCK), dtype=np.int64))[:size, :size])


def measure(settings: EvaluationSettings, size: int, classes: int, ignored: float, images: int) -> list[float]:
    """Milliseconds of processor time for each image."""
    rng = np.random.default_rng(0)
    vocabulary = Vocabulary(tuple(VocabularyClass(f"class {i}", seen=i % 5 < 3) for i in range(classes)))
    image = torch.zeros(3, size, size, dtype=torch.uint8)
    scores = torch.rand(classes, size, size, generator=torch.Generator().manual_seed(0))
    times = []
    with tempfile.TemporaryDirectory() as folder:
        evaluator = SegmentationEvaluator("random", vocabulary, folder, settings)
        for number in range(images):
            entry = {"sem_seg": tile(rng, size, classes, ignored), "image": image, "file_name": f"{number}.png"}
            start = time.process_time()
            evaluator.process([entry], [{"sem_seg": scores}])
            times.append(1000 * (time.process_time() - start))
    return times


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=512, help="side of a tile in pixels")
    parser.add_argument("--classes", type=int, default=15)
    parser.add_argument("--ignored", type=float, default=0.0, help="share of the pixels that are ignored")
    parser.add_argument("--images", type=int, default=60)
    parser.add_argument("--grid", type=int, default=0, help="constants of the calibration curve")
    parser.add_argument("--boundary-ratio", type=float, default=0.02)
    args = parser.parse_args(arguments)
    torch.set_num_threads(1)
    settings = EvaluationSettings(grid=tuple(np.linspace(-2, 8, args.grid)), boundary_ratio=args.boundary_ratio)
    times = measure(settings, args.size, args.classes, args.ignored, args.images)
    print(f"median {statistics.median(times):.1f} ms, mean {statistics.fmean(times):.1f} ms, most {max(times):.1f} ms an image")
    return 0


if __name__ == "__main__":
    sys.exit(main())
