"""Work on many classes a few at a time, so that memory does not grow with the vocabulary."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor


def map_classes(function: Callable[[Tensor], Tensor], x: Tensor, chunk: int) -> Tensor:
    """Apply ``function`` along the class axis of ``x`` [B, N, ...], at most ``chunk`` classes at a time; 0 takes all at once.

    As many parts as it takes, and all but equal ones, for a small rest would cost more than its share. ``function`` must treat
    classes independently, so chunks change memory and time and nothing else. With gradients every intermediate is kept
    anyway, so nothing is cut.
    """
    if not chunk or x.shape[1] <= chunk or torch.is_grad_enabled():
        return function(x)
    result: Tensor | None = None
    parts = math.ceil(x.shape[1] / chunk)
    size = math.ceil(x.shape[1] / parts)
    for start in range(0, x.shape[1], size):
        part = function(x[:, start : start + size])
        if result is None:
            result = part.new_empty((part.shape[0], x.shape[1], *part.shape[2:]))
        result[:, start : start + size] = part
    assert result is not None
    return result
