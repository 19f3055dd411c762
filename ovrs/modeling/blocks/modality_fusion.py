"""Multi-modal feature fusion: two modalities exchange what their channels have in common and become one map (TSMNet eq. 3)."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ovrs.errors import ConfigError
from ovrs.modeling.precision import without_autocast


class ModalityFusion(nn.Module):
    """MFFM: z = Conv([x', y']), x' and y' being the maps after each has read the channels of the other.

    CMX (Zhang et al. 2023) adds a depthwise branch to the convolution and a norm; the authors' code has neither.

    Args:
        dim: channels of both maps, and of their fusion.
        heads: groups of channels that read each other; must divide ``dim``.
        exchange: let the maps read each other; without, they are only concatenated and convolved (an ablation).

    Raises:
        ConfigError: ``dim`` is no multiple of ``heads``.
    """

    def __init__(self, *, dim: int, heads: int = 1, exchange: bool = True) -> None:
        super().__init__()
        if heads < 1 or dim % heads:
            raise ConfigError(f"fusion of {dim} channels cannot be cut into {heads} heads")
        self.paths = nn.ModuleList(ModalityPath(dim=dim, heads=heads) for _ in range(2 if exchange else 0))
        self.merge = nn.Conv2d(2 * dim, dim, 1, bias=False)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """x~ and y~ [B, C, H, W] -> z [B, C, H, W]."""
        if self.paths:
            x, y = self._exchange(x, y)
        return self.merge(torch.cat([x, y], dim=1))

    def _exchange(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        size = x.shape[-2:]
        of_x, of_y = (cast(ModalityPath, path) for path in self.paths)
        x, y = x.flatten(2).mT, y.flatten(2).mT
        (kept_x, asked_x), (kept_y, asked_y) = of_x.expand(x), of_y.expand(y)
        context_x, context_y = of_x.context(asked_x), of_y.context(asked_y)
        x, y = of_x(x, kept_x, asked_x, context_y), of_y(y, kept_y, asked_y, context_x)
        return x.mT.unflatten(2, size), y.mT.unflatten(2, size)


class ModalityPath(nn.Module):
    """What one modality does on its own: prepare its halves, say what its channels have in common, take in the other's.

    Args:
        dim: channels.
        heads: groups of channels.
    """

    def __init__(self, *, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.halves = nn.Linear(dim, 2 * dim)
        self.kv = nn.Linear(dim, 2 * dim, bias=False)
        self.out = nn.Linear(2 * dim, dim)
        self.norm = nn.LayerNorm(dim)

    def expand(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """[B, L, C] -> what is kept and what asks the other modality, both [B, L, C]."""
        kept, asked = F.relu(self.halves(x)).chunk(2, dim=-1)
        return kept, asked

    def context(self, asked: Tensor) -> Tensor:
        """softmax(k' v / sqrt(d)) over the channels of k: [B, L, C] -> [B, heads, d, d], which no longer knows places."""
        key, value = (self._split(part) for part in self.kv(asked).chunk(2, dim=-1))
        with without_autocast(asked.device.type):  # a sum over thousands of places
            alike = key.float().mT @ value.float()
        return (alike * key.shape[-1] ** -0.5).softmax(dim=-2)

    def forward(self, x: Tensor, kept: Tensor, asked: Tensor, context: Tensor) -> Tensor:
        """LN(x + Linear([kept, asked @ context])), ``context`` being the other modality's: [B, L, C]."""
        read = (self._split(asked) @ context.to(asked.dtype)).transpose(1, 2).flatten(2)
        return self.norm(x + self.out(torch.cat([kept, read], dim=-1)))

    def _split(self, x: Tensor) -> Tensor:
        """[B, L, C] -> [B, heads, L, d]."""
        return x.unflatten(2, (self.heads, -1)).transpose(1, 2)
