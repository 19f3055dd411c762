"""timm backbones, cut behind the deepest level that is read: pyramids of guidance, and stems of small vision transformers."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import timm
import torch
from torch import Tensor, nn

from ovrs.errors import ConfigError


def build_backbone(name: str, levels: Sequence[int]) -> Any:
    """A timm model without what lies behind the deepest of ``levels`` (0 is the finest), random weights.

    Raises:
        ConfigError: timm has no such model or level, or cannot cut it.
    """
    try:
        backbone = timm.create_model(name, pretrained=False)
        backbone.prune_intermediate_layers(list(levels), prune_norm=True, prune_head=True)
    except (RuntimeError, ValueError, IndexError, AssertionError, AttributeError) as error:
        raise ConfigError(f"timm model {name!r} with levels {list(levels)}: {error}") from error
    return backbone


def read_levels(backbone: Any, x: Tensor, levels: Sequence[int]) -> list[Tensor]:
    """The levels [B, C, h, w] of normalised images ``x`` [B, 3, H, W], in the order of ``levels``."""
    found = backbone.forward_intermediates(x, indices=sorted(set(levels)), intermediates_only=True)
    by_level = dict(zip(sorted(set(levels)), found, strict=True))
    return [by_level[level] for level in levels]


class BackboneStem(nn.Module):
    """One level of a pre-trained backbone and a 1x1 convolution, in place of a vision transformer's patch embedding.

    Batch norms keep the statistics that came with the weights: a few thousand tiles would not better them, and training then
    gives the same curve however a batch is divided over processes.
    """

    def __init__(self, name: str, width: int, patch: int) -> None:
        super().__init__()
        reductions = [level["reduction"] for level in timm.create_model(name, pretrained=False).feature_info]
        if patch not in reductions:
            raise ConfigError(f"MODEL.VISION_LANGUAGE.SMALL.PATCH is {patch}, but {name} has the strides {reductions}")
        self.level = reductions.index(patch)
        self.backbone = build_backbone(name, [self.level])
        self.projection = nn.Conv2d(self.backbone.feature_info[self.level]["num_chs"], width, 1)

    def train(self, mode: bool = True) -> BackboneStem:
        """Training mode for all but the batch norms."""
        super().train(mode)
        for module in self.backbone.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
        return self

    def forward(self, x: Tensor) -> Tensor:
        """[B, 3, H*patch, W*patch] -> [B, width, H, W]."""
        # Depthwise convolutions on CPUs are about twice as fast with channels last.
        (features,) = read_levels(self.backbone, x.contiguous(memory_format=torch.channels_last), [self.level])
        return self.projection(features)


def convolutional_stem(width: int, patch: int) -> nn.Sequential:
    """[B, 3, H*patch, W*patch] -> [B, width, H, W] by 3x3 convolutions of stride 2.

    Raises:
        ConfigError: ``patch`` is no power of two.
    """
    steps = patch.bit_length() - 1
    if 2**steps != patch or not steps:
        raise ConfigError(f"MODEL.VISION_LANGUAGE.SMALL.PATCH is {patch}; it must be 2, 4, 8, 16 or 32")
    widths = [3, *(max(width >> (steps - 1 - step), 16) for step in range(steps))]
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
    return nn.Sequential(*layers, nn.Conv2d(width, width, 1))
