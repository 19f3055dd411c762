"""Published label maps into the labels of the table: 0 for the first class, 255 for what is ignored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from ovrs.data.masks import MaskEncoding, pack_color, pack_colors
from ovrs.data.preparation.images import read_index, read_rgb
from ovrs.data.table import IGNORE_LABEL
from ovrs.errors import DataError
from ovrs.palette import Color

LabelMap = NDArray[np.uint8]
Decoder = Callable[[bytes, str], LabelMap]

_STRIP = 512


def shifted(classes: int, first: int = 1, ignored: tuple[int, ...] = (0,)) -> dict[int, int]:
    """The mapping of values ``first, first + 1, ...`` to labels ``0..classes-1``, and of ``ignored`` values to 255."""
    return {first + label: label for label in range(classes)} | dict.fromkeys(ignored, IGNORE_LABEL)


def from_indices(mapping: Mapping[int, int]) -> Decoder:
    """A decoder of label maps that store numbers; ``mapping`` gives each number's label (255: ignored).

    The decoder raises DataError where a number is not in the mapping; it names the file, the number and its pixels.
    """
    encoding = MaskEncoding("index", *_by_label(mapping))
    return lambda data, name: _decoded(encoding, read_index(data, name), lambda values: values, name)


def from_colors(mapping: Mapping[Color, int]) -> Decoder:
    """A decoder of label maps that store colours; ``mapping`` gives the label (255: ignored) of each RGB.

    Colours must match exactly. The decoder raises DataError where one is not in the mapping; it names the file, the colour
    and its pixels.
    """
    encoding = MaskEncoding("rgb", *_by_label({pack_color(color): label for color, label in mapping.items()}))
    return lambda data, name: _decoded(encoding, read_rgb(data, name), pack_colors, name)


def _by_label(mapping: Mapping[int, int]) -> tuple[tuple[tuple[int, ...], ...], tuple[int, ...]]:
    """The codes of each label 0..N-1, and those that are ignored."""
    classes = max(label for label in mapping.values() if label != IGNORE_LABEL) + 1
    groups = [tuple(code for code, label in mapping.items() if label == wanted) for wanted in range(classes)]
    return tuple(groups), tuple(code for code, label in mapping.items() if label == IGNORE_LABEL)


def _decoded(
    encoding: MaskEncoding, stored: NDArray[np.integer], codes: Callable[[NDArray], NDArray[np.integer]], name: str
) -> LabelMap:
    """The labels of what a file stores. Strip by strip: looking codes up takes many times the memory of the labels."""
    labels = np.empty(stored.shape[:2], np.uint8)
    strange: Counter[int] = Counter()
    for top in range(0, len(stored), _STRIP):
        labels[top : top + _STRIP], odd = encoding.decode(codes(stored[top : top + _STRIP]))
        strange.update(odd)
    if strange:
        worst, _ = strange.most_common(1)[0]
        more = f" and {len(strange) - 1} others" if len(strange) > 1 else ""
        raise DataError(
            f"{name}: {encoding.show(worst)}{more} in {strange.total():,} of {labels.size:,} pixels belongs to no class "
            f"(known: {encoding.summary()}); is this the label archive of this data set?"
        )
    return labels
