"""Mask files: how their values or colours name classes, and reading them into labels."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ovrs.data.table import IGNORE_LABEL
from ovrs.errors import DataError

Kind = Literal["index", "palette", "rgb"]
KINDS: tuple[Kind, ...] = get_args(Kind)

# A palette image may use an index that its palette does not define.
_NO_COLOR = -1


@dataclass(frozen=True)
class MaskEncoding:
    """How the pixels of a mask name classes.

    A code is what a pixel says: its number where ``kind`` is ``index`` (grey values, or the indices of a palette image), its
    colour 0xRRGGBB where it is ``palette`` (looked up in the file's own palette) or ``rgb``.

    Args:
        codes: the codes of each class, in the order of the classes.
        ignored: codes of pixels that count for nothing; None = all that no class has.
    """

    kind: Kind
    codes: tuple[tuple[int, ...], ...]
    ignored: tuple[int, ...] | None = (IGNORE_LABEL,)

    @classmethod
    def of_labels(cls, num_classes: int) -> MaskEncoding:
        """The encoding of masks that hold labels: 0 to ``num_classes - 1``, and 255 where they are to be ignored."""
        return cls("index", tuple((label,) for label in range(num_classes)))

    def decode(self, codes: NDArray[np.integer]) -> tuple[NDArray[np.uint8], dict[int, int]]:
        """Labels uint8 [H, W], 255 ignored, of the codes [H, W] of a mask; and the pixels of each code that no class has.

        Pixels of such codes are labelled 255 too.
        """
        if codes.dtype == np.uint8:
            labels, known = (table[codes] for table in self._byte_tables)
        else:
            labels, known = self._look_up(codes)
        if known.all():
            return labels, {}
        values, counts = np.unique(codes[~known], return_counts=True)
        return labels, dict(zip(values.tolist(), counts.tolist(), strict=True))

    def show(self, code: int) -> str:
        """A code as it is written in a description: a number or ``#rrggbb``."""
        if self.kind == "index":
            return f"label {code}"
        return "an index outside its palette" if code == _NO_COLOR else f"colour #{code:06x}"

    def summary(self) -> str:
        """What masks may hold, in a few words, for an error."""
        codes = sorted(code for group in self.codes for code in group)
        ignored = ", ".join(self.show(code).split()[-1] for code in self.ignored or ())
        rest = f"; {ignored} is ignored" if ignored else ""
        if self.kind == "index" and codes == list(range(codes[0], codes[0] + len(codes))):
            return f"{codes[0]} to {codes[-1]}{rest}"
        return f"{', '.join(self.show(code).split()[-1] for code in codes)}{rest}"

    @functools.cached_property
    def _sorted(self) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
        pairs = dict.fromkeys(self.ignored or (), IGNORE_LABEL)
        pairs |= {code: label for label, group in enumerate(self.codes) for code in group}
        codes = np.array(sorted(pairs), dtype=np.int64)
        return codes, np.array([pairs[code] for code in codes.tolist()], dtype=np.uint8)

    @functools.cached_property
    def _byte_tables(self) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        return self._look_up(np.arange(256))

    def _look_up(self, codes: NDArray[np.integer]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        known_codes, labels = self._sorted
        places = np.minimum(np.searchsorted(known_codes, codes), len(known_codes) - 1)
        known = known_codes[places] == codes
        found = np.where(known, labels[places], np.uint8(IGNORE_LABEL))
        return found, np.ones_like(known) if self.ignored is None else known


def read_codes(path: str, kind: Kind) -> NDArray[np.integer]:
    """The codes [H, W] of a mask file: uint8, or int32 where a byte does not hold them.

    Raises:
        DataError: the file cannot be read, or is not of that kind.
    """
    try:
        with Image.open(path) as file:
            mode, palette = file.mode, file.getpalette("RGB")
            pixels = np.array(file.convert("RGB") if kind == "rgb" else file)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: not readable as a label map: {error}") from error
    if kind == "rgb":
        return pack_colors(pixels)
    if kind == "palette":
        if mode != "P" or palette is None:
            raise DataError(f"{path}: no palette image, but mode {mode}; 'masks: rgb' reads any colours")
        colors = np.full(256, _NO_COLOR, dtype=np.int32)
        colors[: len(palette) // 3] = pack_colors(np.array(palette, dtype=np.uint8).reshape(-1, 3))
        return colors[pixels]
    if mode not in ("1", "L", "P", "I", "I;16", "I;16B", "I;16L"):
        way_out = "; 'masks: rgb' in a description reads colours" if mode in ("RGB", "RGBA") else ""
        raise DataError(
            f"{path}: labels must be one channel of whole numbers, grey or palette; this file has mode {mode}{way_out}"
        )
    return pixels if pixels.dtype == np.uint8 else pixels.astype(np.int32)


def pack_color(color: Sequence[int]) -> int:
    """0xRRGGBB of red, green and blue (0..255)."""
    red, green, blue = color
    return red << 16 | green << 8 | blue


def pack_colors(pixels: NDArray[np.uint8]) -> NDArray[np.int32]:
    """0xRRGGBB [...] of an RGB image [..., 3]."""
    red, green, blue = (pixels[..., channel].astype(np.int32) for channel in range(3))
    return red << 16 | green << 8 | blue
