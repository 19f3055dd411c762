"""The text gate: where in an image a class may be, read off the features by its words (RS-ZeroSeg section 3.4)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class TextGate(nn.Module):
    """A_k = sigmoid(alpha * cos(W_q e_k, W_f F) + beta), alpha and beta learned.

    The paper prints sigmoid(Attention(Q = e_k, K = F, V = F)), which for one query is a vector and no map. We read it as the
    attention's scores before the softmax, as cosines so that their range is known.

    Args:
        text_dim: channels of the text embeddings.
        feature_dim: channels of the features.
        dim: channels in which the two are compared. If ``dim`` equals ``text_dim``, W_q starts as the identity, so that words
            keep the neighbourhoods that they came with, also words that no training will move.
        scale: alpha at first.
        bias: beta at first.
    """

    def __init__(self, *, text_dim: int, feature_dim: int, dim: int, scale: float = 5.0, bias: float = 0.0) -> None:
        super().__init__()
        self.text = nn.Linear(text_dim, dim)
        self.features = nn.Conv2d(feature_dim, dim, 1)
        if dim == text_dim:
            nn.init.eye_(self.text.weight)
            nn.init.zeros_(self.text.bias)
        self.scale = nn.Parameter(torch.tensor(scale))
        self.bias = nn.Parameter(torch.tensor(bias))

    def forward(self, features: Tensor, text: Tensor) -> Tensor:
        """``features`` [B, C, H, W] and ``text`` [B, N, T] -> A [B, N, H, W] in 0..1."""
        return self.compare(self.project(features), text).sigmoid()

    def project(self, features: Tensor) -> Tensor:
        """W_f F, of unit length at every place [B, dim, H, W]: the part that all classes share."""
        return F.normalize(self.features(features), dim=1)

    def compare(self, projected: Tensor, text: Tensor) -> Tensor:
        """What the sigmoid is taken of [B, N, H, W], for features already projected and ``text`` [B, N, T]."""
        words = F.normalize(self.text(text), dim=-1).to(projected.dtype)
        return self.scale * torch.einsum("bdhw,bnd->bnhw", projected, words) + self.bias
