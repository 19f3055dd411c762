"""Work on many classes a few at a time, so that memory does not grow with the vocabulary."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def map_classes(function: Callable[[Tensor], Tensor], x: Tensor, chunk: int) -> Tensor:
    """Apply ``function`` along the class axis of ``x`` [B, N, ...], ``chunk`` classes at a time; 0 takes all at once.

    ``function`` must treat classes independently, so chunks change memory and nothing else. With gradients every
    intermediate is kept anyway, so nothing is cut.
    """
    if not chunk or x.shape[1] <= chunk or torch.is_grad_enabled():
        return function(x)
    result: Tensor | None = None
    for start in range(0, x.shape[1], chunk):
        part = function(x[:, start : start + chunk])
        if result is None:
            result = part.new_empty((part.shape[0], x.shape[1], *part.shape[2:]))
        result[:, start : start + chunk] = part
    assert result is not None
    return result
