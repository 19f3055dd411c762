"""Masks of one thing: files that are black but for it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ovrs.data.masks import read_codes
from ovrs.errors import DataError


def read_mask(path: str) -> NDArray[np.bool_]:
    """The pixels, bool [H, W], that are not 0: of one value, whichever it is (1 and 255 are usual). None may be.

    Raises:
        DataError: the file cannot be read, or holds several values beside 0, as labels of classes and lossy files do.
    """
    codes = read_codes(path, "rgb" if _is_colored(path) else "index")
    there = codes != 0
    values = np.unique(codes[there])
    if len(values) > 1:
        shown = ", ".join(str(value) for value in values[:3].tolist())
        more = ", ..." if len(values) > 3 else ""
        raise DataError(f"{path}: holds the values {shown}{more} beside 0; the mask of one thing has one, in a lossless file")
    return there


def _is_colored(path: str) -> bool:
    try:
        with Image.open(path) as file:
            return file.mode in ("RGB", "RGBA")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: not readable as a mask: {error}") from error
