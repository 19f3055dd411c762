"""The visual integration branch: places weighed by what several receptive fields see there (MAFN eq. 6)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class RepBlock(nn.Module):
    """A 3x3 convolution, a 1x1 convolution and the identity, summed; out of training, the one 3x3 convolution they are.

    Of a single channel a batch norm after the 1x1 convolution would divide its only weight out, so it has none there.

    Args:
        dim: channels in and out.
    """

    def __init__(self, *, dim: int = 1) -> None:
        super().__init__()
        self.wide = nn.Conv2d(dim, dim, 3, padding=1, bias=False)
        self.wide_norm = nn.BatchNorm2d(dim)
        self.point = nn.Conv2d(dim, dim, 1, bias=False)
        self.identity_norm = nn.BatchNorm2d(dim)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C, H, W]."""
        if self.training:
            return self.wide_norm(self.wide(x)) + self.point(x) + self.identity_norm(x)
        kernel, bias = self.fused()
        return F.conv2d(x, kernel, bias, padding=1)

    def fused(self) -> tuple[Tensor, Tensor]:
        """Kernel [C, C, 3, 3] and bias [C] of the same map with running statistics."""
        wide_scale, wide_shift = _affine(self.wide_norm)
        identity_scale, identity_shift = _affine(self.identity_norm)
        centre = self.point.weight + torch.diag(identity_scale)[:, :, None, None]
        kernel = wide_scale[:, None, None, None] * self.wide.weight + F.pad(centre, (1, 1, 1, 1))
        return kernel, wide_shift + identity_shift


class VisualIntegration(nn.Module):
    """G_v = sigmoid(sum_j k_j * mean of the channels of V_e) V_e, the kernels k_j two re-parameterised blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.first = RepBlock()
        self.second = RepBlock()

    def forward(self, visual: Tensor) -> Tensor:
        """V_e [B, C, H, W] -> G_v [B, C, H, W]."""
        mean = visual.mean(dim=1, keepdim=True)
        return self.second(F.relu(self.first(mean))).sigmoid() * visual  # eq. 6


def _affine(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """What a batch norm with running statistics multiplies by and adds."""
    assert norm.running_mean is not None and norm.running_var is not None
    scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
    return scale, norm.bias - norm.running_mean * scale
