"""The mean of a text's tokens: padding has no part in it."""

from __future__ import annotations

from torch import Tensor


def token_mean(tokens: Tensor, mask: Tensor) -> Tensor:
    """``tokens`` [N, L, C] averaged where ``mask`` [N, L] is true -> [N, C]; zeros of a text without a token.

    What stands where there is no token never matters, be it NaN.
    """
    there = mask.unsqueeze(2)
    return tokens.masked_fill(~there, 0).sum(dim=1) / there.sum(dim=1).clamp(min=1)
