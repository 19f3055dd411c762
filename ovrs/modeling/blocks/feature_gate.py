"""The feature gate: how much of each feature goes on, read off the feature itself (MAFN eqs. 7 and 9)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class FeatureGate(nn.Module):
    """T = theta(G) * G, theta two linear maps of the channels with a ReLU between and a tanh after; no biases.

    Args:
        dim: channels.
    """

    def __init__(self, *, dim: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(dim, dim, 1, bias=False)
        self.second = nn.Conv2d(dim, dim, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """G [B, C, H, W] -> T [B, C, H, W], nowhere larger than G."""
        return self.second(F.relu(self.first(x))).tanh() * x
