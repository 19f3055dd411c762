"""The best and the worst images of an evaluation: few of them, downscaled, found exactly over any number of processes."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from detectron2.utils import comm
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

# Longer side in pixels of what is kept of an image.
SIDE = 512


@dataclass(frozen=True)
class Example:
    """An image by name, its own mIoU in percent, and downscaled: ``image`` uint8 [h, w, 3], labels [h, w] of both maps."""

    name: str
    miou: float
    image: NDArray[np.uint8]
    truth: NDArray[np.integer]
    prediction: NDArray[np.integer]

    @classmethod
    def reduced(
        cls, name: str, miou: float, image: Tensor | None, truth: NDArray[np.integer], prediction: NDArray[np.integer]
    ) -> Example:
        """Keep little of an image uint8 [3, H, W] (grey where there is none) and of labels [H, W]."""
        step = -(-max(truth.shape) // SIDE)
        small = truth[::step, ::step].copy(), prediction[::step, ::step].copy()
        pixels = np.full((*truth.shape, 3), 128, np.uint8) if image is None else image.cpu().numpy().transpose(1, 2, 0)
        size = small[0].shape[1], small[0].shape[0]
        reduced = np.array(Image.fromarray(np.ascontiguousarray(pixels.astype(np.uint8))).resize(size))
        return cls(name, miou, reduced, *small)

    @property
    def rank(self) -> tuple[float, str]:
        """Worst first; images that are equally good by their names."""
        return self.miou, self.name


class Examples:
    """Keeps the ``size`` worst and best images with their pictures, and of all others name and mIoU only."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.worst: list[Example] = []
        self.best: list[Example] = []
        self.scores: list[tuple[str, float]] = []

    def add(self, name: str, miou: float, reduce: Callable[[], Example]) -> None:
        """Offer an image; it is reduced to an example only if it is kept."""
        self.scores.append((name, miou))
        rank = miou, name
        full = len(self.worst) == self.size
        if not self.size or (full and self.worst[-1].rank <= rank <= self.best[0].rank):
            return
        self._keep([*self.worst, example := reduce()], [*self.best, example])

    def gather(self) -> Examples | None:
        """Those of all processes on the main one, None on the others."""
        parts = comm.gather(self)
        if not comm.is_main_process():
            return None
        total = Examples(self.size)
        total._keep(*(_distinct(getattr(part, side) for part in parts) for side in ("worst", "best")))
        total.scores = sorted(score for part in parts for score in part.scores)
        return total

    def pictures(self) -> dict[str, Example]:
        """The examples by the name of their picture's file, worst first, each image once."""
        worst = {f"pictures/worst_{rank}.png": example for rank, example in enumerate(self.worst, 1)}
        shown = {example.rank for example in self.worst}
        best = [example for example in reversed(self.best) if example.rank not in shown]
        return worst | {f"pictures/best_{rank}.png": example for rank, example in enumerate(best, 1)}

    def _keep(self, worst: list[Example], best: list[Example]) -> None:
        self.worst = heapq.nsmallest(self.size, worst, key=lambda example: example.rank)
        self.best = sorted(heapq.nlargest(self.size, best, key=lambda example: example.rank), key=lambda example: example.rank)


def _distinct(groups: Iterable[list[Example]]) -> list[Example]:
    return list({example.rank: example for group in groups for example in group}.values())
