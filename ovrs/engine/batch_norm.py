"""Batch norm over the batch of all processes together, so that how many there are changes nothing.

PyTorch's own synchronised batch norm runs on GPUs only.
"""

from __future__ import annotations

import logging
from typing import Any

import torch
import torch.distributed as dist
from timm.layers import BatchNormAct2d
from torch import Tensor, nn

logger = logging.getLogger(__name__)

KINDS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, BatchNormAct2d)


class SharedBatchNorm(nn.modules.batchnorm._BatchNorm):
    """The batch norm given, with its parameters and state, over [B, C, ...] of all processes; each must take part."""

    def __init__(self, given: nn.modules.batchnorm._BatchNorm) -> None:
        super().__init__(given.num_features, given.eps, given.momentum, given.affine, given.track_running_stats)
        self.weight, self.bias = given.weight, given.bias
        self.running_mean, self.running_var = given.running_mean, given.running_var
        self.num_batches_tracked = given.num_batches_tracked
        # timm's go on with a dropout and an activation.
        self.drop, self.act = getattr(given, "drop", nn.Identity()), getattr(given, "act", nn.Identity())
        self.training = given.training

    def _check_input_dim(self, input: Tensor) -> None:
        """Any number of axes."""

    def forward(self, input: Tensor) -> Tensor:
        """[B, C, ...] -> the same, of mean 0 and variance 1 in every channel over all processes while in training."""
        normal = self._normal(input) if self.training else super().forward(input)
        activated: Tensor = self.act(self.drop(normal))
        return activated

    def _normal(self, input: Tensor) -> Tensor:
        axes = [axis for axis in range(input.dim()) if axis != 1]
        shape = [1, -1] + [1] * (input.dim() - 2)
        x = input.float()
        count = _SumOverProcesses.apply(x.new_tensor(x.numel() / x.shape[1], dtype=torch.float64)).float()
        mean = _SumOverProcesses.apply(x.sum(axes)) / count
        centred = x - mean.view(shape)
        variance = _SumOverProcesses.apply(centred.square().sum(axes)) / count
        self._remember(mean.detach(), variance.detach() * (count / (count - 1)))
        normal = centred * (variance + self.eps).rsqrt().view(shape)
        if self.affine:
            normal = normal * self.weight.view(shape) + self.bias.view(shape)
        return normal.to(input.dtype)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked += 1
        share = self.momentum if self.momentum is not None else 1 / float(self.num_batches_tracked)
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), share)
        self.running_var.lerp_(variance.to(self.running_var.dtype), share)


class _SumOverProcesses(torch.autograd.Function):
    """The sum over processes; since every process's loss depends on it, its gradient is summed as well."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        total = value.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone()
        dist.all_reduce(total)
        return total


def share_batch_norms(model: nn.Module) -> None:
    """Replace every batch norm inside ``model`` by one over all processes; parameters stay the same objects.

    What is frozen, and so never in training mode, keeps its statistics as before.
    """
    for name, child in model.named_children():
        if type(child) in KINDS:
            setattr(model, name, SharedBatchNorm(child))  # type: ignore[arg-type]
        else:
            if isinstance(child, nn.modules.batchnorm._BatchNorm) and not isinstance(child, SharedBatchNorm):
                logger.warning("%s keeps the statistics of each process apart", type(child).__name__)
            share_batch_norms(child)
