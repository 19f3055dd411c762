"""What stands beside a tile: the SAR of the same place, and a text about it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ovrs.data.preparation.images import is_whole, read_band, write_tile
from ovrs.data.preparation.recipe import Pair
from ovrs.data.preparation.tiling import Tile
from ovrs.errors import DataError
from ovrs.files import written_whole


class Partners:
    """The SAR and the text of an image, read once and written with each of its tiles.

    Raises:
        DataError: SAR is not of 8 bits or not of the image's size, or the text is no UTF-8.
    """

    def __init__(self, pair: Pair, size: tuple[int, ...]) -> None:
        self._pair = pair
        self._sar: NDArray[np.uint8] | None = None
        if pair.sar is not None:
            self._sar = read_band(pair.sar.read(), pair.sar.shown, pair.sar_band)
            if self._sar.shape != size:
                raise DataError(f"{pair.sar.shown}: is {_shown(self._sar.shape)}, its image {pair.image.shown} {_shown(size)}")
        try:
            self._text = pair.description.read().decode("utf-8-sig") if pair.description else ""
        except UnicodeDecodeError as error:
            raise DataError(f"{pair.description.shown if pair.description else ''}: is no UTF-8 text") from error

    def write(self, tile: Tile, sar: Path | None, text: Path | None) -> None:
        """Write what the data set has of them; the text of an image that has none is empty."""
        if sar is not None and self._sar is not None and not is_whole(sar):
            height, width = tile.labels.shape
            pixels = self._sar[tile.top : tile.top + height, tile.left : tile.left + width]
            if pixels.shape != tile.labels.shape:
                raise DataError(f"{self._pair.image.shown}: is smaller than a tile, and SAR cannot be filled up; give --tile 0")
            write_tile(sar, pixels)
        if text is not None:
            with written_whole(text) as temporary:
                temporary.write_text(" ".join(self._text.split()) + "\n", encoding="utf-8")


def _shown(size: tuple[int, ...]) -> str:
    return f"{size[1]} x {size[0]} pixels"
