"""SAR under the augmentations of its image: the same geometry, no change of colour."""

from __future__ import annotations

import numpy as np
from detectron2.data import transforms as T
from fvcore.transforms.transform import (
    BlendTransform,
    CropTransform,
    HFlipTransform,
    NoOpTransform,
    PadTransform,
    Transform,
    TransformList,
    VFlipTransform,
)
from numpy.typing import NDArray
from PIL import Image

from ovrs.data.augmentation import QuarterTurnTransform
from ovrs.data.sar.encoding import LEAST_KNOWN
from ovrs.errors import ConfigError

_EXACT = (CropTransform, HFlipTransform, VFlipTransform, QuarterTurnTransform)
_PHOTOMETRIC = (BlendTransform, T.ColorTransform, NoOpTransform)


def moved_as_image(sar: NDArray[np.float32], transforms: Transform) -> NDArray[np.float32]:
    """SAR float32 [S, H, W] after what was done to an image [H, W, 3] of its size: float32 [S, H', W'].

    Resizing is bilinear with the image's own kernel, which widens where it shrinks. Values that are NaN count for nothing;
    where more than half of a value would be made of them, and beyond the edge, there is NaN.

    Raises:
        ConfigError: a transform of which nobody has said what it does to SAR.
    """
    steps = transforms.transforms if isinstance(transforms, TransformList) else [transforms]
    pixels = sar.transpose(1, 2, 0)
    for step in steps:
        if isinstance(step, T.ResizeTransform):
            pixels = _resized(pixels, step.new_h, step.new_w)
        elif isinstance(step, PadTransform):
            beyond = PadTransform(step.x0, step.y0, step.x1, step.y1, pad_value=float("nan"))
            pixels = beyond.apply_image(pixels)
        elif isinstance(step, _EXACT):
            pixels = step.apply_image(pixels)
        elif not isinstance(step, _PHOTOMETRIC):
            name = type(step).__name__
            raise ConfigError(f"{name}, one of the augmentations, has no rule for SAR; leave it out, or add one to {__name__}")
    return np.ascontiguousarray(pixels.transpose(2, 0, 1), dtype=np.float32)


def _resized(pixels: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    if pixels.shape[:2] == (height, width):
        return pixels
    bands = np.ascontiguousarray(pixels.transpose(2, 0, 1), dtype=np.float32)
    return np.stack([_band_resized(band, height, width) for band in bands], axis=-1)


def _band_resized(band: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    known = np.isfinite(band)
    parts = [np.where(known, band, np.float32(0)), *([] if known.all() else [known.astype(np.float32)])]
    total, *shares = (np.asarray(Image.fromarray(part).resize((width, height), Image.Resampling.BILINEAR)) for part in parts)
    if not shares:
        return total
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(shares[0] >= LEAST_KNOWN, total / shares[0], np.float32(np.nan))
