"""Position embeddings at sizes other than the trained one."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from ovrs.modeling.precision import without_autocast

KEPT_SIZES = 16


class KeptPerSize:
    """Values made from one weight for each grid size, kept while the weight cannot change; at most sixteen of them."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[object, ...], Tensor] = OrderedDict()

    def __call__(self, weight: Tensor, size: tuple[int, int], make: Callable[[], Tensor]) -> Tensor:
        """``make()`` for ``size``, in single precision; with gradients to ``weight`` it is made anew every time."""
        # A graph that is being traced (torch.export) makes its own: what is traced has no memory to recognise it by.
        if torch.compiler.is_compiling() or (weight.requires_grad and torch.is_grad_enabled()):
            return self._make(weight, make)
        key = (size, weight.device, weight.dtype, weight._version, weight.data_ptr())
        if key not in self._kept:
            self._kept[key] = self._make(weight, make).detach()
            while len(self._kept) > KEPT_SIZES:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]

    def clear(self) -> None:
        """Forget everything."""
        self._kept.clear()

    @staticmethod
    def _make(weight: Tensor, make: Callable[[], Tensor]) -> Tensor:
        with without_autocast(weight.device.type):
            return make()


def resize_grid(grid: Tensor, size: tuple[int, int]) -> Tensor:
    """Bicubic resize of embeddings [1, C, H, W], corners not aligned and no antialiasing: as CAT-Seg resizes CLIP's."""
    return F.interpolate(grid, size=size, mode="bicubic", align_corners=False)
