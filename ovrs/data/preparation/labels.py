"""Published label maps into the labels of the table: 0 for the first class, 255 for what is ignored."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from ovrs.data.preparation.images import read_index, read_rgb
from ovrs.data.table import IGNORE_LABEL
from ovrs.errors import DataError
from ovrs.palette import Color

LabelMap = NDArray[np.uint8]
Decoder = Callable[[bytes, str], LabelMap]

_UNKNOWN = 254  # no data set has as many classes


def shifted(classes: int, first: int = 1, ignored: tuple[int, ...] = (0,)) -> dict[int, int]:
    """The mapping of values ``first, first + 1, ...`` to labels ``0..classes-1``, and of ``ignored`` values to 255."""
    return {first + label: label for label in range(classes)} | dict.fromkeys(ignored, IGNORE_LABEL)


def from_indices(mapping: Mapping[int, int]) -> Decoder:
    """A decoder of label maps that store numbers; ``mapping`` gives each number's label (0..253, or 255).

    The decoder raises DataError where a number is not in the mapping; it names the file, the number and its pixels.
    """
    table = _table(mapping, 1 << 16)

    def decode(data: bytes, name: str) -> LabelMap:
        values = read_index(data, name)
        if values.size and (values.min() < 0 or values.max() >= table.size):
            raise DataError(f"{name}: holds the value {values.max()}, labels go from {min(mapping)} to {max(mapping)}")
        labels = table[values]
        _check_known(labels, values, name, lambda value: f"the value {value}", sorted(mapping))
        return labels

    return decode


def from_colors(mapping: Mapping[Color, int]) -> Decoder:
    """A decoder of label maps that store colours; ``mapping`` gives the label (0..253, or 255) of each RGB.

    Colours must match exactly. The decoder raises DataError where one is not in the mapping; it names the file, the colour
    and its pixels.
    """
    table = _table({_packed(color): label for color, label in mapping.items()}, 1 << 24)

    def decode(data: bytes, name: str) -> LabelMap:
        pixels = read_rgb(data, name).astype(np.uint32)
        codes = pixels[..., 0] << 16 | pixels[..., 1] << 8 | pixels[..., 2]
        labels = table[codes]
        _check_known(labels, codes, name, lambda code: f"the colour {_unpacked(code)}", sorted(mapping))
        return labels

    return decode


def _table(mapping: Mapping[int, int], size: int) -> LabelMap:
    table = np.full(size, _UNKNOWN, np.uint8)
    for value, label in mapping.items():
        if not (0 <= label < _UNKNOWN or label == IGNORE_LABEL):
            raise ValueError(f"label {label} of {value} is neither in 0..{_UNKNOWN - 1} nor {IGNORE_LABEL}")
        table[value] = label
    return table


def _check_known(labels: LabelMap, stored: NDArray, name: str, say: Callable[[int], str], known: list) -> None:
    strange = labels == _UNKNOWN
    if not strange.any():
        return
    values, counts = np.unique(stored[strange], return_counts=True)
    worst = int(counts.argmax())
    more = f" and {len(values) - 1} others" if len(values) > 1 else ""
    raise DataError(
        f"{name}: {say(int(values[worst]))}{more} in {int(counts.sum()):,} of {labels.size:,} pixels belongs to no class "
        f"(known are {', '.join(map(str, known))}); is this the label archive of this data set?"
    )


def _packed(color: Color) -> int:
    return color[0] << 16 | color[1] << 8 | color[2]


def _unpacked(code: int) -> Color:
    return code >> 16, code >> 8 & 255, code & 255
