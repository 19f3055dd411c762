"""What air, lens, sensor and processing make of a drawn scene."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from ovrs.data.scenes.canvas import Canvas
from ovrs.data.scenes.classes import Label

# How strongly relief shows on a surface, from pixel to pixel and over a metre or two: leaves more than roofs, roofs than water.
_GRAIN = {
    Label.TREE: (0.15, 0.11), Label.GRASS: (0.06, 0.03), Label.BARE_SOIL: (0.05, 0.03), Label.CROPLAND: (0.05, 0.03),
    Label.BUILDING: (0.04, 0.015), Label.ROAD: (0.03, 0.008), Label.PAVEMENT: (0.03, 0.01), Label.BRIDGE: (0.03, 0.008),
    Label.HARBOR: (0.04, 0.01), Label.SPORTS_FIELD: (0.03, 0.01), Label.TENNIS_COURT: (0.02, 0.005),
    Label.STORAGE_TANK: (0.02, 0.0), Label.SHIP: (0.03, 0.0), Label.WATER: (0.008, 0.0),
}  # fmt: skip
_LUMA = np.array([0.3, 0.59, 0.11], np.float32)


def photograph(canvas: Canvas, rng: np.random.Generator) -> NDArray[np.uint8]:
    """The drawn image as a camera would give it: ``uint8 [H, W, 3]``."""
    picture = _lens(_weathered(canvas), canvas.gsd, rng)
    grey = picture @ (_LUMA if rng.random() < 0.7 else np.array([0.25, 0.5, 0.25], np.float32))
    if rng.random() < 0.14:  # a panchromatic camera
        return _developed(np.repeat(grey[..., None], 3, axis=2), 0.0, rng)
    colour: np.ndarray = picture - grey[..., None]
    if rng.random() < 0.5:  # colour at half the resolution, as JPEG keeps it
        colour = cv2.GaussianBlur(colour, (0, 0), float(rng.uniform(0.7, 1.6)))
    saturation = np.float32(rng.uniform(0.45, 1.25))
    return _developed(grey[..., None] + colour * saturation, 0.036, rng)


def _weathered(canvas: Canvas) -> np.ndarray:
    """The drawn surfaces with their relief."""
    tables = np.zeros((2, 256), np.float32)
    for label, shares in _GRAIN.items():
        tables[:, label] = shares
    fine, small = (table[canvas.labels] for table in tables)
    light = 1.0 + fine * cv2.blur(canvas.texture.fine, (2, 2)) * 1.5 + small * canvas.texture.small
    return np.asarray(canvas.image * light[..., None], np.float32)


def _lens(picture: np.ndarray, gsd: float, rng: np.random.Generator) -> np.ndarray:
    """Blur, softer where pixels are fine, since it is the small things that a coarse pixel must keep; some are sharpened."""
    blur = float(rng.uniform(0.0, 1.3 if gsd < 0.3 else 0.9 if gsd < 0.6 else 0.6))
    if blur > 0.25:
        picture = cv2.GaussianBlur(picture, (0, 0), blur)
    if rng.random() < 0.3:
        picture = picture + np.float32(rng.uniform(0.3, 0.8)) * (picture - cv2.GaussianBlur(picture, (0, 0), 1.1))
    return picture


def _developed(picture: np.ndarray, cast: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Colour cast, exposure, contrast, haze and noise."""
    tint = (1.0 + rng.normal(0, 1, 3) * cast).astype(np.float32)
    exposure, contrast = float(np.exp(rng.normal(-0.06, 0.17))), float(rng.uniform(0.75, 1.3))
    haze = float(max(0.0, rng.uniform(-0.3, 0.3)))
    light = np.float32(105.0 + rng.uniform(-14, 14))
    picture = (picture * (tint * np.float32(exposure)) - 105.0) * np.float32(contrast) + light
    if haze > 0.0:
        air = np.array([176.0, 186.0, 198.0], np.float32) if cast else np.full(3, 170.0, np.float32)
        picture = picture * np.float32(1 - haze) + air * np.float32(haze)
    noise = rng.standard_normal(picture.shape[:2], dtype=np.float32)[..., None]
    if cast:  # part of it differs from band to band
        noise = noise + 0.5 * rng.standard_normal(picture.shape, dtype=np.float32)
    picture = picture + noise * np.float32(rng.uniform(0.5, 4.0))
    return np.clip(picture, 0, 255).astype(np.uint8)
