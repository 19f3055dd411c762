"""Multi-scale refinement convolution and the decoder that refines with it, stage by stage (MAFN section II-C)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ovrs.errors import ConfigError
from ovrs.modeling.blocks.rotated_convolution import RotatedConv

SUMS = ("conv", "state")


class MultiScaleRefinement(nn.Module):
    """MSRC: V^k = S_k(V^(k-1)) + ARC(V^(k-1)) for growing kernels S_k, summed over k, between two point-wise convolutions.

    One rotated convolution serves all layers, as in the authors' code, and S_k is depthwise with a batch norm and a ReLU.

    Args:
        dim: channels in and out.
        kernels: sides of the S_k, in order; odd.
        summed: ``state`` sums the V^k, as the paper says; ``conv`` sums the S_k(V^(k-1)) alone, as the code does, and leaves
            out the rotated convolution of the last layer, which nothing would read.
        rotated_kernels: kernels of the rotated convolution.
        dropout: see :class:`~ovrs.modeling.blocks.rotated_convolution.RotatedConv`.

    Raises:
        ConfigError: no kernel, an even one, or another word for the sum.
    """

    def __init__(
        self,
        *,
        dim: int,
        kernels: Sequence[int] = (1, 3, 5),
        summed: str = "state",
        rotated_kernels: int = 1,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        if not kernels or any(kernel < 1 or kernel % 2 == 0 for kernel in kernels):
            raise ConfigError(f"multi-scale refinement needs odd kernels, got {list(kernels)}")
        if summed not in SUMS:
            raise ConfigError(f"multi-scale refinement sums {summed!r}; choose {' or '.join(SUMS)}")
        self.sums_states = summed == "state"
        self.rotations = len(kernels) if self.sums_states else len(kernels) - 1
        self.expand = nn.Sequential(*_conv_norm(dim, dim, 1), nn.ReLU())
        self.convs = nn.ModuleList(nn.Sequential(*_depthwise_norm(dim, kernel), nn.ReLU()) for kernel in kernels)
        self.rotated = RotatedConv(dim=dim, kernels=rotated_kernels, dropout=dropout) if self.rotations else None
        self.project = nn.Sequential(*_conv_norm(dim, dim, 1))

    def forward(self, x: Tensor) -> Tensor:
        """X_j [B, C, H, W] -> [B, C, H, W]."""
        state = self.expand(x)
        total: Tensor | None = None
        for layer, conv in enumerate(self.convs):
            found = conv(state)
            if self.rotated is not None and layer < self.rotations:
                state = found + self.rotated(state)  # eq. 17
            term = state if self.sums_states else found
            total = term if total is None else total + term
        return x + self.project(total)


class TopDownDecoder(nn.Module):
    """From the coarsest stage to the finest: enlarged, beside the stage's own features, convolved and refined; then a mask.

    The convolution comes before the refinement, as in the authors' code; eq. 14 prints them the other way round. The mask has
    one logit, the difference of the two channels whose softmax that code takes: one linear map gives either.

    Args:
        dims: channels of the stages, finest first.
        dim: channels of the decoder.
        refine: builds what refines the result of a step, given its channels; :class:`MultiScaleRefinement`, say.
    """

    def __init__(self, *, dims: Sequence[int], dim: int, refine: Callable[[int], nn.Module]) -> None:
        super().__init__()
        *laterals, coarsest = dims
        widths = [coarsest] + [dim] * (len(laterals) - 1)
        self.steps = nn.ModuleList(
            nn.Sequential(*_conv_norm(above + lateral, dim, 3), nn.ReLU(), refine(dim))
            for above, lateral in zip(widths, reversed(laterals), strict=True)
        )
        self.head = nn.Conv2d(dim, 1, 1)

    def forward(self, stages: Sequence[Tensor]) -> Tensor:
        """F_e of every stage [B, C_i, H_i, W_i], finest first -> logits [B, 1, H_1, W_1]."""
        *laterals, x = stages  # eq. 12
        for step, lateral in zip(self.steps, reversed(laterals), strict=True):
            large = F.interpolate(x, size=lateral.shape[-2:], mode="bilinear", align_corners=True)
            x = step(torch.cat([large, lateral], dim=1))  # eqs. 13 and 14
        return self.head(x)


class PlainRefinement(nn.Sequential):
    """What stands in for MSRC where it is left out: a 3x3 convolution, batch norm, ReLU."""

    def __init__(self, dim: int) -> None:
        super().__init__(*_conv_norm(dim, dim, 3), nn.ReLU())


def _conv_norm(channels: int, dim: int, kernel: int) -> list[nn.Module]:
    return [nn.Conv2d(channels, dim, kernel, padding=kernel // 2, bias=False), nn.BatchNorm2d(dim)]


def _depthwise_norm(dim: int, kernel: int) -> list[nn.Module]:
    """S_k. A kernel of one tap is a number a channel, which the batch norm would divide out: the norm is all there is to it."""
    if kernel == 1:
        return [nn.BatchNorm2d(dim)]
    return [nn.Conv2d(dim, dim, kernel, padding=kernel // 2, groups=dim, bias=False), nn.BatchNorm2d(dim)]
