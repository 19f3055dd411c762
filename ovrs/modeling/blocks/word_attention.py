"""The multi-modal attention branch: every place of an image reads the words of a sentence (MAFN eq. 8)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from ovrs.errors import ConfigError
from ovrs.modeling.attention import attend


class WordAttention(nn.Module):
    """G_l = Proj(Att(V_e W_q, F_t W_k, F_t W_v) * V_e W_e), as in LAVT (Yang et al. 2022).

    Queries and what they read are normalised over the places of the image. Those norms and the softmax cancel any bias of the
    four maps around them, so none of these has one.

    Args:
        dim: channels of the map.
        text_dim: channels of the words.
        heads: attention heads; must divide ``dim``.

    Raises:
        ConfigError: ``dim`` is no multiple of ``heads``.
    """

    def __init__(self, *, dim: int, text_dim: int, heads: int = 1) -> None:
        super().__init__()
        if heads < 1 or dim % heads:
            raise ConfigError(f"word attention of {dim} channels cannot be cut into {heads} heads")
        self.heads = heads
        self.q = nn.Conv2d(dim, dim, 1, bias=False)
        self.k = nn.Linear(text_dim, dim, bias=False)
        self.v = nn.Linear(text_dim, dim, bias=False)
        self.out = nn.Conv2d(dim, dim, 1, bias=False)
        self.visual = nn.Conv2d(dim, dim, 1)
        self.proj = nn.Conv2d(dim, dim, 1)

    def forward(self, visual: Tensor, words: Tensor, mask: Tensor) -> Tensor:
        """V_e [B, C, H, W] and F_t, the tokens [B, L, T] of one sentence each, -> G_l [B, C, H, W].

        ``mask`` [B, L] is true where a sentence has a token; what stands elsewhere never matters. Each row needs one.
        """
        key, value = self.k(words), self.v(words)
        query = normalize_over_places(self.q(visual)).flatten(2).mT.to(key.dtype)  # mixed precision: norms answer in single
        added = query.new_zeros(mask.shape).masked_fill(~mask, float("-inf"))[:, None, None]
        read = attend(self._split(query), self._split(key), self._split(value), mask=added)
        read = read.mT.flatten(1, 2).unflatten(2, visual.shape[-2:])  # [B, heads, H*W, d] -> [B, C, H, W]
        read = normalize_over_places(self.out(read))
        return F.gelu(self.proj(read * F.gelu(self.visual(visual))))  # eq. 8

    def _split(self, x: Tensor) -> Tensor:
        """[B, L, C] -> [B, heads, L, d]."""
        return x.unflatten(2, (self.heads, -1)).transpose(1, 2)


def normalize_over_places(x: Tensor) -> Tensor:
    """[B, C, H, W], each channel of each image to mean 0 and variance 1 over its places; one place alone becomes 0."""
    places = x.flatten(2)
    return F.layer_norm(places, places.shape[-1:]).view_as(x)
