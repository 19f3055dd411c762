"""A feature pyramid (Lin et al. 2017), and the head that makes one fine map of it (semantic FPN, Kirillov et al. 2019)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from ovrs.modeling.blocks.guidance_projection import resize_nearest
from ovrs.modeling.blocks.resizing import resize_features


class FeaturePyramid(nn.Module):
    """Levels at one width, each with all coarser ones added to it, then convolved.

    Args:
        dims: channels of the levels, finest first.
        dim: channels of the pyramid.
        finest: how many levels come out, the finest ones; 0 = all.
    """

    def __init__(self, *, dims: Sequence[int], dim: int = 256, finest: int = 0) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(nn.Conv2d(channels, dim, 1) for channels in dims)
        self.smooth = nn.ModuleList(nn.Conv2d(dim, dim, 3, padding=1) for _ in dims[: finest or None])

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        """Levels [B, C_i, H_i, W_i], finest first -> [B, dim, H_i, W_i] of those that come out."""
        maps = [lateral(level) for lateral, level in zip(self.laterals, levels, strict=True)]
        for number in range(len(maps) - 1, 0, -1):
            height, width = maps[number - 1].shape[-2:]
            maps[number - 1] = maps[number - 1] + resize_nearest(maps[number], (height, width))
        return [smooth(x) for smooth, x in zip(self.smooth, maps, strict=False)]


class PyramidHead(nn.Module):
    """Every level enlarged to the finest, and all of them added: one map of what the pyramid knows of each place.

    Args:
        dim: channels of the pyramid.
        out_dim: channels of the result.
        levels: of the pyramid.
        dropout: of whole channels of the result, in training.
    """

    def __init__(self, *, dim: int = 256, out_dim: int = 256, levels: int = 4, dropout: float = 0.1) -> None:
        super().__init__()
        self.levels = nn.ModuleList(Enlargement(dim=dim, out_dim=out_dim, steps=max(level, 1)) for level in range(levels))
        self.dropout = nn.Dropout2d(dropout)

    def forward(self, pyramid: Sequence[Tensor]) -> Tensor:
        """Levels [B, dim, H_i, W_i], finest first -> [B, out_dim, H_1, W_1]."""
        sizes = [(x.shape[-2], x.shape[-1]) for x in pyramid]
        finest, *coarser = (level(x, sizes) for level, x in zip(self.levels, pyramid, strict=True))
        return self.dropout(sum(coarser, start=finest))


class Enlargement(nn.Module):
    """A level on its way to the finest: a 3x3 convolution, batch norm and ReLU before each step to the next finer grid.

    Args:
        dim: channels in.
        out_dim: channels out.
        steps: to the finest; the finest itself is convolved once, and so is the one after it.
    """

    def __init__(self, *, dim: int, out_dim: int, steps: int) -> None:
        super().__init__()
        widths = [dim] + [out_dim] * (steps - 1)
        self.convs = nn.ModuleList(
            nn.Sequential(nn.Conv2d(width, out_dim, 3, padding=1, bias=False), nn.BatchNorm2d(out_dim), nn.ReLU())
            for width in widths
        )

    def forward(self, x: Tensor, sizes: Sequence[tuple[int, int]]) -> Tensor:
        """[B, dim, H_i, W_i] and the grids of the levels, finest first -> [B, out_dim, H_1, W_1]."""
        for conv, size in zip(self.convs, reversed(sizes[: len(self.convs)]), strict=True):
            x = resize_features(conv(x), size)
        return x
