"""Classes by the cosine of a place's features and each class's words: any number of them (TSMNet section 2.6)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ovrs.modeling.blocks.text_prior import score_map

LARGEST = 100.0  # that by which cosines are multiplied, as CLIP's


class CosineClassifier(nn.Module):
    """Logits: cosines, by a factor that is learned.

    Args:
        dim: channels of the features.
        embed_dim: channels of the words.
        temperature: 1 / factor at first.
    """

    def __init__(self, *, dim: int, embed_dim: int, temperature: float = 0.07) -> None:
        super().__init__()
        self.embed = nn.Conv2d(dim, embed_dim, 1)
        self.logit_scale = nn.Parameter(torch.tensor(math.log(1 / temperature)))

    def forward(self, features: Tensor, words: Tensor) -> Tensor:
        """Features [B, C, H, W] and the words of each image [B, N, E] -> logits [B, N, H, W]."""
        scale = self.logit_scale.exp().clamp(max=LARGEST)
        return scale * score_map(self.embed(features), words).float()
