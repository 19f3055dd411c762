"""The context decoder: words of classes take in what an image shows (DenseCLIP, Rao et al. 2022; TSMNet eqs. 5 and 6)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ovrs.modeling.blocks.cross_attention import CrossAttention


class ContextDecoder(nn.Module):
    """t <- t + gamma v, v = TransDecoder(t, [mean of z, z]); gamma so small at first that words are what the text tower says.

    Classes attend to each other, so the words of one depend, by gamma, on which others are asked for; their order has no part
    in it.

    Args:
        embed_dim: E, channels of words and of the features they are compared with.
        dim: channels inside.
        heads: attention heads; must divide ``dim``.
        layers: of the decoder.
        dropout: behind attentions and in the perceptrons, in training.
        gamma: the value of every channel of gamma at first.

    Raises:
        ConfigError: ``dim`` is no multiple of ``heads``.
    """

    def __init__(
        self, *, embed_dim: int, dim: int = 256, heads: int = 4, layers: int = 3, dropout: float = 0.1, gamma: float = 1e-4
    ) -> None:
        super().__init__()
        self.visual = nn.Sequential(nn.LayerNorm(embed_dim), nn.Linear(embed_dim, dim), nn.LayerNorm(dim))
        self.text = nn.Sequential(nn.LayerNorm(embed_dim), nn.Linear(embed_dim, dim))
        self.layers = nn.ModuleList(ContextLayer(dim=dim, heads=heads, dropout=dropout) for _ in range(layers))
        self.out = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, embed_dim))
        self.gamma = nn.Parameter(torch.full((embed_dim,), gamma))

    def forward(self, text: Tensor, dense: Tensor, pooled: Tensor) -> Tensor:
        """Words t [B, N, E], z [B, E, H, W] and what stands for all of z [B, E] -> the words of each image [B, N, E]."""
        context = self.visual(torch.cat([pooled.unsqueeze(1), dense.flatten(2).mT], dim=1))
        words = self.text(text)
        for layer in self.layers:
            words = layer(words, context)
        return text + self.gamma * self.out(words)  # eqs. 5 and 6


class ContextLayer(nn.Module):
    """Words attend to each other, then to the image, then pass a perceptron; each behind a norm and with a residual.

    Args:
        dim: channels of both.
        heads: attention heads.
        dropout: see :class:`ContextDecoder`.
    """

    def __init__(self, *, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.self_norm, self.cross_norm, self.mlp_norm = (nn.LayerNorm(dim) for _ in range(3))
        self.self_attn, self.cross_attn = (
            CrossAttention(query_dim=dim, context_dim=dim, dim=dim, heads=heads, bias=False, dropout=dropout) for _ in range(2)
        )
        self.mlp = nn.Sequential(
            nn.Linear(dim, 4 * dim), nn.GELU(), nn.Dropout(dropout), nn.Linear(4 * dim, dim), nn.Dropout(dropout)
        )

    def forward(self, words: Tensor, context: Tensor, *, mask: Tensor | None = None) -> Tensor:
        """``words`` [B, N, C], whose ``mask`` [B, N] is true where they may be read, and ``context`` [B, L, C] -> [B, N, C]."""
        normal = self.self_norm(words)
        words = words + self.self_attn(normal, normal, mask=mask)
        words = words + self.cross_attn(self.cross_norm(words), context)
        return words + self.mlp(self.mlp_norm(words))
