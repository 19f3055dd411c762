"""Scaled dot-product attention, in the arithmetic that is fastest where it runs."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ovrs.modeling.precision import without_autocast


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    mask: Tensor | None = None,
    scale: float | None = None,
) -> Tensor:
    """softmax(scale q k' + mask) v for [B, heads, L, d]; ``mask`` is added and may broadcast; None scales by 1 / sqrt(d).

    On a CPU the fused kernel's backward pass in half precision is some five times slower than in single precision for the
    short sequences of windows, so where gradients are wanted there, single precision it is.
    """
    dtype = query.dtype
    if query.device.type == "cpu" and dtype.itemsize < 4 and torch.is_grad_enabled() and query.requires_grad:
        query, key, value = query.float(), key.float(), value.float()
    if mask is not None:
        mask = mask.to(query.dtype)
    with without_autocast(query.device.type):
        return F.scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=scale).to(dtype)
