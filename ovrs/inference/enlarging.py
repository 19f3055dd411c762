"""From cells of scores to pixels: bilinear, a strip at a time, with the same result wherever strips begin."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Grid:
    """One axis of cells under one axis of pixels; their first edges coincide.

    Attributes:
        cells: how many there are.
        pixels: how many there are.
        scale: cells a pixel.
    """

    cells: int
    pixels: int
    scale: float

    def cells_of(self, first: int, last: int) -> tuple[int, int]:
        """The cells that pixels ``first`` to ``last`` (exclusive) are interpolated from, as a half-open range."""
        low, high, _ = self.neighbours(torch.tensor([first, last - 1]))
        return int(low[0]), int(high[1]) + 1

    def neighbours(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The cells before and after the centres of pixels, and the share of the latter; beyond the last centre it repeats."""
        position = ((pixels.double() + 0.5) * self.scale - 0.5).clamp(0, self.cells - 1)
        before = position.floor().long()
        return before, (before + 1).clamp(max=self.cells - 1), (position - before).float()


def enlarge(
    cells: Tensor, rows: Grid, columns: Grid, origin: tuple[int, int], top: int, left: int, size: tuple[int, int]
) -> Tensor:
    """Scores [N, h, w] of the pixels from (``top``, ``left``) on, ``size`` of them.

    Args:
        cells: [N, ., .] that begin at the cell ``origin`` and reach far enough (see :meth:`Grid.cells_of`).
    """
    first, last = columns.cells_of(left, left + size[1])
    cells = cells[..., first - origin[1] : last - origin[1]]  # a band may be much wider than what is enlarged
    before, after, share = rows.neighbours(torch.arange(top, top + size[0]))
    strip = torch.lerp(cells[:, before - origin[0]], cells[:, after - origin[0]], share[None, :, None])
    before, after, share = columns.neighbours(torch.arange(left, left + size[1]))
    return torch.lerp(strip[..., before - first], strip[..., after - first], share)
