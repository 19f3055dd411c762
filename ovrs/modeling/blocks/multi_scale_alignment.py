"""Multi-scale contextual alignment: at several scales, one stream reads the other (RS-ZeroSeg section 3.3)."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import torch
from torch import Tensor, nn

from ovrs.modeling.blocks.cross_attention import CrossAttention
from ovrs.modeling.blocks.dual_stream import Streams
from ovrs.modeling.blocks.resizing import resize_features
from ovrs.modeling.blocks.upsampling import DoubleConv


class StreamAlignment(nn.Module):
    """F_aligned = CrossAttention(Q = F_VLM, K = V = F_RSI) + F_VLM, at one scale; each stream through a norm of its own.

    The printed equation has no norms. Without them the queries and keys would have the scales of two different encoders.

    Args:
        dim: channels of both streams.
        heads: attention heads.
    """

    def __init__(self, *, dim: int, heads: int) -> None:
        super().__init__()
        self.vision_norm = nn.LayerNorm(dim)
        self.remote_norm = nn.LayerNorm(dim)
        self.attn = CrossAttention(query_dim=dim, context_dim=dim, dim=dim, heads=heads)

    def forward(self, vision: Tensor, remote: Tensor) -> Tensor:
        """``vision`` [B, D, H, W] and ``remote`` [B, D, h, w] -> [B, D, H, W]; the two grids may differ."""
        query, context = (x.flatten(2).mT for x in (vision, remote))
        read = self.attn(self.vision_norm(query), self.remote_norm(context))
        return vision + read.mT.unflatten(2, vision.shape[-2:])


class MultiScaleAlignment(nn.Module):
    """MS-CAM: the streams aligned at every scale, then aggregated beside their fusion F_DSFE.

    The aligned maps and F_DSFE are enlarged to the finest of the grids, concatenated and convolved twice; the result is
    enlarged to four times the grid of F_DSFE and convolved once more. Without scales, F_DSFE is all there is to aggregate.

    Args:
        dim: D, channels of the streams.
        out_dim: channels of F_MSCAM.
        heads: attention heads.
        scales: sides of each level's grid, as multiples of those of F_DSFE; none leaves the alignment out.
    """

    enlargement = 4

    def __init__(self, *, dim: int, out_dim: int, heads: int, scales: Sequence[float]) -> None:
        super().__init__()
        self.scales = tuple(Fraction(scale).limit_denominator(1000) for scale in scales)
        self.levels = nn.ModuleList(StreamAlignment(dim=dim, heads=heads) for _ in self.scales)
        self.aggregate = DoubleConv((len(self.scales) + 1) * dim, out_dim)
        self.smooth = nn.Conv2d(out_dim, out_dim, 3, padding=1)

    def forward(self, streams: Streams) -> Tensor:
        """Streams on a grid of H x W -> F_MSCAM [B, out_dim, 4H, 4W]."""
        height, width = streams.fused.shape[-2:]
        maps = [streams.fused, *self.align(streams)]
        finest = (max(x.shape[-2] for x in maps), max(x.shape[-1] for x in maps))
        aggregated = self.aggregate(torch.cat([resize_features(x, finest) for x in maps], dim=1))
        return self.smooth(resize_features(aggregated, (self.enlargement * height, self.enlargement * width)))

    def align(self, streams: Streams) -> list[Tensor]:
        """F_aligned of each scale, [B, D, scale * H, scale * W], rounded up."""
        height, width = streams.vision.shape[-2:]
        aligned = []
        for scale, level in zip(self.scales, self.levels, strict=True):
            up, down = scale.as_integer_ratio()
            size = (-(-up * height // down), -(-up * width // down))  # in integers, which a tracer can reason about
            aligned.append(level(resize_features(streams.vision, size), resize_features(streams.remote, size)))
        return aligned
