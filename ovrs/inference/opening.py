"""From whatever is given as an image to a scene that is read in windows."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ovrs.errors import InputError
from ovrs.inference.addresses import Remote
from ovrs.inference.rasters import ImageInput, read_header, read_picture
from ovrs.inference.reading import ReadOptions
from ovrs.inference.scene import ArrayScene, Scene
from ovrs.inference.tiff_scene import TiffScene


def open_scene(image: Any, options: ReadOptions | None = None) -> Scene:
    """A scene from a file, an array uint8 [H, W, 3], a PIL image or an :class:`ImageInput`.

    Raises:
        InputError: it cannot be read; see :func:`ovrs.inference.rasters.read_header`.
    """
    options = options or ReadOptions()
    if isinstance(image, (str, os.PathLike, Remote)):
        header = read_header(image, options)
        if not isinstance(header.location, Path) or header.kind != "picture":
            return TiffScene(header, options)
        image = read_picture(header.location, nodata=options.nodata)
    elif isinstance(image, Image.Image):
        image = ImageInput.from_picture(image)
    elif isinstance(image, np.ndarray):
        image = ImageInput.from_array(image)
    elif not isinstance(image, ImageInput):
        raise InputError(f"an image is a file, an array uint8 [H, W, 3] or a PIL image, not {type(image).__name__}")
    return ArrayScene(image, options.gsd)
