"""Weights of encoders in half precision, for models that no longer learn."""

from __future__ import annotations

import torch
from torch import nn

from ovrs.modeling.encoders.attention import SplitAttention

_PRODUCTS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.ConvTranspose2d, SplitAttention)


def round_weights(encoder: nn.Module, dtype: torch.dtype) -> None:
    """Keep the weights of an encoder's products in ``dtype``, in place; it must run under autocast of ``dtype`` from then on.

    Autocast rounds the same weights, at every call anew: results are equal to the bit, and weights take half the memory.
    Copies, most of them this rounding, were an eighth of AerOSeg's time in bf16 on a CPU (docs/performance.md). Norms and
    positions stay as they are: autocast does not round them either.
    """
    for module in encoder.modules():
        if isinstance(module, _PRODUCTS):
            for parameter in module.parameters(recurse=False):
                parameter.requires_grad_(False)
                parameter.data = parameter.data.to(dtype)
