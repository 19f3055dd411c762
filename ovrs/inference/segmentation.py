"""What a segmentation gives: the map with its figures, and polygons and a picture made of it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ovrs.inference.grounding import Grounding
from ovrs.inference.pictures import draw_mask, draw_overlay
from ovrs.inference.segmented import Segmented
from ovrs.inference.vectors import VectorOptions, as_geodataframe, write_vectors

if TYPE_CHECKING:
    import geopandas
    from PIL import Image


class Segmentation(Segmented):
    """The map of one image; its attributes are those of :class:`~ovrs.inference.segmented.Segmented`."""

    def to_vector(
        self, path: str | os.PathLike[str] | None = None, *, min_area: float = 0.0, simplify: float = 1.0
    ) -> geopandas.GeoDataFrame | int:
        """The polygons of the map; needs ``pip install 'ovrs[vector]'``.

        Args:
            path: ``.gpkg``, ``.geojson`` or ``.parquet``; None gives a GeoDataFrame.
            min_area: smaller ones are left out [square metres].
            simplify: how much outlines are smoothed, borders between classes alike on both sides [pixels]; 0 keeps the steps.

        Returns:
            How many were written, or the GeoDataFrame.

        Raises:
            InputError: the image has no coordinate reference system, or the packages are missing.
            OutputError: the file cannot be written.
        """
        options = VectorOptions(min_area, simplify)
        return as_geodataframe(self, options) if path is None else write_vectors(self, path, options)

    def plot(self) -> Image.Image:
        """The image under the colours of its map, with a legend."""
        return draw_overlay(self)


@dataclass(frozen=True)
class Referred(Segmentation):
    """The answer to a sentence: a map in which 0 is what it says, and 1 the background.

    Attributes:
        grounding: how the sentence was laid over the scene, and what is lost by it.
    """

    grounding: Grounding = field(kw_only=True)

    @classmethod
    def of(cls, result: Segmentation, grounding: Grounding) -> Referred:
        """A segmentation by the vocabulary of a sentence."""
        return cls(**{each.name: getattr(result, each.name) for each in fields(result)}, grounding=grounding)

    @property
    def sentence(self) -> str:
        """What was asked."""
        return self.vocabulary.names[0]

    @cached_property
    def mask(self) -> NDArray[np.bool_]:
        """bool [H, W]: where the sentence is true; false where there is nodata."""
        return np.asarray(self.labels == 0)

    def plot(self) -> Image.Image:
        """The image with the mask over it, under the sentence."""
        return draw_mask(self, self.sentence, self.grounding.said)
