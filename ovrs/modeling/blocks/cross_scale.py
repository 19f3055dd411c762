"""Cross-scale interaction: the stages of an encoder read each other before a decoder reads them (RMSIN, and MAFN's code)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ovrs.errors import ConfigError
from ovrs.modeling.attention import attend
from ovrs.modeling.blocks.resizing import resize_features


class CrossScaleInteraction(nn.Module):
    """CIM of Liu et al. 2024: all stages pooled to one grid and concatenated, mixed, split again and given back to each.

    In between stand two cross-scale attentions, a feed-forward block for each stage after the first and one for all after the
    second. Every reader of what is passed on normalises it by batch, which cancels biases; so the maps in between have none.

    Args:
        dims: channels of the stages, each a multiple of 4.
        grid: height and width to which every stage is pooled, whatever the size of the image.
        heads: attention heads.
        head_dim: channels of a query and of a key; values have twice as many.

    Raises:
        ConfigError: channels that are no multiples of 4, or a grid of no places.
    """

    reduction = 4

    def __init__(self, *, dims: Sequence[int], grid: tuple[int, int] = (15, 15), heads: int = 8, head_dim: int = 32) -> None:
        super().__init__()
        if any(dim % self.reduction for dim in dims):
            raise ConfigError(f"cross-scale interaction needs channels in multiples of {self.reduction}, got {list(dims)}")
        if min(grid) < 1:
            raise ConfigError(f"cross-scale interaction needs a grid of places, got {grid[0]} x {grid[1]}")
        self.dims, self.grid = tuple(dims), grid
        self.shares = [dim // self.reduction for dim in dims]
        total, inner = sum(self.dims), sum(self.shares)
        self.reduce = nn.Conv2d(total, inner, 1, bias=False)
        self.attention_1 = CrossScaleAttention(dim=inner, grid=grid, heads=heads, head_dim=head_dim)
        self.stage_mlps = nn.ModuleList(ConvMlp(dim=share) for share in self.shares)
        self.attention_2 = CrossScaleAttention(dim=inner, grid=grid, heads=heads, head_dim=head_dim)
        self.mlp = ConvMlp(dim=inner)
        self.norm = nn.BatchNorm2d(inner, affine=False)
        self.restore = nn.Conv2d(inner, total, 1, bias=False)
        self.gates = nn.ModuleList(ScaleGate(dim=dim) for dim in self.dims)

    def forward(self, stages: Sequence[Tensor]) -> list[Tensor]:
        """Stages [B, C_i, H_i, W_i] -> the same shapes."""
        x = self.mix(torch.cat([F.adaptive_avg_pool2d(stage, self.grid) for stage in stages], dim=1))
        return [gate(stage, part) for gate, stage, part in zip(self.gates, stages, x.split(self.dims, dim=1), strict=True)]

    def mix(self, pooled: Tensor) -> Tensor:
        """All stages on one grid [B, sum of C_i, h, w] -> the same shape."""
        x = self.reduce(pooled)
        x = x + self.attention_1(x)
        parts = zip(self.stage_mlps, x.split(self.shares, dim=1), strict=True)
        x = x + torch.cat([mlp(part) for mlp, part in parts], dim=1)
        x = x + self.attention_2(x)
        x = x + self.mlp(x)
        return self.restore(self.norm(x))


class CrossScaleAttention(nn.Module):
    """Attention among the places of a map and of two coarser copies of it; what all read is mapped back to the places.

    RMSIN's code lays the heads and the places of the result out anew without moving them, so that channels land in places. Here
    each stays where it belongs.

    Args:
        dim: channels.
        grid: height and width of the map.
        heads: attention heads.
        head_dim: channels of a query and of a key; values have twice as many.
    """

    def __init__(self, *, dim: int, grid: tuple[int, int], heads: int, head_dim: int) -> None:
        super().__init__()
        self.heads, self.grid = heads, grid
        self.sizes = [head_dim, head_dim, 2 * head_dim]
        value_dim = heads * self.sizes[-1]
        self.norm = nn.BatchNorm2d(dim)
        self.coarse = nn.Sequential(nn.Conv2d(dim, dim, 3, 2, 1, groups=dim, bias=False), nn.BatchNorm2d(dim))
        self.coarser = nn.Sequential(nn.Conv2d(dim, dim, 5, 3, 2, groups=dim, bias=False), nn.BatchNorm2d(dim))
        self.qkv = nn.Linear(dim, heads * sum(self.sizes), bias=False)
        self.qkv_norm = nn.BatchNorm1d(heads * sum(self.sizes))
        self.local = nn.Conv2d(value_dim, value_dim, 3, padding=1, groups=value_dim, bias=False)
        places = grid[0] * grid[1]
        tokens = places + sum(-(-grid[0] // stride) * -(-grid[1] // stride) for stride in (2, 3))
        self.places = nn.Linear(tokens, places)
        self.out = nn.Linear(value_dim, dim, bias=False)
        self.out_norm = nn.BatchNorm2d(dim)
        self.proj = nn.Conv2d(dim, dim, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, h, w] -> [B, C, h, w]."""
        x = self.norm(x)
        tokens = torch.cat([scale.flatten(2) for scale in (x, self.coarse(x), self.coarser(x))], dim=2).mT
        qkv = self.qkv_norm(self.qkv(tokens).mT)  # [B, heads * (q, k, v), tokens]
        query, key, value = qkv.unflatten(1, (self.heads, -1)).split(self.sizes, dim=2)
        read = attend(query.mT, key.mT, value.mT).mT.flatten(1, 2)  # [B, heads * d, tokens]
        values = value.flatten(1, 2)[..., : self.grid[0] * self.grid[1]].unflatten(2, self.grid)
        mixed = self.places(read) + self.local(F.hardswish(values)).flatten(2)
        mixed = self.out(mixed.mT).mT.unflatten(2, self.grid)
        return self.proj(F.hardswish(self.out_norm(mixed)))


class ConvMlp(nn.Module):
    """Point-wise, 3x3 in groups of two, ReLU6, point-wise; the channels twice as many in between."""

    def __init__(self, *, dim: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(dim, affine=False)
        self.expand = nn.Conv2d(dim, 2 * dim, 1, bias=False)
        self.expand_norm = nn.BatchNorm2d(2 * dim)
        self.conv = nn.Conv2d(2 * dim, 2 * dim, 3, padding=1, groups=dim)
        self.proj = nn.Conv2d(2 * dim, dim, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, h, w] -> [B, C, h, w]."""
        return self.proj(F.relu6(self.conv(self.expand_norm(self.expand(self.norm(x))))))


class ScaleGate(nn.Module):
    """A stage weighed by what all stages know of each place, and that knowledge added."""

    def __init__(self, *, dim: int) -> None:
        super().__init__()
        self.stage = nn.Sequential(nn.Conv2d(dim, dim, 1, bias=False), nn.BatchNorm2d(dim))
        self.weight = nn.Sequential(nn.Conv2d(dim, dim, 1, bias=False), nn.BatchNorm2d(dim), nn.Hardsigmoid())
        self.added = nn.Sequential(nn.Conv2d(dim, dim, 1, bias=False), nn.BatchNorm2d(dim))

    def forward(self, stage: Tensor, known: Tensor) -> Tensor:
        """A stage [B, C, H, W] and its share of the common grid [B, C, h, w] -> [B, C, H, W]."""
        height, width = stage.shape[-2:]
        weight, added = (resize_features(x, (height, width)) for x in (self.weight(known), self.added(known)))
        return self.stage(stage) * weight + added
