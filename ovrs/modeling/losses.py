"""Losses (AerOSeg eqs. 12 and 13), and the alignment of the small models' cost volume."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor

IGNORED = 255

Ignored = Literal["negative", "mask"]
Reduction = Literal["mean", "class_sum"]


@dataclass
class LossSettings:
    """Weights and policies of the losses (``cfg.MODEL.LOSS``)."""

    ignored: Ignored = "negative"
    reduction: Reduction = "mean"
    bce_weight: float = 1.0
    semantic_weight: float = 1.0
    semantic_reduction: Literal["mean", "sum"] = "mean"
    alignment_weight: float = 0.0


def segmentation_loss(
    logits: Tensor,
    target: Tensor,
    *,
    ignored: Ignored = "negative",
    reduction: Reduction = "mean",
) -> Tensor:
    """Binary cross entropy of every class at every pixel (eq. 12).

    Args:
        logits: [B, N, h, w]; resized bilinearly to the target.
        target: [B, H, W], class indices or 255.
        ignored: pixels of 255 are ``negative`` examples of all classes (CAT-Seg's code), or ``mask``ed out.
        reduction: ``mean`` over pixels and classes (CAT-Seg's code), or ``class_sum``: mean over pixels of the sum over
            classes (eq. 12 as printed).

    Returns:
        A scalar; 0 (with gradients) where everything is masked out.
    """
    classes = logits.shape[1]
    logits = F.interpolate(logits.float(), size=target.shape[-2:], mode="bilinear", align_corners=False)
    counted = target != IGNORED
    # softplus(x) - x[y] is the sum over classes of the binary cross entropy, without a one-hot tensor of the targets.
    negative = F.softplus(logits).sum(dim=1)
    index = target.masked_fill(~counted, 0).unsqueeze(1)
    positive = logits.gather(1, index).squeeze(1) * counted
    per_pixel = negative - positive
    if ignored == "mask":
        per_pixel = per_pixel * counted
        pixels = over_processes(counted.sum())
    else:
        pixels = counted.new_tensor(target.numel(), dtype=torch.long)
    total = per_pixel.sum() / pixels
    return total / classes if reduction == "mean" else total


def semantic_loss(psi: Tensor, target: Tensor, *, reduction: Literal["mean", "sum"] = "mean") -> Tensor:
    """L_sem of eq. 13: squared error of psi [B, H, W, C] against the detached target, as a mean or a sum per image."""
    error = (psi.float() - target.detach().float()).square()
    return error.mean() if reduction == "mean" else error.sum() / len(psi)


def alignment_loss(cost: Tensor, target: Tensor, scale: Tensor) -> Tensor:
    """Cross entropy over classes of the cost volume itself, averaged over rotations and prompts.

    Not in the paper: where there is no CLIP behind the towers, this is what puts words and patches into one space.

    Args:
        cost: [B, K, N, H, W].
        target: [B, h, w] class indices or 255; a patch's target is the share of each class among its labelled pixels.
        scale: factor on cosines (exp of the encoder's logit scale).
    """
    log_share = F.log_softmax(cost.float().mean(dim=1) * scale, dim=1)
    share = class_shares(target, cost.shape[2], (cost.shape[3], cost.shape[4]))
    return -(share * log_share).sum() / over_processes(share.sum())


def class_shares(target: Tensor, classes: int, size: tuple[int, int]) -> Tensor:
    """The share of each class among the pixels of each place of a grid: [B, H, W] -> [B, N, *size], in 0..1."""
    one_hot = target[:, None] == torch.arange(classes, device=target.device)[None, :, None, None]
    return F.interpolate(one_hot.float(), size=size, mode="area")


def over_processes(count: Tensor) -> Tensor:
    """The mean over processes of what a loss is divided by, at least 1 in all.

    Since gradients are averaged over processes, a loss so divided is that of all their images in one process, even where
    they count different numbers of pixels. Every process must take part.
    """
    if not dist.is_available() or not dist.is_initialized():
        return count.clamp(min=1)
    total = count.detach().double()
    dist.all_reduce(total)
    return (total.clamp(min=1) / dist.get_world_size()).float()


def image_level_loss(cost: Tensor, target: Tensor, scale: Tensor, bias: Tensor, *, min_share: float = 0.0005) -> Tensor:
    """Pairwise sigmoid contrast of images and sentences (SigLIP's loss, Zhai et al. 2023), with many true sentences an image.

    Not in the paper: the small models' stand-in for CLIP's pre-training. It reads no more of the labels than which classes an
    image holds, so it is to a crop what a caption is.

    Args:
        cost: [B, K, N, H, W], cosines of patches and sentences.
        target: [B, h, w], class indices or 255.
        scale: factor on cosines (exp of the encoder's logit scale).
        bias: added to the score of an image, which is the soft maximum (log mean exp) over its patches.
        min_share: a class on a smaller share of the pixels is not said to be there, nor is it said to be absent.

    Returns:
        A scalar: sum over sentences, mean over images.
    """
    patches = (cost.float().mean(dim=1) * scale).flatten(2)
    scores = patches.logsumexp(dim=2) - math.log(patches.shape[2]) + bias
    classes = torch.arange(cost.shape[2], device=target.device)
    share = (target.flatten(1)[:, None] == classes[:, None]).float().mean(dim=2)
    present = share >= min_share
    pairs = F.binary_cross_entropy_with_logits(scores, present.float(), reduction="none")
    return (pairs * (present | (share == 0))).sum() / len(cost)
