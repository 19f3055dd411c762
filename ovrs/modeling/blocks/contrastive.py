"""Image-text contrast: the features of a scene nearer to its own description than to others (TSMNet eq. 10)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from ovrs.modeling.precision import without_autocast


class SceneContrast(nn.Module):
    """Symmetric InfoNCE of each level's average feature against descriptions, averaged over levels; in training alone.

    Every described image of the batch, over all processes, is compared with every description, its own among them. Each level
    has a perceptron of its own, and descriptions have one. (Those of the authors' code are a linear map, a batch norm and a
    ReLU: their embeddings depend on which other images are in the batch, and no two are at more than a right angle.)

    Args:
        dims: channels of the levels.
        text_dim: channels of a description.
        dim: channels in which the two are compared.
        temperature: of the softmax at first; learned from there on.
        max_scale: that by which cosines are multiplied never grows larger.
    """

    def __init__(
        self, *, dims: Sequence[int], text_dim: int, dim: int = 256, temperature: float = 0.07, max_scale: float = 100.0
    ) -> None:
        super().__init__()
        self.images = nn.ModuleList(_projection(channels, dim) for channels in dims)
        self.text = _projection(text_dim, dim)
        self.logit_scale = nn.Parameter(torch.tensor(math.log(1 / temperature)))
        self.max_scale = max_scale

    def forward(self, levels: Sequence[Tensor], text: Tensor, described: Tensor) -> Tensor:
        """The loss of levels [B, C_i, H_i, W_i] and descriptions [B, T], of which ``described`` [B] are there.

        Every process must take part, with as many images as the others. Each gets the loss of all, and gradients that are
        those of one process with all images once they have been averaged over processes.

        Returns:
            A scalar; log of how many are described where nothing is alike, 0 (with gradients) where fewer than two are.
        """
        text = text.masked_fill(~described.unsqueeze(1), 0)
        projected = [project(level.mean(dim=(2, 3))) for project, level in zip(self.images, levels, strict=True)]
        projected = [F.normalize(x.float(), dim=1) for x in (*projected, self.text(text))]
        # One exchange for all, so that no two processes can meet in different ones.
        found = from_all_processes(torch.stack([*projected, described[:, None].expand_as(projected[0]).float()], dim=1))
        *images, words, there = found.unbind(dim=1)
        rows = there[:, 0] > 0
        scale = self.logit_scale.exp().clamp(max=self.max_scale)
        losses = [info_nce(image[rows], words[rows], scale) for image in images]
        return torch.stack(losses).mean()


def info_nce(image: Tensor, text: Tensor, scale: Tensor) -> Tensor:
    """Symmetric cross entropy of M images and their M texts (eq. 10, and the same with the two exchanged).

    Args:
        image: [M, D], of unit length.
        text: [M, D], of unit length; row i belongs to row i of ``image``.
        scale: of cosines, 1 / temperature.

    Returns:
        A scalar, the mean of both directions and all rows; 0 where there are none.
    """
    with without_autocast(image.device.type):
        logits = scale * image @ text.mT
    right = logits.log_softmax(dim=1).diagonal() + logits.log_softmax(dim=0).diagonal()
    return -right.sum() / (2 * max(len(image), 1))


def from_all_processes(x: Tensor) -> Tensor:
    """Rows [B, ...] of every process, in the order of their ranks [processes * B, ...]; its gradient is summed over processes.

    Every process must take part, with the same shape.
    """
    if not dist.is_available() or not dist.is_initialized():
        return x
    return _Gather.apply(x)


class _Gather(torch.autograd.Function):
    """All-gather whose gradient comes back to the process that a row is from."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        parts = [torch.empty_like(x, memory_format=torch.contiguous_format) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, x.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        total = grad.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total.chunk(dist.get_world_size())[dist.get_rank()]


def _projection(channels: int, dim: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(channels, dim), nn.GELU(), nn.Linear(dim, dim))
