"""Trees one by one, in rows and in woods."""

from math import pi

import numpy as np

from ovrs.data.scenes.canvas import GROUND
from ovrs.data.scenes.classes import Label
from ovrs.data.scenes.palette import AUTUMN, BARE_TREES
from ovrs.data.scenes.shapes import roughened
from ovrs.data.scenes.site import Site

_TURNS = np.linspace(0.0, 2 * pi, 11, endpoint=False)
_CIRCLE = np.column_stack([np.cos(_TURNS), np.sin(_TURNS)])


def trees(site: Site, spots: np.ndarray, crown: tuple[float, float] = (4.0, 10.0), allowed: tuple[Label, ...] = GROUND) -> None:
    """Plant a tree at each spot ``[N, 2]`` (metres) that is free, with crowns of ``crown`` metres across."""
    canvas, rng = site.canvas, site.rng
    if not len(spots):
        return
    radii = 0.5 * rng.uniform(*crown, len(spots))
    turns = _CIRCLE[None] * (radii[:, None] * rng.uniform(0.72, 1.15, (len(spots), len(_TURNS))))[..., None]
    crowns = spots[:, None] + turns
    pixels = canvas.pixels(spots)
    near = ((pixels > -12 / canvas.gsd) & (pixels < np.array([canvas.width, canvas.height]) + 12 / canvas.gsd)).all(axis=1)
    good = np.array(near)
    if near.any():
        good[near] = canvas.free(crowns[near] * 0.3 + spots[near, None] * 0.7, allowed, planting=True)
    colours = _leaves(site, len(spots))
    for index in np.flatnonzero(good):
        _tree(site, spots[index], crowns[index], float(radii[index]), colours[index])


def _leaves(site: Site, count: int) -> np.ndarray:
    """Crown colours ``[count, 3]``: one species most of the time, some turned in autumn or bare in winter."""
    rng, palette = site.rng, site.palette
    colours = palette.tree + rng.normal(0, 8, (count, 1)) + rng.normal(0, 4, (count, 3))
    turned = rng.random(count) < palette.autumn
    colours[turned] = AUTUMN[rng.integers(len(AUTUMN), size=int(turned.sum()))] * 0.8 + rng.normal(0, 8, (int(turned.sum()), 1))
    shed = rng.random(count) < palette.bare
    colours[shed] = BARE_TREES[rng.integers(len(BARE_TREES), size=int(shed.sum()))] + rng.normal(0, 8, (int(shed.sum()), 1))
    return np.clip(colours, 12, 220)


def _tree(site: Site, spot: np.ndarray, crown: np.ndarray, radius: float, colour: np.ndarray) -> None:
    canvas = site.canvas
    light = canvas.sunward * radius * 0.22
    bright = np.clip(colour * 1.28 + 4, 0, 255)
    inner = (crown - spot) * 0.62 + spot + light
    spark = (crown[::-1] - spot) * 0.28 + spot + light * 1.8
    large = radius > 1.8 * canvas.gsd
    clumps = _clumps(site, spot, radius, colour) if radius > 9 * canvas.gsd else []

    def draw() -> None:
        canvas.fill(crown, colour * 0.72, Label.TREE)
        if large:
            canvas.fill(inner, colour * 1.05)
            canvas.fill(spark, bright)
        for place, size, tone in clumps:
            canvas.disc(place, size, tone)

    canvas.stand([crown], 1.6 * radius + 1.0, draw, Label.TREE, tier=2)


def _clumps(site: Site, spot: np.ndarray, radius: float, colour: np.ndarray) -> list[tuple[np.ndarray, float, np.ndarray]]:
    """Branches seen from near: places, radii and tones, brighter towards the sun."""
    rng, sun = site.rng, site.canvas.sunward
    count = int(rng.integers(18, 34))
    turn, away = rng.uniform(0, 2 * pi, count), radius * 0.85 * np.sqrt(rng.random(count))
    places = spot + np.column_stack([np.cos(turn), np.sin(turn)]) * away[:, None]
    tones = 1.0 + 0.22 * ((places - spot) @ sun) / radius + rng.normal(0, 0.13, count)
    order = np.argsort((places - spot) @ sun)
    return [(places[k], radius * float(rng.uniform(0.1, 0.2)), np.clip(colour * tones[k], 8, 240)) for k in order]


def row(site: Site, start: np.ndarray, end: np.ndarray, gap: float, crown: tuple[float, float] = (4.0, 8.0)) -> None:
    """Trees ``gap`` metres apart between two points, a few missing."""
    length = float(np.hypot(*(end - start)))
    count = int(length / gap)
    if count < 1 or not site.canvas.sees(np.array([start, end]), 10.0):
        return
    t = (np.arange(count) + 0.5 + site.rng.uniform(-0.2, 0.2, count)) / count
    spots = start + t[:, None] * (end - start) + site.rng.normal(0, 0.4, (count, 2))
    trees(site, spots[site.rng.random(count) < 0.88 * min(1.0, site.palette.wooded)], crown)


def scattered(site: Site, corners: np.ndarray, per_hectare: float, crown: tuple[float, float] = (3.0, 9.0)) -> None:
    """Trees at random within a convex quadrangle ``[4, 2]``."""
    sides = np.linalg.norm(np.roll(corners, -1, axis=0) - corners, axis=1)
    count = int(site.rng.poisson(min(120.0, site.palette.wooded * per_hectare * sides[0] * sides[1] / 10000.0)))
    if count == 0 or not site.canvas.sees(corners, 8.0):
        return
    u, v = site.rng.random((2, count, 1))
    bottom, top = corners[0] + u * (corners[1] - corners[0]), corners[3] + u * (corners[2] - corners[3])
    trees(site, bottom + v * (top - bottom), crown)


def wood(site: Site, centre: np.ndarray, radius: float) -> None:
    """A closed wood of irregular outline, with single trees along its edge; land only."""
    canvas, rng = site.canvas, site.rng
    outline = roughened(rng, radius, 0.5) + centre
    if not canvas.sees(outline, 10.0):
        return
    cover = canvas.mask(outline)
    cover[~np.isin(canvas.labels, (Label.GRASS, Label.BARE_SOIL, Label.CROPLAND))] = 0
    if not cover.any():
        return
    crown = site.between(5.0, 10.0)
    sun = canvas.pixels(canvas.sunward) - canvas.pixels(np.zeros(2))
    colours = canvas.texture.canopy((slice(None), slice(None)), _leaves(site, 1)[0].astype(np.float32), sun * canvas.gsd, crown)
    throw = canvas.pixels(canvas.shadow * 8.0) - canvas.pixels(np.zeros(2))
    canvas.shade(_moved(cover, throw))
    canvas.overlay(cover, colours, Label.TREE)
    rim = np.repeat(outline, 5, axis=0) + rng.normal(0, 0.4 * crown, (5 * len(outline), 2))
    trees(site, rim, (0.6 * crown, 1.2 * crown), (*GROUND, Label.CROPLAND))


def _moved(cover: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """A coverage map moved by whole pixels (x, y)."""
    x, y = (round(float(v)) for v in pixels)
    height, width = cover.shape
    moved = np.zeros_like(cover)
    x0, x1, y0, y1 = max(0, x), min(width, width + x), max(0, y), min(height, height + y)
    if x1 > x0 and y1 > y0:
        moved[y0:y1, x0:x1] = cover[y0 - y : y1 - y, x0 - x : x1 - x]
    return moved
