"""What a segmentation gives: the map with its figures, and polygons and a picture made of it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ovrs.inference.pictures import draw_overlay
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
