"""What the values of a SAR raster mean, and what is done to them when they are read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from ovrs.data.sar.speckle import UNFILTERED, Speckle

# amplitude: the root of the backscattered power; intensity: the power itself; db: its decibels; 8bit: 0..255, stretched by a
# rule that nobody wrote down, and taken as it is.
Scale = Literal["amplitude", "intensity", "db", "8bit"]
SCALES: tuple[Scale, ...] = get_args(Scale)

# A value made of several, as on another grid, is known where at least this share of them is.
LEAST_KNOWN = 0.5


@dataclass(frozen=True)
class SarEncoding:
    """How SAR rasters hold backscatter. All but ``8bit`` are read as decibels.

    Attributes:
        scale: what values are.
        bands: which bands of each file are read, from 1; one a polarisation.
        polarisations: their names, for the record, as ``VV``; empty where nobody says.
        speckle: the filter.
        nodata: the value that stands for no measurement, besides what a file itself declares.
        resample: bring a raster that lies on another grid than its image onto that one, instead of refusing it.

    Raises:
        SpeckleError: the filter needs to know more of the values than the scale says.
    """

    scale: Scale
    bands: tuple[int, ...] = (1,)
    polarisations: tuple[str, ...] = ()
    speckle: Speckle = UNFILTERED
    nodata: float | None = None
    resample: bool = False

    def __post_init__(self) -> None:
        self.speckle.require_known_scale(self.scale)
