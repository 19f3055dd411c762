"""Layers of an image tower brought to the strides and the channels of a pyramid (as DenseCLIP does)."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from torch import Tensor, nn

from ovrs.errors import ConfigError


class LevelAdapters(nn.Module):
    """A norm over each whole map, then transposed convolutions that double its grid, or a maximum over what it shrinks by.

    Between two transposed convolutions stand a batch norm and a GELU; the first has no bias, which that norm would cancel. A
    1x1 convolution behind the norm changes the number of channels, where it changes.

    Args:
        channels: of what comes in, one a map.
        from_strides: pixels along the side of a place of what comes in, one a map.
        dim: channels of what goes out.
        strides: of what goes out, one a map; those of what comes in times or divided by a power of two.

    Raises:
        ConfigError: a stride that doubling and halving do not reach.
    """

    def __init__(
        self, *, channels: Sequence[int], from_strides: Sequence[int], dim: int, strides: Sequence[int] = (4, 8, 16, 32)
    ) -> None:
        super().__init__()
        self.levels = nn.ModuleList(
            nn.Sequential(nn.GroupNorm(1, before), *_to_dim(before, dim), *_to_stride(dim, source, stride))
            for before, source, stride in zip(channels, from_strides, strides, strict=True)
        )

    def forward(self, taps: Sequence[Tensor]) -> list[Tensor]:
        """Maps [B, C_i, h_i, w_i] -> [B, dim, h_i * from_stride / stride, w_i * from_stride / stride], rounded up."""
        return [level(tap) for level, tap in zip(self.levels, taps, strict=True)]


def _to_dim(before: int, dim: int) -> list[nn.Module]:
    return [] if before == dim else [nn.Conv2d(before, dim, 1)]


def _to_stride(dim: int, source: int, stride: int) -> list[nn.Module]:
    ratio = Fraction(source, stride) if stride > 0 else Fraction(0)
    power = ratio.numerator * ratio.denominator  # in lowest terms one of them is 1
    if not power or power & (power - 1):
        raise ConfigError(f"a stride of {source} pixels cannot be brought to one of {stride} by doubling or halving")
    if ratio <= 1:
        # Rounded up, so that no row or column of an odd grid is lost.
        return [nn.MaxPool2d(power, ceil_mode=True)] if power > 1 else []
    layers: list[nn.Module] = []
    for _ in range(power.bit_length() - 2):
        layers += [nn.ConvTranspose2d(dim, dim, 2, stride=2, bias=False), nn.BatchNorm2d(dim), nn.GELU()]
    return [*layers, nn.ConvTranspose2d(dim, dim, 2, stride=2)]
