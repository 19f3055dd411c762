"""Scene-level fusion: every place of an image reads the description of its scene (TSMNet section 2.4)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ovrs.modeling.blocks.cross_attention import CrossAttention


class SceneFusion(nn.Module):
    """x + CrossAttention(Q = x, K = V = the tokens of the description), each through a norm of its own.

    In the authors' code one vector of the whole description is laid out over all places. Then all keys are equal, attention is
    uniform whatever the queries, and no query or key learns; so here the tokens are read.

    Args:
        dim: channels of the map.
        text_dim: channels of the tokens.
        heads: attention heads; must divide ``dim``.

    Raises:
        ConfigError: ``dim`` is no multiple of ``heads``.
    """

    def __init__(self, *, dim: int, text_dim: int, heads: int = 8) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.text_norm = nn.LayerNorm(text_dim)
        self.attn = CrossAttention(query_dim=dim, context_dim=text_dim, dim=dim, heads=heads, bias=False)

    def forward(self, x: Tensor, tokens: Tensor, mask: Tensor) -> Tensor:
        """[B, C, H, W] and the tokens [B, L, T] of one description each -> [B, C, H, W].

        ``mask`` [B, L] is true where a description has a token; what stands elsewhere never matters, be it NaN. An image whose
        row has none has no description and comes back as it is.
        """
        described = mask.any(dim=1)
        tokens = tokens.masked_fill(~mask.unsqueeze(2), 0)
        readable = mask | ~described.unsqueeze(1)  # a softmax needs one token, read or not
        read = self.attn(self.norm(x.flatten(2).mT), self.text_norm(tokens), mask=readable)
        read = read.mT.unflatten(2, x.shape[-2:])
        return x + torch.where(described[:, None, None, None], read, 0)
