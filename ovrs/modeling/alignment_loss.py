"""Alignment of visual features with the words of what an image shows (RS-ZeroSeg section 3.5).

Two readings of L_align = D(AveragePool(F_MSCAM), E_aggregated(T)). With the words of all training classes its target would be
the same for every image, and a constant would do; so both take only the classes that an image holds.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ovrs.modeling.losses import IGNORED, class_shares, over_processes
from ovrs.modeling.precision import without_autocast


def image_alignment_loss(pooled: Tensor, text: Tensor, target: Tensor) -> Tensor:
    """Cosine distance of an image's average feature and the mean embedding of its classes.

    Args:
        pooled: projected features, averaged over the labelled pixels [B, T] (see :func:`pool_labelled`).
        text: an embedding a class [N, T], or of each image its own [B, N, T]; no gradient reaches it.
        target: [B, H, W], class indices or 255.

    Returns:
        The mean over images with a labelled pixel, in 0..2; 0 (with gradients) where there is none.
    """
    present = (class_shares(target, text.shape[-2], (1, 1)).flatten(1) > 0).float()
    with without_autocast(text.device.type):
        # a sum points where the mean does
        words = (present.unsqueeze(-2) @ F.normalize(text.detach().float(), dim=-1)).squeeze(-2)
    distance = 1 - F.cosine_similarity(pooled.float(), words, dim=-1)
    labelled = present.amax(dim=1)
    return (distance * labelled).sum() / over_processes(labelled.sum())


def region_alignment_loss(regions: Tensor, text: Tensor, target: Tensor, *, temperature: float = 0.07) -> Tensor:
    """InfoNCE of the average feature of each class in each image, against the embeddings of all classes.

    Args:
        regions: projected features, averaged over the pixels of each class [B, N, T] (see :func:`pool_regions`).
        text: an embedding a class [N, T], or of each image its own [B, N, T]; no gradient reaches it.
        target: [B, H, W], class indices or 255.
        temperature: of the softmax over classes.

    Returns:
        The mean over the classes present, image by image; 0 (with gradients) where there is none.
    """
    present = class_shares(target, text.shape[-2], (1, 1)).flatten(1) > 0
    with without_autocast(text.device.type):
        cosines = F.normalize(regions.float(), dim=-1) @ F.normalize(text.detach().float(), dim=-1).mT
    right = (cosines / temperature).log_softmax(dim=-1).diagonal(dim1=1, dim2=2)
    return -(right * present).sum() / over_processes(present.sum())


def pool_regions(features: Tensor, target: Tensor, classes: int) -> Tensor:
    """Features [B, C, h, w] averaged over each class of the target [B, H, W]: [B, N, C]; zeros where a class is absent.

    A place counts for a class by the share of its pixels that are of it.
    """
    height, width = features.shape[-2:]
    shares = class_shares(target, classes, (height, width))
    weights = shares / shares.sum(dim=(2, 3), keepdim=True).clamp(min=1e-6)
    with without_autocast(features.device.type):  # a sum over thousands of places
        return torch.einsum("bchw,bnhw->bnc", features.float(), weights)


def pool_labelled(features: Tensor, target: Tensor) -> Tensor:
    """Features [B, C, h, w] averaged over the labelled pixels of the target [B, H, W]: [B, C], zeros where there is none.

    Unlabelled pixels have no words to be compared with.
    """
    return pool_regions(features, target.masked_fill(target != IGNORED, 0), 1)[:, 0]
