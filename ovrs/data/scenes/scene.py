"""One procedural aerial scene from a seed: image, labels, place on Earth and ground sample distance."""

from __future__ import annotations

from dataclasses import dataclass
from math import pi

import cv2
import numpy as np
from numpy.typing import NDArray

from ovrs.data.scenes.canvas import Canvas
from ovrs.data.scenes.classes import SCENE_CLASSES
from ovrs.data.scenes.palette import Palette
from ovrs.data.scenes.places import PLACES
from ovrs.data.scenes.site import Site

GSD_RANGE = (0.3, 1.0)  # metres a pixel
_SHOWN = 0.005  # share of the image from which a class is worth a mention


@dataclass(frozen=True)
class Scene:
    """A drawn scene; synthetic, and to be called so wherever it is shown.

    Attributes:
        image: uint8 [H, W, 3], RGB.
        labels: uint8 [H, W], indices into ``SCENE_CLASSES``; every pixel has one.
        gsd: metres a pixel.
        crs: a UTM zone, as ``EPSG:<code>``.
        transform: (a, b, c, d, e, f): x = a column + b row + c, y = d column + e row + f, in metres.
        description: a sentence that names what stands in it.
        seed, index: what it was drawn from.
    """

    image: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    gsd: float
    crs: str
    transform: tuple[float, float, float, float, float, float]
    description: str
    seed: int
    index: int


def draw_scene(seed: int, index: int = 0, *, size: int | tuple[int, int] = 512, gsd: float | None = None) -> Scene:
    """Draw scene ``index`` of the series ``seed``; the same arguments give the same bytes in any process.

    Args:
        seed: of the series, at least 0.
        index: within the series, at least 0.
        size: side in pixels, or (height, width).
        gsd: metres a pixel; drawn from 0.3 to 1.0 where it is not given.

    Raises:
        ValueError: a negative seed or index, a size below 16 pixels, or a gsd that is not positive.
    """
    height, width = (size, size) if isinstance(size, int) else size
    if seed < 0 or index < 0 or min(height, width) < 16 or (gsd is not None and gsd <= 0):
        raise ValueError(f"no scene for seed {seed}, index {index}, size {height} x {width}, gsd {gsd}")
    rng = np.random.Generator(np.random.PCG64([seed, index]))
    drawn = float(rng.uniform(*GSD_RANGE))
    gsd = gsd or drawn
    centre = rng.uniform(-0.25, 0.25, 2) * min(height, width) * gsd
    canvas = Canvas((height, width), gsd, float(rng.uniform(0, 2 * pi)), (float(centre[0]), float(centre[1])),
                    float(rng.uniform(0, 2 * pi)), rng)  # fmt: skip
    site = Site(canvas, Palette.draw(rng), rng)
    weights = np.array([weight for _, weight in PLACES])
    place = PLACES[int(rng.choice(len(PLACES), p=weights / weights.sum()))][0]
    place(site)
    canvas.raise_standing()
    image = _photograph(canvas.image, rng)
    crs, transform = _somewhere(gsd, rng)
    kind = place.__name__.replace("_", " ")
    return Scene(image, canvas.labels, gsd, crs, transform, _describe(canvas.labels, kind), seed, index)


def _photograph(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """What air, lens and sensor make of it: haze, colour cast, contrast, blur, noise."""
    picture: np.ndarray = image.astype(np.float32)
    blur = float(rng.uniform(0.0, 0.75))
    if blur > 0.25:
        picture = cv2.GaussianBlur(picture, (0, 0), blur)
    cast = (1.0 + rng.normal(0, 0.035, 3)).astype(np.float32)
    contrast, light = float(rng.uniform(0.78, 1.22)), float(rng.uniform(-18, 18))
    haze = float(max(0.0, rng.uniform(-0.2, 0.2)))
    picture = (picture * cast - 110.0) * contrast + 110.0 + light
    picture = picture * (1 - haze) + np.array([188.0, 196.0, 206.0], np.float32) * haze
    if rng.random() < 0.12:  # a panchromatic camera
        grey = picture @ np.array([0.3, 0.59, 0.11], np.float32)
        picture = np.repeat(grey[..., None], 3, axis=2)
    noise = rng.standard_normal(image.shape[:2], dtype=np.float32)[..., None]
    noise = noise + 0.5 * rng.standard_normal(image.shape, dtype=np.float32)  # part of it differs from band to band
    picture = picture + noise * np.float32(rng.uniform(0.8, 5.0))
    return np.clip(picture, 0, 255).astype(np.uint8)


def _somewhere(gsd: float, rng: np.random.Generator) -> tuple[str, tuple[float, float, float, float, float, float]]:
    """A UTM zone, and a north-up transform somewhere in it."""
    zone, north = int(rng.integers(1, 61)), bool(rng.random() < 0.7)
    east = float(np.round(rng.uniform(300_000, 700_000)))
    northing = float(np.round(rng.uniform(500_000, 6_500_000) if north else rng.uniform(5_000_000, 9_500_000)))
    return f"EPSG:{(32600 if north else 32700) + zone}", (gsd, 0.0, east, 0.0, -gsd, northing)


def _describe(labels: NDArray[np.uint8], kind: str) -> str:
    share = np.bincount(labels.ravel(), minlength=len(SCENE_CLASSES)) / labels.size
    names = [SCENE_CLASSES[i].name for i in np.argsort(-share, kind="stable") if share[i] >= _SHOWN]
    return f"A synthetic aerial image, {kind}, with {', '.join(names)}."
