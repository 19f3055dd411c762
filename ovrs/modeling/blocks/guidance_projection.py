"""Guidance features brought to the width and the grid of the stage that they guide."""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from ovrs.modeling.sizes import known, same_size


class GuidanceProjection(nn.Module):
    """A 3x3 convolution with ReLU, before (AerOSeg) or after (CAT-Seg, OVRS) the way to the stage's grid.

    Args:
        channels: channels of the guidance features.
        dim: channels that the stage wants.
        upsample: ``nearest`` resizes the projected features (eq. 10's ``up``; projecting first costs scale^2 times less),
            ``deconv`` upsamples with a learned transposed convolution first, to ``middle`` channels.
        scale: of the transposed convolution.
        middle: channels after the transposed convolution.
    """

    def __init__(
        self,
        *,
        channels: int,
        dim: int,
        upsample: Literal["nearest", "deconv"] = "nearest",
        scale: int = 1,
        middle: int | None = None,
    ) -> None:
        super().__init__()
        self.upsample: nn.Module = nn.Identity()
        if upsample == "deconv":
            middle = middle or channels
            self.upsample = nn.ConvTranspose2d(channels, middle, kernel_size=scale, stride=scale)
            channels = middle
        self.conv = nn.Conv2d(channels, dim, 3, padding=1)

    def forward(self, features: Tensor, size: tuple[int, int]) -> Tensor:
        """``features`` [B, C, h, w] -> [B, dim, *size]."""
        return resize_nearest(F.relu(self.conv(self.upsample(features))), size)


def resize_nearest(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Nearest-neighbour resize of [B, C, h, w]; averages where the target grid is coarser."""
    if same_size(x.shape[-2:], size):
        return x
    coarser = known(size[0] < x.shape[-2]) or known(size[1] < x.shape[-1])
    return F.interpolate(x, size=size, mode="area" if coarser else "nearest")
