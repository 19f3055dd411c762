"""A segmented image: the map, how sure it is, and what it covers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ovrs.inference.rasters import ImageInput
from ovrs.vocabulary import Vocabulary

# uint8, or uint16 above 254 names.
Labels = NDArray[np.unsignedinteger[Any]]

# Above this many names a map's values need sixteen bits, for the largest value means nodata.
_MAX_NAMES_8_BIT = 254


def label_type(num_names: int) -> type[np.uint8] | type[np.uint16]:
    """The type of a map's values: eight bits and 255 = nodata up to 254 names, sixteen bits and 65535 = nodata above."""
    return np.uint8 if num_names <= _MAX_NAMES_8_BIT else np.uint16


@dataclass(frozen=True)
class Segmentation:
    """The map of one image.

    Attributes:
        image: what was segmented.
        vocabulary: what it was segmented into.
        labels: uint8 or uint16 [H, W]; indices into ``vocabulary.names``, or :attr:`nodata`.
        confidence: float32 [H, W] in 0..1, NaN where there is nodata.
        provenance: facts about how the map was made, by name.
    """

    image: ImageInput
    vocabulary: Vocabulary
    labels: Labels
    confidence: NDArray[np.float32]
    provenance: tuple[tuple[str, str], ...] = ()

    @property
    def nodata(self) -> int:
        """The value of pixels that hold no image: 255, or 65535 above 254 names."""
        return 255 if self.labels.dtype == np.uint8 else 65535

    def pixels(self) -> dict[str, int]:
        """Pixels per name, in the order of the map's values; nodata is not counted."""
        names = self.vocabulary.names
        counts = np.bincount(self.labels.ravel(), minlength=self.nodata + 1)
        return {name: int(count) for name, count in zip(names, counts[: len(names)], strict=True)}

    def shares(self) -> dict[str, float]:
        """Share of the valid pixels per name, 0..1; all 0 where no pixel is valid."""
        pixels = self.pixels()
        valid = max(sum(pixels.values()), 1)
        return {name: count / valid for name, count in pixels.items()}

    def areas(self) -> dict[str, float] | None:
        """Square metres per name; None where the size of a pixel on the ground is unknown."""
        if self.image.pixel_area is None:
            return None
        return {name: count * self.image.pixel_area for name, count in self.pixels().items()}
