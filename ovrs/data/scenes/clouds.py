"""Clouds over an optical image, and the shadows they throw."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

_SKY = 7  # the purpose of a scene's stream that its sky is drawn from


def drawn_sky(seed: int, index: int, share: float, cover: tuple[float, float]) -> float:
    """The share (0..1) of scene ``index`` of the series ``seed`` that clouds cover: 0 for all but a ``share`` of the scenes.

    Args:
        share: of the scenes (0..1); a cloudy scene stays cloudy as it grows.
        cover: the least and the most that clouds cover of a cloudy scene.
    """
    if share <= 0.0:
        return 0.0
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, index], spawn_key=(_SKY,))))
    chance, amount = float(rng.random()), float(rng.uniform(*cover))
    return amount if chance < share else 0.0


def cloud_cover(shape: tuple[int, ...], share: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Opacity from 0 to 1 of clouds whose dense parts and rims cover about ``share`` of the image: ``float32 [H, W]``."""
    height, width = shape[:2]
    field = np.zeros((height, width), np.float32)
    for octave in range(5):
        cells = 3 * 2**octave
        rows, columns = (max(4, round(cells * side / min(height, width))) for side in (height, width))
        grid = rng.standard_normal((rows, columns), dtype=np.float32)
        field += cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC) * np.float32(0.55**octave)
    if share <= 0.0:
        return np.zeros((height, width), np.float32)
    edge = float(np.quantile(field, 1.0 - share))
    soft = float(rng.uniform(0.3, 0.8)) * float(field.std())
    return np.asarray(np.clip((field - edge) / soft, 0.0, 1.0) ** 0.7, np.float32)


def overcast(
    image: NDArray[np.uint8], cover: NDArray[np.float32], shadow: tuple[float, float], rng: np.random.Generator
) -> NDArray[np.uint8]:
    """The image under clouds: ``uint8 [H, W, 3]``.

    Args:
        image: uint8 [H, W, 3].
        cover: float32 [H, W], opacity from 0 to 1.
        shadow: the direction (x, y) in which shadows fall.
        rng: draws the clouds' height, brightness and relief.
    """
    height, width = cover.shape
    along = np.asarray(shadow) / (np.hypot(*shadow) + 1e-9)
    shift = along * float(rng.uniform(0.05, 0.3)) * min(height, width)
    move = np.array([[1.0, 0.0, shift[0]], [0.0, 1.0, shift[1]]])
    shade = cv2.warpAffine(cover, move, (width, height), borderMode=cv2.BORDER_REFLECT)
    below = image * (1.0 - np.float32(rng.uniform(0.3, 0.5)) * shade)[..., None]
    relief = cv2.GaussianBlur(cover, (0, 0), 0.02 * min(height, width) + 0.5) - cv2.GaussianBlur(cover, (0, 0), 1.0)
    white = (np.float32(rng.uniform(222, 246)) + 40.0 * relief)[..., None] * np.array([0.985, 0.99, 1.0], np.float32)
    return np.clip(below + (white - below) * cover[..., None], 0, 255).astype(np.uint8)
