"""How a SAR partner is to be read, and which of the two a map is made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ovrs.data.sar.encoding import SCALES, SarEncoding, Scale
from ovrs.data.sar.speckle import UNFILTERED, Speckle
from ovrs.errors import InputError

# What a map is made from: the image and its SAR partner, or one of them alone.
Modalities = Literal["both", "optical", "sar"]
_SAY = "say which they are: --sar-scale amplitude, intensity or db (8bit for a stretched picture)"


@dataclass(frozen=True)
class SarOptions:
    """How a SAR raster becomes decibels, or 0..255 where it is a picture of eight bits.

    Attributes:
        scale: what its values are, see :data:`ovrs.data.sar.encoding.SCALES`; None takes eight bits for ``8bit`` and values
            most of which are below 0 for ``db``, and refuses to guess at others.
        bands: which of its bands, from 1, one a polarisation; None takes the first ones, as many as the model reads.
        speckle: the filter.
        nodata: the value that stands for no measurement beside what the file declares.
        resample: bring a raster on another grid onto the image's instead of refusing it.

    Raises:
        InputError: no such scale, no such band, or a filter that needs to know what values of eight bits are.
    """

    scale: Scale | None = None
    bands: tuple[int, ...] | None = None
    speckle: Speckle = UNFILTERED
    nodata: float | None = None
    resample: bool = False

    def __post_init__(self) -> None:
        if self.scale is not None and self.scale not in SCALES:
            raise InputError(f"SAR values of scale {self.scale!r}: there are {', '.join(SCALES)}")
        if self.bands is not None and (not self.bands or min(self.bands) < 1 or len(set(self.bands)) < len(self.bands)):
            raise InputError(f"SAR bands {self.bands}: give different ones, from 1")
        if self.scale is not None:
            self.speckle.require_known_scale(self.scale)

    def encoding(self, scale: Scale, bands: tuple[int, ...]) -> SarEncoding:
        """The same for a raster of a known scale.

        Raises:
            InputError: a speckle filter that needs to know what values of eight bits are.
        """
        return SarEncoding(scale, bands, (), self.speckle, self.nodata, self.resample)


def guessed_scale(values: NDArray[np.float32], of_bytes: bool, name: str) -> Scale:
    """What the scale of a SAR raster must be, by some of its values.

    Args:
        values: some of them, of any shape; those that are not finite say nothing.
        of_bytes: they are stored as uint8.
        name: of the raster, for messages.

    Raises:
        InputError: they may be amplitude or intensity, which nothing tells apart.
    """
    known = values[np.isfinite(values)]
    if of_bytes:
        return "8bit"
    if not known.size or (known < 0).mean() > 0.5:
        return "db"
    raise InputError(f"{name}: SAR values from {known.min():g} to {known.max():g} may be of several scales; {_SAY}")


def parse_sar_bands(text: str) -> tuple[int, ...]:
    """Read numbers as ``1,2``.

    Raises:
        InputError: anything else, or a band twice.
    """
    numbers = [number.strip() for number in text.split(",")]
    if not all(number.isdecimal() and int(number) > 0 for number in numbers) or len(set(numbers)) < len(numbers):
        raise InputError(f"--sar-bands {text!r}: give different numbers from 1, one a polarisation, as 1 or 1,2")
    return tuple(map(int, numbers))
