"""Masks in COCO's notation: run lengths as numbers or as text, and polygons.

The text is explained at https://rlemasklib.readthedocs.io/en/latest/explanation/coco-compression.html: each character holds
five bits of a number, the lowest first, and a mark that more follow; from the fourth number on, it is what is added to the
number two before.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ovrs.data.referring.polygons import filled
from ovrs.errors import DataError

_MOST_PIXELS = 1 << 28


def decoded_mask(segmentation: Any, height: int, width: int, name: str) -> NDArray[np.bool_]:
    """The mask, bool [h, w], of an annotation's ``segmentation``.

    Args:
        segmentation: ``{"size": [h, w], "counts": runs or text}``; a list of such, of which the pixels of any count; or a list
            of polygons ``[x, y, x, y, ...]``.
        height, width: of the image in pixels; a mask of run lengths has its own size, which may be another.
        name: what messages call it.

    Raises:
        DataError: it is none of these, or says what cannot be.
    """
    parts = [segmentation] if isinstance(segmentation, dict) else segmentation
    if not isinstance(parts, list) or not parts:
        raise _damaged(name, "no list of polygons or run lengths")
    if all(isinstance(part, dict) for part in parts):
        masks = [_of_runs(part, name) for part in parts]
        if len({mask.shape for mask in masks}) > 1:
            raise _damaged(name, "run lengths of several sizes")
        return np.logical_or.reduce(masks)
    return filled([_ring(part, name) for part in parts], height, width)


def _of_runs(part: dict[str, Any], name: str) -> NDArray[np.bool_]:
    size, counts = part.get("size"), part.get("counts")
    if not isinstance(size, list) or len(size) != 2 or not all(type(side) is int and side > 0 for side in size):
        raise _damaged(name, f"size {size!r}")
    height, width = size
    if height * width > _MOST_PIXELS:
        raise _damaged(name, f"a size of {height:,} x {width:,} pixels")
    runs = _numbers(counts, name) if isinstance(counts, str) else counts
    if not isinstance(runs, list) or not all(type(run) is int and run >= 0 for run in runs):
        raise _damaged(name, "run lengths that are no whole numbers from 0")
    if sum(runs) != height * width:
        raise _damaged(name, f"run lengths of {sum(runs):,} pixels for {height} x {width}")
    inside = np.arange(len(runs)) % 2 == 1  # the first run lies outside
    return np.repeat(inside, runs).reshape(width, height).T  # column by column


def _numbers(text: str, name: str) -> list[int]:
    """The run lengths that a text stands for."""
    numbers: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 60:
            raise _damaged(name, f"the character {character!r} in its run lengths")
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift  # negative
        numbers.append(value + (numbers[-2] if len(numbers) > 2 else 0))
        value = shift = 0
    if shift:
        raise _damaged(name, "run lengths that end early")
    return numbers


def _ring(part: Any, name: str) -> list[tuple[float, float]]:
    fits = isinstance(part, list) and len(part) >= 6 and len(part) % 2 == 0
    if not fits or not all(isinstance(at, int | float) and abs(at) < 1e9 for at in part):
        raise _damaged(name, "a polygon that is no list of x, y, x, y, ...")
    return list(zip(part[::2], part[1::2], strict=True))


def _damaged(name: str, what: str) -> DataError:
    return DataError(f"{name}: its mask has {what}; download the annotations again")
