"""What the machine can do at most: a large product of matrices, and a large copy."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from ovrs.benchmark.clock import clock
from ovrs.modeling.segmentation_model import PRECISIONS

# Large enough that nothing but the products and the memory matter: 17 GFLOP and more than caches hold.
_SIDE = {"cpu": 2048, "cuda": 8192}
_COPIED = {"cpu": 2**28, "cuda": 2**30}  # bytes
_TRIES = 3


def product_ceiling(precision: str, device: str) -> float:
    """Floating-point operations a second of the product of two square matrices; a multiplication and an addition are two."""
    side = _SIDE[device]
    dtype = PRECISIONS[precision] or torch.float32
    left, right = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    return 2 * side**3 / _fastest(lambda: left @ right)


def copy_ceiling(device: str) -> float:
    """Bytes a second that a copy reads and writes together."""
    source = torch.ones(_COPIED[device], dtype=torch.uint8, device=device)
    target = torch.zeros_like(source)
    return 2 * source.nbytes / _fastest(lambda: target.copy_(source))


def _fastest(run: Callable[[], object]) -> float:
    run()
    seconds = math.inf
    for _ in range(_TRIES):
        start = clock()
        run()
        seconds = min(seconds, clock() - start)
    return seconds
