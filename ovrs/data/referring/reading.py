"""The image and the mask of a reference from their files."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ovrs.data.entries import read_rgb, shown_size
from ovrs.data.referring.masks import read_mask
from ovrs.data.referring.polygons import filled
from ovrs.errors import DataError


def read_files(entry: dict[str, Any]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Image [H, W, 3] RGB and mask [H, W] of an entry with ``file_name`` and ``mask_file_name`` or ``polygons``.

    Raises:
        DataError: a file cannot be read, is not what it should be, or sizes of image and mask differ.
    """
    image = read_rgb(entry["file_name"])
    if "polygons" in entry:
        return image, filled(entry["polygons"], *image.shape[:2])
    mask = read_mask(entry["mask_file_name"])
    if image.shape[:2] != mask.shape:
        raise DataError(f"{entry['file_name']} is {shown_size(image)}, but its mask is {shown_size(mask)}")
    return image, mask
