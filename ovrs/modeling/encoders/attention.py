"""Multi-head self-attention with separate query, key and value projections, so that each can train or freeze on its own."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ovrs.modeling.attention import attend


class SplitAttention(nn.Module):
    """``nn.MultiheadAttention`` with its fused input projection cut in three; the bias stays one fused tensor.

    CAT-Seg trains the query and value weights of CLIP alone, and its published checkpoints are laid out like this.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj_weight = nn.Parameter(torch.empty(dim, dim))
        self.k_proj_weight = nn.Parameter(torch.empty(dim, dim))
        self.v_proj_weight = nn.Parameter(torch.empty(dim, dim))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * dim))
        self.out_proj = nn.Linear(dim, dim)
        for weight in (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight):
            nn.init.xavier_uniform_(weight)

    @classmethod
    def from_fused(cls, attention: nn.MultiheadAttention) -> SplitAttention:
        """The same attention as ``attention``, sharing no storage with it."""
        split = cls(attention.embed_dim, attention.num_heads)
        query, key, value = attention.in_proj_weight.detach().chunk(3)
        with torch.no_grad():
            split.q_proj_weight.copy_(query)
            split.k_proj_weight.copy_(key)
            split.v_proj_weight.copy_(value)
            split.in_proj_bias.copy_(attention.in_proj_bias)
        split.out_proj.load_state_dict(attention.out_proj.state_dict())
        return split

    def forward(self, x: Tensor, *, causal: bool = False) -> Tensor:
        """Self-attention over ``x`` [B, L, C]; ``causal`` lets a token see only itself and those before it."""
        batch, length, dim = x.shape
        weights = (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)
        heads = [
            F.linear(x, weight, bias).view(batch, length, self.heads, dim // self.heads).transpose(1, 2)
            for weight, bias in zip(weights, self.in_proj_bias.chunk(3), strict=True)
        ]
        mixed = attend(*heads, causal=causal)
        return self.out_proj(mixed.transpose(1, 2).reshape(batch, length, dim))

    def value(self, x: Tensor) -> Tensor:
        """What every token of ``x`` [B, L, C] would give if it attended to itself alone: ``out_proj(v_proj(x))``."""
        return self.out_proj(F.linear(x, self.v_proj_weight, self.in_proj_bias.chunk(3)[2]))


def split_attentions(blocks: nn.ModuleList) -> None:
    """Replace the fused attention of every open_clip residual block by a :class:`SplitAttention`, in place.

    Raises:
        TypeError: a block's attention is not ``nn.MultiheadAttention`` (open_clip's custom blocks).
    """
    for block in blocks:
        if not isinstance(block.attn, nn.MultiheadAttention):
            raise TypeError(f"only plain multi-head attention can be split, not {type(block.attn).__name__}")
        block.attn = SplitAttention.from_fused(block.attn)
