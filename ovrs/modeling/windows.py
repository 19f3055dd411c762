"""Overlapping windows over an image: where they lie, and weights that sum to one wherever they overlap."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def window_starts(length: int, window: int, overlap: float) -> list[int]:
    """Starts of windows that cover ``length``, neighbours overlapping by at least ``overlap`` of a window, spread evenly.

    One window where it covers everything; otherwise the first starts at 0 and the last ends at ``length``.
    """
    if length <= window:
        return [0]
    step = max(int(window * (1 - overlap)), 1)
    count = math.ceil((length - window) / step) + 1
    return [round(i * (length - window) / (count - 1)) for i in range(count)]


def window_weights(length: int, window: int, starts: list[int]) -> Tensor:
    """Blending weights of one axis [len(starts), window]: a tent each, divided so that they sum to one at every position.

    Windows' weights in the plane are products of two such rows, so they sum to one there too, edges and corners included.
    """
    window = min(window, length)
    tent = torch.minimum(torch.arange(1, window + 1), torch.arange(window, 0, -1)).double()
    total = torch.zeros(length, dtype=torch.float64)
    for start in starts:
        total[start : start + window] += tent
    return torch.stack([tent / total[start : start + window] for start in starts]).float()


def pad_to_multiple(image: Tensor, multiple: int) -> Tensor:
    """Repeat the last row and column of [..., H, W] until both sides are multiples of ``multiple``."""
    down, right = -image.shape[-2] % multiple, -image.shape[-1] % multiple
    if not (down or right):
        return image
    return F.pad(image[None] if image.dim() == 3 else image, (0, right, 0, down), mode="replicate").view(
        *image.shape[:-2], image.shape[-2] + down, image.shape[-1] + right
    )


def resize(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear resize of [B, C, H, W] (corners not aligned, no antialiasing: as Detectron2 and the peers do)."""
    if image.shape[-2:] == size:
        return image
    return F.interpolate(image, size=size, mode="bilinear", align_corners=False)
