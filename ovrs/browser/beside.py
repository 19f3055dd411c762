"""What a guest gives beside an image and words, to models that read it: a SAR partner and a description."""

from __future__ import annotations

import os
from dataclasses import dataclass

from ovrs.data.sar.encoding import SCALES
from ovrs.inference.sar_options import SarOptions

GUESSED = "as they tell"


@dataclass(frozen=True)
class Beside:
    """Neither is needed.

    Attributes:
        sar: the uploaded SAR partner of the image.
        scale: what its values are, one of :data:`ovrs.data.sar.encoding.SCALES`; anything else leaves it to the values.
        resample: lay it onto the image's grid where it is on another.
        description: what is said of the whole scene.
    """

    sar: str | os.PathLike[str] | None = None
    scale: str | None = None
    resample: bool = False
    description: str = ""

    @property
    def options(self) -> SarOptions:
        """How the partner is read."""
        return SarOptions(next((scale for scale in SCALES if scale == self.scale), None), resample=self.resample)
