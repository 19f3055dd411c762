"""A SAR-like image of a scene: backscatter by material, layover, shadow and double bounce, and speckle.

What it keeps of a real sensor: water and asphalt mirror the wave away, metal and walls send it back, what stands leans towards
the sensor (layover) and hides what lies behind it, and every pixel carries the multiplicative noise of its looks. What it is
not: a simulation of scattering.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import cos, pi, radians, sin, tan

import cv2
import numpy as np
from numpy.typing import NDArray

from ovrs.data.scenes.canvas import Raised
from ovrs.data.scenes.classes import Label

LOOKS = (1, 2, 3, 4, 6, 9)
VIEW_DB = (-26.0, 6.0)
"""The decibels that the 8-bit view shows as 0 and as 255."""

# Backscatter in decibels.
_LEVEL = {
    Label.SHIP: -3.0, Label.BRIDGE: -7.0, Label.HARBOR: -11.0, Label.BUILDING: -8.0, Label.ROAD: -19.0, Label.TREE: -9.0,
    Label.WATER: -23.0, Label.VEHICLE: -3.0, Label.PLANE: -2.0, Label.STORAGE_TANK: -6.0, Label.TENNIS_COURT: -20.0,
    Label.SPORTS_FIELD: -17.0, Label.CROPLAND: -12.0, Label.BARE_SOIL: -15.0, Label.GRASS: -14.0,
    Label.SWIMMING_POOL: -23.0, Label.PAVEMENT: -20.0,
}  # fmt: skip
# How unevenly a thing scatters from pixel to pixel: deviation of the logarithm.
_GLINT = {Label.SHIP: 1.1, Label.PLANE: 1.0, Label.VEHICLE: 1.0, Label.BUILDING: 0.6, Label.BRIDGE: 0.5, Label.TREE: 0.3}
_WALLED = (Label.BUILDING, Label.STORAGE_TANK, Label.SHIP)
# What a shadow on the ground does not reach.
_HIGH = (*_WALLED, Label.TREE, Label.PLANE, Label.VEHICLE, Label.BRIDGE)
_FLOOR = 10.0**-2.6
_BLUR = 0.55  # pixels


def backscatter(
    image: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    raised: Sequence[Raised],
    gsd: float,
    rng: np.random.Generator,
    looks: int | None = None,
) -> NDArray[np.float32]:
    """Intensity as a radar would measure it, linear (not decibels), about 0.003 to 10: ``float32 [H, W]``.

    Args:
        image: uint8 [H, W, 3]; its colours tell one field from the next.
        labels: uint8 [H, W].
        raised: what stands, with outlines in pixels and heights in metres.
        gsd: metres a pixel.
        rng: draws the sensor's direction, its incidence angle (25 to 45 degrees), the wind and the speckle.
        looks: how many looks are averaged; drawn from ``LOOKS`` where it is not given.
    """
    drawn = LOOKS[int(rng.integers(len(LOOKS)))]
    azimuth, incidence = rng.uniform(0, 2 * pi), radians(rng.uniform(25, 45))
    away = np.array([cos(azimuth), sin(azimuth)])
    power = _surfaces(image, labels, gsd, rng)
    lean, hide, bounce = _standing(labels.shape, raised, away, incidence, gsd)
    hidden = (hide > 0) & ~np.isin(labels, _HIGH)
    power = np.where(hidden, np.float32(_FLOOR), power) + lean + bounce
    power = cv2.GaussianBlur(power, (0, 0), _BLUR) + np.float32(_FLOOR)
    shape = looks or drawn
    return power * (rng.standard_gamma(shape, power.shape, dtype=np.float32) / np.float32(shape))


def view(power: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Decibels from ``VIEW_DB`` stretched over 0..255: ``uint8 [H, W]``."""
    low, high = VIEW_DB
    return np.clip((decibels(power) - low) * (255.0 / (high - low)), 0, 255).astype(np.uint8)


def decibels(power: NDArray[np.float32]) -> NDArray[np.float32]:
    """Intensity in decibels, -60 at least: ``float32 [H, W]``."""
    return np.asarray(10.0 * np.log10(np.maximum(power, np.float32(1e-6))), np.float32)


def _surfaces(image: NDArray[np.uint8], labels: NDArray[np.uint8], gsd: float, rng: np.random.Generator) -> np.ndarray:
    """What every surface sends back by itself, linear."""
    level, glint = np.zeros(256, np.float32), np.zeros(256, np.float32)
    for label, decibels in _LEVEL.items():
        level[label] = decibels
    for label, spread in _GLINT.items():
        glint[label] = spread
    level[Label.WATER] += rng.uniform(-2.5, 3.5)  # the wind
    height, width = labels.shape
    grain = cv2.resize(rng.standard_normal((height // 6 + 2, width // 6 + 2), dtype=np.float32), (width, height))
    tone = cv2.blur(image, (5, 5)).astype(np.float32)
    grown = np.isin(labels, (Label.CROPLAND, Label.GRASS, Label.BARE_SOIL))
    moisture = np.clip((tone[..., 1] - tone[..., 0]) * 0.09 - (tone.mean(axis=2) - 110.0) * 0.02, -3.0, 3.0) * grown
    decibels = level[labels] + 0.5 * grain + moisture
    uneven = np.exp(glint[labels] * rng.standard_normal(labels.shape, dtype=np.float32))
    return np.asarray(10.0 ** (0.1 * decibels) * uneven, np.float32)


def _standing(
    shape: tuple[int, ...], raised: Sequence[Raised], away: np.ndarray, incidence: float, gsd: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What stands, as the sensor sees it: power laid over towards it, pixels hidden behind, power of walls and ground."""
    lean, bounce = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    hide = np.zeros(shape, np.uint8)
    thick = max(1, round(0.8 / gsd))
    for thing in raised:
        walled = thing.label in _WALLED
        near, far = -away * thing.height / tan(incidence) / gsd, away * thing.height * tan(incidence) / gsd
        for outline in thing.outlines:
            _fill(hide, outline, far, 1)
            _fill(lean, outline, near, 0.16 if walled else 0.06)
        for outline in thing.outlines if walled else ():
            _facing(bounce, outline, away, thick)
    return lean, hide, bounce


def _fill(canvas: np.ndarray, outline: np.ndarray, shift: np.ndarray, value: float) -> None:
    """Fill what an outline sweeps when it is moved by ``shift`` pixels."""
    swept = np.concatenate([outline, outline + shift])
    if (swept.max(axis=0) < 0).any() or (swept.min(axis=0) > canvas.shape[::-1]).any():
        return
    hull = cv2.convexHull(np.clip(swept - 0.5, -30000, 30000).round().astype(np.int32))
    cv2.fillConvexPoly(canvas, hull, value)


def _facing(bounce: np.ndarray, outline: np.ndarray, away: np.ndarray, thick: int) -> None:
    """A bright line along every wall that faces the sensor, the brighter the squarer it stands."""
    if (outline.max(axis=0) < -9).any() or (outline.min(axis=0) > np.array(bounce.shape[::-1]) + 9).any():
        return
    ends = np.roll(outline, -1, axis=0)
    run = ends - outline
    normal = np.column_stack([run[:, 1], -run[:, 0]])
    outward = np.sign(((0.5 * (outline + ends) - outline.mean(axis=0)) * normal).sum(axis=1))
    facing = -(normal @ away) * outward / (np.linalg.norm(run, axis=1) + 1e-9)
    points = np.clip(outline - 0.5, -30000, 30000).round().astype(np.int32)
    for k in np.flatnonzero(facing > 0.3):
        start, end = points[k], points[(k + 1) % len(points)]
        cv2.line(bounce, (int(start[0]), int(start[1])), (int(end[0]), int(end[1])), float(0.4 + 5.0 * facing[k] ** 4), thick)
