"""Losses of classes that exclude each other: cross entropy and Dice (TSMNet eqs. 8, 9 and 11; MetaSegNet eqs. 1 and 2)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ovrs.modeling.blocks.contrastive import from_all_processes
from ovrs.modeling.losses import IGNORED, over_processes
from ovrs.modeling.windows import resize

SMOOTH = 0.05  # added to both sides of a class's Dice, in pixels


@dataclass(frozen=True)
class LossWeights:
    """Of the four losses of eq. 11, where all are 1."""

    object: float = 1.0
    scene: float = 1.0
    ce: float = 1.0
    dice: float = 1.0


def cross_entropy(logits: Tensor, target: Tensor, *, smoothing: float = 0.0) -> Tensor:
    """Mean over labelled pixels, of all processes together, of -log softmax of the right class.

    Args:
        logits: [B, N, h, w]; resized bilinearly to the target.
        target: [B, H, W], class indices or 255.
        smoothing: the share of each label that is given to all classes alike, 0..1.

    Returns:
        A scalar; 0 (with gradients) where no pixel is labelled.
    """
    logits = _as_large_as(logits, target)
    per_pixel = F.cross_entropy(logits, target, ignore_index=IGNORED, reduction="sum", label_smoothing=smoothing)
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
    shares, there = _shares_and_truth(_as_large_as(logits, target), target)
    together, apart = (shares * there).sum(dim=(2, 3)), (shares + there).sum(dim=(2, 3))
    held = there.amax(dim=(2, 3))
    return (held * (1 - 2 * together / apart.clamp(min=1))).sum() / over_processes(held.sum())


def class_dice(logits: Tensor, target: Tensor) -> Tensor:
    """1 - Dice of each class over all pixels of the batch, of all processes together; the mean over classes.

    A class that no pixel has counts as 0: its Dice would be 0 whatever the answer. This is how GeoSeg, by MetaSegNet's first
    author, has it (https://github.com/WangLibo1995/GeoSeg); eq. 2 of MetaSegNet is :func:`pixel_dice`.

    Args:
        logits: [B, N, h, w]; resized bilinearly to the target.
        target: [B, H, W], class indices or 255.

    Returns:
        A scalar in 0..1; 0 (with gradients) where no pixel is labelled.
    """
    shares, there = _shares_and_truth(_as_large_as(logits, target), target)
    sums = torch.stack([(shares * there).sum(dim=(0, 2, 3)), shares.sum(dim=(0, 2, 3)), there.sum(dim=(0, 2, 3))])
    together, said, held = from_all_processes(sums.unsqueeze(0)).sum(dim=0)
    dice = (2 * together + SMOOTH) / (said + held + SMOOTH)
    return ((1 - dice) * (held > 0)).mean()


def pixel_dice(logits: Tensor, target: Tensor) -> Tensor:
    """Eq. 2 of MetaSegNet as it is written: 1 - 2/N sum over pixels and classes of y' y / (y' + y), y' the softmax.

    With y of 0 and 1 only the right class has a term, y' / (y' + 1); of the others eq. 2 has 0 / y', which is 0 / 0 where y' is
    0, and 0 here.

    Args:
        logits: [B, N, h, w]; resized bilinearly to the target.
        target: [B, H, W], class indices or 255.

    Returns:
        A scalar in 0..1, a mean over the labelled pixels of all processes; 0 (with gradients) where none is.
    """
    shares, there = _shares_and_truth(_as_large_as(logits, target), target)
    right = (shares * there).sum(dim=1)
    counted = target != IGNORED
    return ((1 - 2 * right / (right + 1)) * counted).sum() / over_processes(counted.sum())


def _shares_and_truth(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """The softmax [B, N, H, W], 0 where a pixel has no label, and 1 where the label is the class, else 0 [B, N, H, W]."""
    classes = torch.arange(logits.shape[1], device=target.device)[:, None, None]
    there = (target.unsqueeze(1) == classes).float()
    return logits.softmax(dim=1) * (target != IGNORED).unsqueeze(1), there


def _as_large_as(logits: Tensor, target: Tensor) -> Tensor:
    height, width = target.shape[-2:]
    return resize(logits.float(), (height, width))
