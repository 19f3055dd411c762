"""Losses of classes that exclude each other: cross entropy and soft Dice (TSMNet eqs. 8, 9 and 11)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ovrs.modeling.losses import IGNORED, over_processes
from ovrs.modeling.windows import resize


@dataclass(frozen=True)
class LossWeights:
    """Of the four losses of eq. 11, where all are 1."""

    object: float = 1.0
    scene: float = 1.0
    ce: float = 1.0
    dice: float = 1.0


def cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Mean over labelled pixels, of all processes together, of -log softmax of the right class.

    Args:
        logits: [B, N, h, w]; resized bilinearly to the target.
        target: [B, H, W], class indices or 255.

    Returns:
        A scalar; 0 (with gradients) where no pixel is labelled.
    """
    logits = _as_large_as(logits, target)
    per_pixel = F.cross_entropy(logits, target, ignore_index=IGNORED, reduction="sum")
    return per_pixel / over_processes((target != IGNORED).sum())


def soft_dice(logits: Tensor, target: Tensor) -> Tensor:
    """1 - Dice of the softmax and what is there, a mean over the classes that each image holds, of all processes together.

    A class that an image does not hold has no term: its Dice would be 0 whatever the answer. Its false pixels are missing in
    the terms of the others.

    Args:
        logits: [B, N, h, w]; resized bilinearly to the target.
        target: [B, H, W], class indices or 255.

    Returns:
        A scalar in 0..1; 0 (with gradients) where no pixel is labelled.
    """
    logits = _as_large_as(logits, target)
    counted = (target != IGNORED).unsqueeze(1)
    there = (target.unsqueeze(1) == torch.arange(logits.shape[1], device=target.device)[:, None, None]).float()
    shares = logits.softmax(dim=1) * counted
    together, apart = (shares * there).sum(dim=(2, 3)), (shares + there).sum(dim=(2, 3))
    held = there.amax(dim=(2, 3))
    return (held * (1 - 2 * together / apart.clamp(min=1))).sum() / over_processes(held.sum())


def _as_large_as(logits: Tensor, target: Tensor) -> Tensor:
    height, width = target.shape[-2:]
    return resize(logits.float(), (height, width))
