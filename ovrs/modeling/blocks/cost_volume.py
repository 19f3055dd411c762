"""The image-text cost volume over rotations and prompts, and its embedding (AerOSeg eqs. 1, 3 and 4)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ovrs.modeling.blocks.classes import map_classes
from ovrs.modeling.sizes import known


def rotation_ensemble(
    encode: Callable[[Tensor], Sequence[Tensor]], images: Tensor, turns: Sequence[int]
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Dense embeddings of ``images`` [B, 3, H, W] read in every rotation and turned back: [B, R, C, h, w] (eq. 1).

    Args:
        encode: images to feature maps: first the dense embeddings [., C, h, w], then any others.
        turns: quarter turns, counter-clockwise. Views of one shape go through ``encode`` in one batch; of an image that is
            not square, the sideways views are a batch of their own.

    Returns:
        The ensemble, and the other maps of the first view in ``turns`` (the image as it is, where that is 0).
    """
    views: dict[int, Tensor] = {}
    others: tuple[Tensor, ...] = ()
    square = known(images.shape[-1] == images.shape[-2])
    groups = [list(turns)] if square else [[k for k in turns if k % 2 == parity] for parity in (0, 1)]
    for group in (group for group in groups if group):
        dense, *rest = encode(torch.cat([torch.rot90(images, k, dims=(-2, -1)) for k in group]))
        for k, view in zip(group, dense.chunk(len(group)), strict=True):
            views[k] = torch.rot90(view, -k, dims=(-2, -1))
        if turns[0] in group:
            first = group.index(turns[0])
            others = tuple(x.chunk(len(group))[first] for x in rest)
    return torch.stack([views[k] for k in turns], dim=1), others


def cost_volume(dense: Tensor, text: Tensor) -> Tensor:
    """Cosine of every patch with every prompt of every class (eq. 3), [B, R*P, N, H, W].

    Args:
        dense: [B, R, C, H, W], one map a rotation.
        text: [N, P, C], or of each image its own [B, N, P, C].

    The channel is ``rotation * P + prompt``: eq. 4 nests prompts inside rotations.
    """
    dense = F.normalize(dense, dim=2)
    text = F.normalize(text, dim=-1).to(dense.dtype)
    words = "npc" if text.ndim == 3 else "bnpc"
    return torch.einsum(f"brchw,{words}->brpnhw", dense, text).flatten(1, 2)


def best_matching(cost: Tensor, limit: int) -> Tensor:
    """The ``limit`` classes of each image whose cost volume [B, K, N, H, W] peaks highest: indices [B, limit] (CAT-Seg)."""
    return cost.amax(dim=(1, 3, 4)).topk(limit, dim=1, sorted=False).indices


class CostEmbedding(nn.Module):
    """The convolution of eq. 4: the rotations and prompts of one class become one feature per patch."""

    def __init__(self, *, channels: int, dim: int, kernel: int = 7) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, dim, kernel, padding=kernel // 2)

    def forward(self, cost: Tensor, *, views: Sequence[int] | None = None, chunk: int = 0) -> Tensor:
        """[B, K, N, H, W] -> phi [B, N, H, W, D]; channels come last, as both refinements read them.

        Args:
            views: places in the ensemble of the rotations that ``cost`` holds, K = len(views) * P; None: all of them.
            chunk: classes at a time.
        """
        weight = self.conv.weight if views is None else fold_views(self.conv.weight, views, cost.shape[1] // len(views))
        return map_classes(partial(self._embed, weight=weight), cost.transpose(1, 2), chunk)

    def _embed(self, cost: Tensor, weight: Tensor) -> Tensor:
        embedded = F.conv2d(cost.flatten(0, 1), weight, self.conv.bias, padding=self.conv.padding)
        return embedded.permute(0, 2, 3, 1).unflatten(0, cost.shape[:2]).contiguous()


def fold_views(weight: Tensor, views: Sequence[int], prompts: int) -> Tensor:
    """The kernel of eq. 4 [D, R*P, k, k] for some of its rotations [D, len(views)*P, k, k].

    The costs of a rotation that is not read are taken to be the mean of those that are. As convolution is linear, its kernel is
    then added to theirs, once, instead of being applied to copies: where all views agree, nothing changes.
    """
    kernels = weight.unflatten(1, (-1, prompts))
    missing = [view for view in range(kernels.shape[1]) if view not in views]
    if missing:
        kernels = kernels[:, list(views)] + kernels[:, missing].sum(dim=1, keepdim=True) / len(views)
    return kernels.flatten(1, 2)
