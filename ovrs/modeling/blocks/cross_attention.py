"""Cross-attention: one sequence reads another."""

from __future__ import annotations

from torch import Tensor, nn

from ovrs.errors import ConfigError
from ovrs.modeling.attention import attend


class CrossAttention(nn.Module):
    """Multi-head attention whose queries come from one sequence, and keys and values from another.

    Args:
        query_dim: channels of the sequence that asks.
        context_dim: channels of the sequence that answers.
        dim: channels inside and of the result.
        heads: attention heads; must divide ``dim``.
        bias: of queries, keys and values. That of keys would cancel in the softmax.
        dropout: of the result, in training.

    Raises:
        ConfigError: ``dim`` is no multiple of ``heads``.
    """

    def __init__(
        self, *, query_dim: int, context_dim: int, dim: int, heads: int, bias: bool = True, dropout: float = 0.0
    ) -> None:
        super().__init__()
        if heads < 1 or dim % heads:
            raise ConfigError(f"cross-attention of {dim} channels cannot be cut into {heads} heads")
        self.heads = heads
        self.q = nn.Linear(query_dim, dim, bias=bias)
        self.k = nn.Linear(context_dim, dim, bias=bias)
        self.v = nn.Linear(context_dim, dim, bias=bias)
        self.proj = nn.Linear(dim, dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, query: Tensor, context: Tensor, *, mask: Tensor | None = None) -> Tensor:
        """``query`` [B, Nq, Cq] and ``context`` [B, Nk, Ck] -> [B, Nq, dim].

        ``mask`` [B, Nk] is true where a token of the context may be read; each row needs one that may.
        """
        added = None
        if mask is not None:
            added = query.new_zeros(mask.shape).masked_fill(~mask, float("-inf"))[:, None, None]
        mixed = attend(self._split(self.q(query)), self._split(self.k(context)), self._split(self.v(context)), mask=added)
        return self.dropout(self.proj(mixed.transpose(1, 2).flatten(2)))

    def _split(self, x: Tensor) -> Tensor:
        """[B, L, dim] -> [B, heads, L, d]."""
        return x.unflatten(2, (self.heads, -1)).transpose(1, 2)
