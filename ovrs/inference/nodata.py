"""Pixels that hold no image although the file does not say so: black collars around scenes and corners of mosaics."""

from __future__ import annotations

import math
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import DTypeLike, NDArray

from ovrs.errors import InputError

# "auto", "none", or a number (NaN among them) that all three bands have where there is nodata.
Nodata = Literal["auto", "none"] | float

# Connected black smaller than this is shadow or a dark roof, not a collar [pixels].
MIN_COLLAR = 64
# Around a collar, lossy compression leaves nearly black pixels: up to this value, within one JPEG block of 8 pixels.
NEARLY_BLACK = 8
BLOCK = 8


def parse_nodata(text: str) -> Nodata:
    """Read ``auto``, ``none``, ``nan`` or a finite number, as ``255`` or ``-9999``.

    Raises:
        InputError: anything else.
    """
    word = text.strip().casefold()
    if word == "auto":
        return "auto"
    if word == "none":
        return "none"
    for number in (int, float):  # whole numbers of 64 bits are not all floats
        try:
            value = number(word)
        except ValueError:
            continue
        if not math.isinf(value):
            return value
    raise InputError(f"--nodata {text!r}: give auto, none, nan, or a finite number as 255 or -9999")


def nodata_in(nodata: Nodata, dtype: DTypeLike, name: object) -> Any:
    """The nodata value as a scalar of the type of an image's bands; None for ``"auto"`` and ``"none"``.

    Args:
        name: of the image, for the message.

    Raises:
        InputError: bands of this type cannot hold the value.
    """
    if isinstance(nodata, str):
        return None
    kind = np.dtype(dtype)
    if kind.kind in "iu":
        ends = np.iinfo(kind)
        if math.isfinite(nodata) and nodata == int(nodata) and ends.min <= nodata <= ends.max:
            return np.asarray(int(nodata), dtype=kind)[()]
        wanted = f"a whole number of {ends.min}..{ends.max}"
    else:
        with np.errstate(over="ignore"):
            value = np.asarray(nodata).astype(kind)[()]
        if not np.isinf(value):
            return value
        wanted = f"a number within {np.finfo(kind).min:g}..{np.finfo(kind).max:g}"
    raise InputError(f"{name}: --nodata {nodata} is no value of its bands ({kind.name}); give {wanted}, auto or none")


def find_undeclared(rgb: NDArray[np.uint8], declared: NDArray[np.bool_], nodata: Nodata) -> NDArray[np.bool_]:
    """Where an image holds nodata that its file does not declare.

    Args:
        rgb: uint8 [H, W, 3].
        declared: bool [H, W], False where the file itself declares nodata; where it does, ``"auto"`` trusts it.
        nodata: see :data:`Nodata`.

    Returns:
        bool [H, W], True where there is undeclared nodata.
    """
    if nodata == "auto":
        return border_black(rgb) if declared.all() else np.zeros_like(declared)
    if nodata == "none":
        return np.zeros_like(declared)
    return (rgb == nodata).all(axis=2)


def border_black(rgb: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Black (0, 0, 0) that is connected to the border of the image, and its nearly black fringe: bool [H, W]."""
    brightest = rgb.max(axis=2)
    black = (brightest == 0).astype(np.uint8)
    edges = (black[0], black[-1], black[:, 0], black[:, -1])
    if not any(edge.any() for edge in edges):
        return np.zeros(black.shape, dtype=bool)
    # Four neighbours, not eight: a collar must not leak through a corner into a shadow.
    _, components, stats, _ = cv2.connectedComponentsWithStats(black, connectivity=4)
    on_border = np.zeros(len(stats), dtype=bool)
    for edge in (components[0], components[-1], components[:, 0], components[:, -1]):
        on_border[edge] = True
    on_border[0] = False
    on_border &= stats[:, cv2.CC_STAT_AREA] >= MIN_COLLAR
    collar = on_border[components]
    if not collar.any():
        return collar
    reach = np.ones((2 * BLOCK + 1, 2 * BLOCK + 1), dtype=np.uint8)
    fringe = cv2.dilate(collar.astype(np.uint8), reach).astype(bool)
    return np.asarray(collar | (fringe & (brightest <= NEARLY_BLACK)))
