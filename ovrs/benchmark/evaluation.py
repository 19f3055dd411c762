"""What the evaluator takes: processor time on random tiles, scores in memory."""

from __future__ import annotations

import tempfile
import time

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
