"""Feature maps on another grid."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from ovrs.modeling.sizes import same_size


def resize_features(x: Tensor, size: tuple[int, int]) -> Tensor:
    """[B, C, h, w] -> [B, C, *size]: bilinear, or averaged where the target grid is coarser on both axes."""
    if same_size(x.shape[-2:], size):
        return x
    if size[0] <= x.shape[-2] and size[1] <= x.shape[-1]:
        return F.interpolate(x, size=size, mode="area")
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False)
