"""Multi-head self-attention with separate query, key and value projections, so that each can train or freeze on its own."""

from __future__ import annotations

from typing import Any

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
    def of(cls, heads: int, weight: Tensor, bias: Tensor, out: nn.Linear) -> SplitAttention:
        """Attention with the fused input projection ``weight`` [3C, C], ``bias`` [3C] and a copy of the output projection."""
        split = cls(weight.shape[1], heads)
        with torch.no_grad():
            for own, part in zip((split.q_proj_weight, split.k_proj_weight, split.v_proj_weight), weight.chunk(3), strict=True):
                own.copy_(part)
            split.in_proj_bias.copy_(bias)
        split.out_proj.load_state_dict(out.state_dict())
        return split

    @classmethod
    def from_fused(cls, attention: nn.MultiheadAttention) -> SplitAttention:
        """The same attention as ``attention``, sharing no storage with it."""
        return cls.of(attention.num_heads, attention.in_proj_weight, attention.in_proj_bias, attention.out_proj)

    def forward(self, x: Tensor, *, query: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        """Attention of ``query`` [B, Q, C] to ``x`` [B, L, C], which is its own query where none is given.

        ``mask`` [Q, L] is added to the scores.
        """
        sources = (x if query is None else query, x, x)
        weights = (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)
        heads = [
            F.linear(tokens, weight, bias).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for tokens, weight, bias in zip(sources, weights, self.in_proj_bias.chunk(3), strict=True)
        ]
        return self.out_proj(attend(*heads, mask=mask).transpose(1, 2).flatten(2))

    def value(self, x: Tensor) -> Tensor:
        """What every token of ``x`` [B, L, C] would give if it attended to itself alone: ``out_proj(v_proj(x))``."""
        return self.out_proj(F.linear(x, self.v_proj_weight, self.in_proj_bias.chunk(3)[2]))


class QuickGelu(nn.Module):
    """OpenAI's activation ``x * sigmoid(1.702 x)``, written as ``silu(1.702 x) / 1.702``.

    Without gradients it overwrites its input, which is a layer's own output: the widest tensors of a tower are then not written
    anew three times. CLIP's ViT-B/16 with four views takes 0.84 times as long for it in bf16 on a CPU, 0.95 times in fp32
    (docs/performance.md).
    """

    def forward(self, x: Tensor) -> Tensor:
        """[...] -> [...]."""
        if torch.is_grad_enabled():
            return F.silu(1.702 * x) / 1.702
        return F.silu(x.mul_(1.702), inplace=True).div_(1.702)


def split_attentions(blocks: nn.ModuleList) -> None:
    """Replace the fused attention of every open_clip residual block by a :class:`SplitAttention`, in place.

    And open_clip's QuickGELU by a :class:`QuickGelu`; neither has parameters.

    Raises:
        TypeError: a block's attention is not ``nn.MultiheadAttention`` (open_clip's custom blocks).
    """
    for block in blocks:
        if not isinstance(block.attn, nn.MultiheadAttention):
            raise TypeError(f"only plain multi-head attention can be split, not {type(block.attn).__name__}")
        block.attn = SplitAttention.from_fused(block.attn)
        mlp: Any = block.mlp
        if type(mlp.gelu).__name__ == "QuickGELU":  # of open_clip, which small models do without
            mlp.gelu = QuickGelu()


def residual_block(block: Any, tokens: Tensor, *, mask: Tensor | None = None) -> Tensor:
    """One open_clip residual block whose attention is a :class:`SplitAttention`, on ``tokens`` [B, L, C]."""
    tokens = tokens + block.ls_1(block.attn(block.ln_1(tokens), mask=mask))
    return tokens + block.ls_2(block.mlp(block.ln_2(tokens)))


def residual_block_at(block: Any, tokens: Tensor, at: Tensor, *, mask: Tensor) -> Tensor:
    """As :func:`residual_block`, of the tokens ``at`` [Q] alone, for which ``mask`` is -> [B, Q, C]; no other is computed."""
    normed = block.ln_1(tokens)
    own = tokens[:, at] + block.ls_1(block.attn(normed, query=normed[:, at], mask=mask))
    return own + block.ls_2(block.mlp(block.ln_2(own)))
