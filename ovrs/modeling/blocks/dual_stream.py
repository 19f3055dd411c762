"""Two encoders' features brought together: the fusion of RS-ZeroSeg's dual-stream feature extractor (section 3.2)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ovrs.modeling.blocks.resizing import resize_features


@dataclass
class Streams:
    """Both streams at one width, and their fusion on the grid of the first.

    Attributes:
        vision: F'_VLM [B, D, H, W].
        remote: F'_RSI [B, D, h, w], on the grid of its own encoder.
        fused: F_DSFE [B, D, H, W].
    """

    vision: Tensor
    remote: Tensor
    fused: Tensor


class DualStreamFusion(nn.Module):
    """Each stream projected by a 1x1 convolution; the two concatenated and convolved.

    Args:
        vision_dim: channels of the vision-language stream.
        remote_dim: channels of the remote-sensing stream.
        dim: D, channels of all three results.
    """

    def __init__(self, *, vision_dim: int, remote_dim: int, dim: int) -> None:
        super().__init__()
        self.vision = nn.Conv2d(vision_dim, dim, 1)
        self.remote = nn.Conv2d(remote_dim, dim, 1)
        self.conv = nn.Conv2d(2 * dim, dim, 3, padding=1)

    def forward(self, vision: Tensor, remote: Tensor) -> Streams:
        """F_VLM [B, V, H, W] and F_RSI [B, R, h, w] -> F'_VLM, F'_RSI and F_DSFE, for which F'_RSI is resized to H x W."""
        vision, remote = self.vision(vision), self.remote(remote)
        height, width = vision.shape[-2:]
        fused = self.conv(torch.cat([vision, resize_features(remote, (height, width))], dim=1))
        return Streams(vision, remote, fused)
