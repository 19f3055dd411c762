"""Channel intensification: two convolutions whose channels are then weighed, beside the identity (MAFN Fig. 2)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class ChannelIntensification(nn.Module):
    """x + CA(conv(LeakyReLU(conv(LN(x))))), a residual channel-attention block (Zhang et al. 2018).

    The paper writes ReLU; its authors' code leaks, as here.

    Args:
        dim: channels.
        reduction: how many times narrower the channel attention is inside.
    """

    def __init__(self, *, dim: int, reduction: int = 4) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.conv_1 = nn.Conv2d(dim, dim, 3, padding=1)
        self.conv_2 = nn.Conv2d(dim, dim, 3, padding=1)
        self.attention = ChannelAttention(dim=dim, hidden=max(dim // reduction, 1))

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C, H, W]."""
        normal = self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return x + self.attention(self.conv_2(F.leaky_relu(self.conv_1(normal), 0.2)))


class ChannelAttention(nn.Module):
    """Channels weighed by two linear maps of their means (squeeze and excitation, Hu et al. 2018)."""

    def __init__(self, *, dim: int, hidden: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(dim, hidden, 1)
        self.excite = nn.Conv2d(hidden, dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C, H, W], each channel times its weight in 0..1."""
        mean = x.mean(dim=(2, 3), keepdim=True)
        return self.excite(F.relu(self.squeeze(mean))).sigmoid() * x
