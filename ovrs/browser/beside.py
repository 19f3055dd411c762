"""What a guest gives beside an image and words, to models that read it: a SAR partner, a description, a place."""

from __future__ import annotations

import os
from dataclasses import dataclass

from ovrs.data.sar.encoding import SCALES
from ovrs.inference.climate_options import ClimateOptions
from ovrs.inference.sar_options import SarOptions

GUESSED = "as they tell"


@dataclass(frozen=True)
class Beside:
    """None of it is needed.

    Attributes:
        sar: the uploaded SAR partner of the image.
        scale: what its values are, one of :data:`ovrs.data.sar.encoding.SCALES`; anything else leaves it to the values.
        resample: lay it onto the image's grid where it is on another.
        description: what is said of the whole scene.
        where: where it was taken: a zone, coordinates, or the name of a region.
    """

    sar: str | os.PathLike[str] | None = None
    scale: str | None = None
    resample: bool = False
    description: str = ""
    where: str = ""

    @property
    def options(self) -> SarOptions:
        """How the partner is read."""
        return SarOptions(next((scale for scale in SCALES if scale == self.scale), None), resample=self.resample)

    def climate(self, own: str) -> ClimateOptions:
        """Where the image was taken; nothing of it where that is what the image says ``own``, which it then says itself.

        Raises:
            InputError: there is no such zone or place.
        """
        return ClimateOptions() if self.where.strip() == own else ClimateOptions.where(self.where)
