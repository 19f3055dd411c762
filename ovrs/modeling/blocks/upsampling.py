"""The upsampling decoder, plain (CAT-Seg) or attention-aware (OVRS; AerOSeg eqs. 8 to 11)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ovrs.modeling.blocks.classes import map_classes


class DoubleConv(nn.Sequential):
    """Twice: 3x3 convolution without bias, group norm with groups of 16 channels, ReLU."""

    def __init__(self, channels: int, dim: int) -> None:
        layers: list[nn.Module] = []
        for width in (channels, dim):
            layers += [nn.Conv2d(width, dim, 3, padding=1, bias=False), nn.GroupNorm(max(dim // 16, 1), dim)]
            layers += [nn.ReLU(inplace=True)]
        super().__init__(*layers)


class AttentionAwareUpsampling(nn.Module):
    """One stage: classes upsampled by two, concatenated with guidance that the class average has weighted, convolved.

    Args:
        channels: channels in.
        dim: channels out.
        guidance_dim: channels of the projected guidance.
        attention: weight the guidance (eqs. 8 to 10), or take it as it is.
    """

    def __init__(self, *, channels: int, dim: int, guidance_dim: int, attention: bool = True) -> None:
        super().__init__()
        middle = channels - guidance_dim
        self.up = nn.ConvTranspose2d(channels, middle, kernel_size=2, stride=2)
        self.conv = DoubleConv(channels, dim)
        self.attention = attention
        if attention:
            self.channel_weight = nn.Conv2d(middle, guidance_dim, 1)
            self.spatial_weight = nn.Conv2d(1, 1, 1)

    def forward(self, x: Tensor, guidance: Tensor, *, chunk: int = 0) -> Tensor:
        """``x`` [B, N, C, H, W] and ``guidance`` [B, G, 2H, 2W] -> [B, N, dim, 2H, 2W]."""
        shared = self.share(x, guidance)
        return map_classes(lambda part: self.stage(part, shared), x, chunk)

    def weigh(self, x: Tensor, guidance: Tensor) -> Tensor:
        """The guidance as the class average of ``x`` weighs it (eqs. 8 to 10), or as it is."""
        if not self.attention:
            return guidance
        # The transposed convolution is linear, so the class average may be upsampled instead of every class. Channels stand
        # last in memory: averaged in that order, 17 classes of 64 channels at 48 x 48 take a CPU 0.8 ms instead of 11.
        average = self.up(x.movedim(2, -1).mean(dim=1).movedim(-1, 1))
        by_channel = self.channel_weight(average.mean(dim=(2, 3), keepdim=True))  # eq. 8
        by_place = self.spatial_weight(average.mean(dim=1, keepdim=True))  # eq. 9
        return by_channel * guidance + by_place * guidance + guidance  # eq. 10

    def share(self, x: Tensor, guidance: Tensor) -> Tensor:
        """What the weighted guidance adds to the first convolution of eq. 11 [B, dim, 2H, 2W].

        The convolution of ``[class, guidance]`` is that of the class plus that of the guidance, which is the same for every
        class and so computed once an image. With channels last, as the classes have them, adding it is half as dear.
        """
        weighted = self.weigh(x, guidance).contiguous(memory_format=torch.channels_last)
        first = cast(nn.Conv2d, self.conv[0])
        return F.conv2d(weighted, first.weight[:, -weighted.shape[1] :], padding=first.padding)

    def stage(self, x: Tensor, shared: Tensor) -> Tensor:
        """The classes ``x`` [B, N, C, H, W] with what the guidance adds [B, dim, 2H, 2W] (eq. 11)."""
        first, *rest = self.conv
        assert isinstance(first, nn.Conv2d)
        large = self.up(x.flatten(0, 1))
        own = F.conv2d(large, first.weight[:, : large.shape[1]], padding=first.padding).unflatten(0, x.shape[:2])
        large = own.add_(shared.unsqueeze(1)).flatten(0, 1)
        for layer in rest:
            large = layer(large)
        return large.unflatten(0, x.shape[:2])


class UpsamplingDecoder(nn.Module):
    """Two stages and a 3x3 convolution: refined features to one logit per class at four times the grid.

    Args:
        dim: channels of the refined cost features.
        dims: channels after each stage.
        guidance_dims: channels of each stage's guidance.
        attention: see :class:`AttentionAwareUpsampling`.
    """

    scale = 4

    def __init__(self, *, dim: int, dims: Sequence[int], guidance_dims: Sequence[int], attention: bool = True) -> None:
        super().__init__()
        widths = (dim, *dims)
        self.stages = nn.ModuleList(
            AttentionAwareUpsampling(channels=channels, dim=width, guidance_dim=guidance_dim, attention=attention)
            for channels, width, guidance_dim in zip(widths, dims, guidance_dims, strict=False)
        )
        self.head = nn.Conv2d(widths[-1], 1, 3, padding=1)

    def forward(self, phi: Tensor, guidance: Sequence[Tensor], *, chunk: int = 0) -> Tensor:
        """phi'' [B, N, H, W, C] and guidance at 2x and 4x -> logits [B, N, 4H, 4W]."""
        first, last = (cast(AttentionAwareUpsampling, stage) for stage in self.stages)
        x = first(phi.permute(0, 1, 4, 2, 3), guidance[0], chunk=chunk)
        # The last stage and the head in one go per chunk: the widest features never stand beside each other.
        shared = last.share(x, guidance[1])
        return map_classes(lambda part: self._logits(last.stage(part, shared)), x, chunk)

    def _logits(self, x: Tensor) -> Tensor:
        return self.head(x.flatten(0, 1)).squeeze(1).unflatten(0, x.shape[:2])
