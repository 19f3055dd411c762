"""Adaptive rotated convolution: 3x3 kernels turned by angles that each image chooses (MAFN eqs. 15 and 16; Pu et al. 2023)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ovrs.errors import ConfigError

SIDE = 3
TAPS = SIDE**2


class RotatedConv(nn.Module):
    """R = V * sum_i lambda_i Rotate(W_i; theta_i), theta and lambda read off V.

    Args:
        dim: channels in and out.
        kernels: n, how many kernels are turned and mixed.
        max_angle: no kernel turns further than this, in degrees.
        dropout: share of the pooled features that the choice of angles and weights does without in training.

    Raises:
        ConfigError: no kernel.
    """

    def __init__(self, *, dim: int, kernels: int = 1, max_angle: float = 40.0, dropout: float = 0.2) -> None:
        super().__init__()
        if kernels < 1:
            raise ConfigError(f"a rotated convolution needs a kernel to rotate, got {kernels}")
        self.router = AngleRouter(dim=dim, kernels=kernels, max_angle=max_angle, dropout=dropout)
        self.weight = nn.Parameter(torch.empty(kernels, dim, dim, SIDE, SIDE))
        for kernel in self.weight:
            nn.init.kaiming_normal_(kernel, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C, H, W]: every image with a kernel of its own, all in one grouped convolution."""
        kernel = self.kernels(*self.router(x))
        images = x.reshape(1, -1, *x.shape[-2:])
        return F.conv2d(images, kernel.flatten(0, 1), padding=SIDE // 2, groups=len(x)).view_as(x)  # eq. 16

    def kernels(self, angles: Tensor, weights: Tensor) -> Tensor:
        """``angles`` and ``weights`` [B, n] -> the sum of the turned kernels of each image [B, C, C, 3, 3]."""
        turned = rotation_matrices(angles) * weights[:, :, None, None]  # [B, n, 9, 9]
        flat = self.weight.flatten(3).permute(0, 3, 1, 2).flatten(0, 1).flatten(1)  # [n * 9, C * C]
        mixed = turned.transpose(1, 2).flatten(2).flatten(0, 1).to(flat.dtype) @ flat  # eq. 15, [B * 9, C * C]
        dim = self.weight.shape[1]
        return mixed.view(-1, SIDE, SIDE, dim, dim).permute(0, 3, 4, 1, 2)


class AngleRouter(nn.Module):
    """The angles theta and weights lambda of an image: a depthwise convolution, a norm, ReLU, the mean of all places."""

    def __init__(self, *, dim: int, kernels: int, max_angle: float, dropout: float) -> None:
        super().__init__()
        self.max_angle = math.radians(max_angle)
        self.conv = nn.Conv2d(dim, dim, SIDE, padding=SIDE // 2, groups=dim, bias=False)
        self.norm = nn.LayerNorm(dim)
        self.dropout = nn.Dropout(dropout)
        self.angle = nn.Linear(dim, kernels, bias=False)
        self.weight = nn.Linear(dim, kernels)
        for layer in (self.conv, self.angle, self.weight):
            nn.init.trunc_normal_(layer.weight, std=0.02)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """[B, C, H, W] -> angles [B, n] in radians, within the largest one on either side, and weights [B, n] in 0..1."""
        pooled = F.relu(self.norm(self.conv(x).permute(0, 2, 3, 1))).mean(dim=(1, 2))
        angles = self.max_angle * F.softsign(self.angle(self.dropout(pooled)))
        return angles, self.weight(self.dropout(pooled)).sigmoid()


def rotation_matrices(angles: Tensor) -> Tensor:
    """Angles in radians [...], counter-clockwise -> [..., 9, 9]: a flat 3x3 kernel to the same kernel turned.

    Each tap of the turned kernel is read, bilinearly, where it came from, and corners from outside the kernel at its border.
    So every row is of sum 1, and 90 degrees is the exact permutation.
    """
    steps = torch.arange(SIDE, device=angles.device, dtype=angles.dtype) - SIDE // 2
    x, y = steps.repeat(SIDE), -steps.repeat_interleave(SIDE)  # of the taps, row by row; y points up
    cos, sin = angles.cos()[..., None], angles.sin()[..., None]
    from_x = (cos * x + sin * y).clamp(-1, 1)
    from_y = (cos * y - sin * x).clamp(-1, 1)
    return _hat(from_x[..., None] - x) * _hat(from_y[..., None] - y)


def _hat(distance: Tensor) -> Tensor:
    """Bilinear weight of a tap at a distance along one axis."""
    return F.relu(1 - distance.abs())
