"""Layers of a plain vision transformer, all of one stride, brought to the strides of a pyramid (as DenseCLIP does)."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from torch import Tensor, nn

from ovrs.errors import ConfigError


class LevelAdapters(nn.Module):
    """A norm over each whole map, then transposed convolutions that double its grid, or a maximum over what it shrinks by.

    Between two transposed convolutions stand a batch norm and a GELU; the first has no bias, which that norm would cancel.

    Args:
        dim: channels of all maps, in and out.
        patch: pixels along the side of a place of what comes in.
        strides: of what goes out, one a map; ``patch`` times or divided by a power of two.

    Raises:
        ConfigError: a stride that doubling and halving do not reach.
    """

    def __init__(self, *, dim: int, patch: int, strides: Sequence[int] = (4, 8, 16, 32)) -> None:
        super().__init__()
        self.levels = nn.ModuleList(nn.Sequential(nn.GroupNorm(1, dim), *_to_stride(dim, patch, stride)) for stride in strides)

    def forward(self, taps: Sequence[Tensor]) -> list[Tensor]:
        """One map a level [B, C, h, w] -> [B, C, h * patch / stride, w * patch / stride], rounded up."""
        return [level(tap) for level, tap in zip(self.levels, taps, strict=True)]


def _to_stride(dim: int, patch: int, stride: int) -> list[nn.Module]:
    ratio = Fraction(patch, stride) if stride > 0 else Fraction(0)
    power = ratio.numerator * ratio.denominator  # in lowest terms one of them is 1
    if not power or power & (power - 1):
        raise ConfigError(f"patches of {patch} pixels cannot be brought to a stride of {stride} by doubling or halving")
    if ratio <= 1:
        # Rounded up, so that no row or column of an odd grid is lost.
        return [nn.MaxPool2d(power, ceil_mode=True)] if power > 1 else []
    layers: list[nn.Module] = []
    for _ in range(power.bit_length() - 2):
        layers += [nn.ConvTranspose2d(dim, dim, 2, stride=2, bias=False), nn.BatchNorm2d(dim), nn.GELU()]
    return [*layers, nn.ConvTranspose2d(dim, dim, 2, stride=2)]
