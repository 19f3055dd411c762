"""Multi-window fusion: gated perceptrons over windows of several sizes, weighed against each other (MAFN Fig. 2)."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from ovrs.errors import ConfigError


class WindowGmlp(nn.Module):
    """A gMLP block (Liu et al. 2021) within windows: the places of a window mix through one matrix, which gates them.

    Args:
        dim: channels.
        window: side of a window.
    """

    def __init__(self, *, dim: int, window: int) -> None:
        super().__init__()
        self.window = window
        self.norm = nn.LayerNorm(dim)
        self.expand = nn.Linear(dim, 2 * dim)
        self.gate_norm = nn.LayerNorm(dim)
        self.mix = nn.Linear(window**2, window**2)
        self.proj = nn.Linear(dim, dim)
        # At first a window hardly gates anything: u * (v + 1) with v near 0.
        nn.init.trunc_normal_(self.mix.weight, std=0.02)
        nn.init.zeros_(self.mix.bias)

    def forward(self, x: Tensor) -> Tensor:
        """[B, H, W, C] -> the same; zeros fill the windows that hang over the lower and right edges."""
        height, width = x.shape[1:3]
        side = self.window
        x = F.pad(x, (0, 0, 0, -width % side, 0, -height % side))
        tiles = x.unflatten(2, (-1, side)).unflatten(1, (-1, side)).transpose(2, 3)  # [B, rows, columns, w, w, C]
        mixed = tiles + self.gate(tiles.flatten(3, 4)).view_as(tiles)
        return mixed.transpose(2, 3).reshape(x.shape)[:, :height, :width]

    def gate(self, tiles: Tensor) -> Tensor:
        """The residual of [..., w*w, C]."""
        u, v = F.gelu(self.expand(self.norm(tiles))).chunk(2, dim=-1)
        return self.proj(u * (self.mix(self.gate_norm(v).mT).mT + 1))


class WindowFusion(nn.Module):
    """x + Linear(sum over windows of a_w gMLP_w(LN(x))), a_w a softmax over the windows for each channel.

    Args:
        dim: channels.
        windows: sides of the windows; with one alone there is nothing to weigh.

    Raises:
        ConfigError: no window, or a side below 2.
    """

    def __init__(self, *, dim: int, windows: Sequence[int] = (3, 5, 7)) -> None:
        super().__init__()
        if not windows or min(windows) < 2:
            raise ConfigError(f"window fusion needs windows of side 2 or more, got {list(windows)}")
        self.norm = nn.LayerNorm(dim)
        self.windows = nn.ModuleList(WindowGmlp(dim=dim, window=window) for window in windows)
        self.weigh = WindowWeights(dim=dim, windows=len(windows)) if len(windows) > 1 else None
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C, H, W]."""
        normal = self.norm(x.permute(0, 2, 3, 1))
        mixed = [window(normal) for window in self.windows]
        fused = mixed[0]
        if self.weigh is not None:
            weights = self.weigh(sum(part.mean(dim=(1, 2)) for part in mixed))
            fused = sum(weight * part for weight, part in zip(weights, mixed, strict=True))
        return x + self.proj(fused).permute(0, 3, 1, 2)


class WindowWeights(nn.Module):
    """a_w: how much each channel takes from each window, read off the mean of the whole map."""

    def __init__(self, *, dim: int, windows: int) -> None:
        super().__init__()
        self.windows = windows
        hidden = max(dim // 4, 1)
        self.mlp = nn.Sequential(nn.Linear(dim, hidden), nn.GELU(), nn.Linear(hidden, windows * dim))

    def forward(self, mean: Tensor) -> Tensor:
        """[B, C] -> [windows, B, 1, 1, C], 1 in sum over the windows."""
        scores = self.mlp(mean).unflatten(1, (self.windows, -1))
        return scores.softmax(dim=1).transpose(0, 1)[:, :, None, None]
