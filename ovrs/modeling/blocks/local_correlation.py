"""Local correlation: how much one map resembles another in the neighbourhood of each place (MAFN eq. 10)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class LocalCorrelation(nn.Module):
    """T_corr(h, w) = mean over c of x1(c, h, w) x2(c, h + a, w + b), for all offsets (a, b) up to ``radius``; zeros outside.

    Args:
        radius: largest offset on either axis.
    """

    def __init__(self, *, radius: int = 1) -> None:
        super().__init__()
        self.radius = radius

    @property
    def offsets(self) -> int:
        """C_2, how many offsets there are."""
        return (2 * self.radius + 1) ** 2

    def forward(self, one: Tensor, other: Tensor) -> Tensor:
        """Two maps [B, C, H, W] -> [B, offsets, H, W]; row by row, (0, 0) in the middle.

        Each offset is a view of the padded map times the first, summed before the next one: nothing unfolds.
        """
        height, width = one.shape[-2:]
        padded = F.pad(other, (self.radius,) * 4)
        steps = range(2 * self.radius + 1)
        shifted = (padded[:, :, row : row + height, column : column + width] for row in steps for column in steps)
        return torch.stack([(one * moved).mean(dim=1) for moved in shifted], dim=1)  # eq. 10
