"""Districts: streets and what fills the blocks between them, from gardens to depots."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ovrs.data.scenes.buildings import block, hall, house, shack
from ovrs.data.scenes.classes import Label
from ovrs.data.scenes.installations import diamond, pitch, pool, running_track, tank_farm, tennis_courts
from ovrs.data.scenes.palette import pick
from ovrs.data.scenes.roads import crosswalk, roundabout, street
from ovrs.data.scenes.shapes import Frame, roughened
from ovrs.data.scenes.site import Site
from ovrs.data.scenes.trees import row, scattered
from ovrs.data.scenes.vehicles import parked, traffic


@dataclass(frozen=True)
class Block:
    """The land between streets: its middle and heading, and its sides in metres along the local x and y."""

    frame: Frame
    length: float
    width: float

    @property
    def outline(self) -> np.ndarray:
        """Corners ``[4, 2]`` in the scene's frame."""
        return self.frame.rectangle(self.length, self.width)

    def inside(self, site: Site, margin: float = 0.0) -> bool:
        """Whether the image sees any of it."""
        return site.canvas.sees(self.outline, margin)


@dataclass(frozen=True)
class Street:
    """A straight street from start to end ``[2]``, ``width`` metres of asphalt."""

    start: np.ndarray
    end: np.ndarray
    width: float

    @classmethod
    def between(cls, frame: Frame, start: tuple[float, float], end: tuple[float, float], width: float) -> Street:
        """The street between two local points of a frame."""
        first, last = frame.place(np.array([start, end]))
        return cls(first, last, width)

    @property
    def line(self) -> np.ndarray:
        """Its two ends ``[2, 2]``."""
        return np.array([self.start, self.end])


def street_grid(
    site: Site, frame: Frame, reach: float, cell: tuple[float, float], through: bool = False
) -> tuple[list[Street], list[Block]]:
    """A grid of streets over ``reach`` metres about the frame, drawn at once, and the blocks that it leaves.

    The streets along the frame's y come first. With ``through`` one of them runs through the frame's origin.
    """
    cuts = [cuts_along(site, reach, size) for size in cell]
    if through and cuts[0]:
        nearest = min(cuts[0], key=abs)
        cuts[0] = [at - nearest for at in cuts[0]]
    widths = [[site.between(6.0, 9.0) if site.chance(0.75) else site.between(10.0, 16.0) for _ in axis] for axis in cuts]
    walk = site.between(1.2, 3.0)
    streets = [Street.between(frame, (x, -reach), (x, reach), width) for x, width in zip(cuts[0], widths[0], strict=True)]
    streets += [Street.between(frame, (-reach, y), (reach, y), width) for y, width in zip(cuts[1], widths[1], strict=True)]
    for way in streets:
        street(site, way.line, way.width, walk)
    for way in streets:  # once more, so that no pavement crosses a carriageway
        site.canvas.line(way.line, way.width, site.palette.asphalt, Label.ROAD)
    if site.chance(0.35):
        for x, width in zip(cuts[0], widths[0], strict=True):
            for y, across in zip(cuts[1], widths[1], strict=True):
                crosswalk(site, frame.at(x, y + 0.5 * across + 3.0, 0.5 * np.pi), width)
                crosswalk(site, frame.at(x + 0.5 * width + 3.0, y), across)
    if site.chance(0.3) and all(cuts):
        x, y = (axis[int(site.rng.integers(len(axis)))] for axis in cuts)
        roundabout(site, frame.place(np.array([x, y])), site.between(7.0, 16.0), site.between(6.0, 10.0))
    blocks = []
    for x0, x1, a0, a1 in zip(cuts[0], cuts[0][1:], widths[0], widths[0][1:], strict=False):
        for y0, y1, b0, b1 in zip(cuts[1], cuts[1][1:], widths[1], widths[1][1:], strict=False):
            left, right = x0 + 0.5 * a0 + walk, x1 - 0.5 * a1 - walk
            low, high = y0 + 0.5 * b0 + walk, y1 - 0.5 * b1 - walk
            land = Block(frame.at(0.5 * (left + right), 0.5 * (low + high)), right - left, high - low)
            if land.inside(site, 12.0) and land.length > 12 and land.width > 12:
                blocks.append(land)
    return streets, blocks


def cuts_along(site: Site, reach: float, size: float) -> list[float]:
    """Where lines about ``size`` metres apart cut an axis from ``-reach`` to ``reach``."""
    at, cuts = -reach + site.between(0.0, size), []
    while at < reach:
        cuts.append(at)
        at += size * site.between(0.75, 1.35)
    return cuts


def drive(site: Site, streets: list[Street], spacing: float) -> None:
    """Traffic on every street."""
    for way in streets:
        traffic(site, way.start, way.end, 0.22 * way.width, spacing)


def houses(site: Site, land: Block) -> None:
    """Gardens with pitched roofs in a row along both long sides, hedges, trees, now and then a pool."""
    across = land.width if land.length >= land.width else land.length
    frame = land.frame if land.length >= land.width else land.frame.at(0.0, 0.0, 0.5 * np.pi)
    along = max(land.length, land.width)
    pools, plot = site.between(0.0, 0.5), site.between(12.0, 22.0)
    for side in (-1, 1):
        for x in np.arange(-0.5 * along + 0.5 * plot, 0.5 * along - 0.3 * plot, plot):
            depth = min(site.between(8.0, 11.0), 0.34 * across)
            spot = frame.at(float(x) + site.between(-1, 1), side * (0.5 * across - 0.5 * depth - site.between(2.5, 5.0)))
            if site.chance(0.9):
                length = min(site.between(9.0, 14.0), plot - 3.0)
                _house_if_free(site, spot.at(0.0, 0.0, 0.0 if site.chance(0.7) else 0.5 * np.pi), length, depth)
            if site.chance(pools):
                pool(site, frame.at(float(x), side * 0.14 * across), site.between(6.0, 10.0), site.between(3.5, 5.0))
    scattered(site, land.outline, site.between(10.0, 95.0), (3.0, 8.5))


def _house_if_free(site: Site, frame: Frame, length: float, width: float) -> None:
    if site.canvas.free(frame.rectangle(length, width)[None])[0]:
        house(site, frame, length, width)


def apartments(site: Site, land: Block) -> None:
    """Flat-roofed blocks along the edges, a paved or green court within."""
    if site.chance(0.45):
        site.canvas.fill(land.outline, site.palette.paving * site.between(0.9, 1.05), Label.PAVEMENT)
    deep = site.between(11.0, 16.0)
    for side in (-1, 1):
        x = -0.5 * land.length
        while x < 0.5 * land.length - 10.0:
            length = min(site.between(14.0, 42.0), 0.5 * land.length - x)
            spot = land.frame.at(x + 0.5 * length, side * (0.5 * land.width - 0.5 * deep - 1.5))
            if length > 9 and site.chance(0.9) and site.canvas.free(spot.rectangle(length, deep)[None])[0]:
                wing = site.between(8.0, 14.0) if side < 0 and land.width > 55 and site.chance(0.3) else 0.0
                block(site, spot, length, deep, site.between(8.0, 22.0), wing)
            x += length + site.between(1.0, 8.0)
    scattered(site, land.outline, site.between(5.0, 40.0), (4.0, 9.0))
    parked(site, land.frame, 0.6 * land.length, site.between(0.3, 0.8))


def commerce(site: Site, land: Block) -> None:
    """A hall on a paved lot with rows of parked cars."""
    canvas = site.canvas
    lot = pick(np.stack([site.palette.asphalt, site.palette.asphalt * 1.12, site.palette.paving]), site.rng, 5)
    canvas.surface(land.outline, lambda window: canvas.texture.blotches(window, lot, lot * 0.92, 0.04), Label.PAVEMENT)
    planted = site.chance(0.4)
    deep = site.between(0.35, 0.55) * land.width
    spot = land.frame.at(0.0, 0.5 * (land.width - deep) - 2.0)
    long = land.length - 6.0
    if canvas.free(spot.rectangle(long, deep)[None])[0]:
        (hall if site.chance(0.6) else _tall)(site, spot, long, deep)
    share = site.between(0.2, 0.9)
    for number, y in enumerate(np.arange(-0.5 * land.width + 4.0, 0.5 * land.width - deep - 6.0, 8.0)):
        spaces = land.frame.at(0.0, float(y))
        for x in np.arange(-0.5 * land.length + 4.0, 0.5 * land.length - 4.0, 2.7):
            canvas.line(spaces.place(np.array([[x, -2.4], [x, 2.4]])), 0.14, np.clip(lot * 1.5 + 20, 0, 245))
        parked(site, spaces, land.length - 8.0, share)
        if number % 2 and planted:
            start, end = spaces.place(np.array([[-0.4 * land.length, 4.0], [0.4 * land.length, 4.0]]))
            row(site, start, end, 14.0, (3.0, 5.0))


def _tall(site: Site, frame: Frame, length: float, width: float) -> None:
    block(site, frame, length, width, site.between(7.0, 16.0))


def works(site: Site, land: Block) -> None:
    """Halls side by side on worn ground, a tank farm now and then."""
    canvas, palette = site.canvas, site.palette
    floor = pick(np.stack([palette.paving, palette.asphalt * 1.1, palette.soil]), site.rng, 6)
    label = Label.PAVEMENT if site.chance(0.75) else Label.BARE_SOIL
    floor = palette.soil if label == Label.BARE_SOIL else floor
    canvas.surface(land.outline, lambda window: canvas.texture.blotches(window, floor, floor * 0.85, 0.06), label)
    if site.chance(0.6) and min(land.length, land.width) > 28:
        tank_farm(site, land.frame, land.length - 4.0, land.width - 4.0)
        return
    if site.chance(0.2):  # a yard of lorries
        canvas.keep_open(land.outline)
        for y in np.arange(-0.5 * land.width + 9.0, 0.5 * land.width - 8.0, site.between(19.0, 26.0)):
            parked(site, land.frame.at(0.0, float(y)), land.length - 8.0, site.between(0.3, 0.9), lorries=True)
        return
    x = -0.5 * land.length + 3.0
    while x < 0.5 * land.length - 14.0:
        length = min(site.between(18.0, 45.0), 0.5 * land.length - 3.0 - x)
        deep = site.between(0.5, 0.85) * land.width
        spot = land.frame.at(x + 0.5 * length, 0.5 * (land.width - deep) * site.between(-0.8, 0.8))
        if length > 10 and canvas.free(spot.rectangle(length, deep)[None])[0]:
            (hall if site.chance(0.65) else _tall)(site, spot, length, deep)
        x += length + site.between(4.0, 12.0)
    parked(site, land.frame.at(0.0, -0.5 * land.width + 3.5), land.length - 8.0, site.between(0.2, 0.7))


def park(site: Site, land: Block) -> None:
    """Grass with trees, paths and, where they fit, courts and pitches."""
    canvas, palette = site.canvas, site.palette
    canvas.surface(land.outline, lambda w: canvas.texture.blotches(w, palette.grass, palette.dry_grass, 0.05), Label.GRASS)
    long, short = max(land.length, land.width), min(land.length, land.width)
    frame = land.frame if land.length >= land.width else land.frame.at(0.0, 0.0, 0.5 * np.pi)
    if short > 96 and long > 182 and site.chance(0.5):
        running_track(site, frame)
    elif short > 50 and long > 72 and site.chance(0.75):
        if site.chance(0.2) and short > 90:
            diamond(site, frame)
        else:
            scale = min(1.0, (long - 12) / 113, (short - 10) / 76)
            pitch(site, frame, 105 * scale, 68 * scale, 3.0)
    elif short > 36 and long > 38 and site.chance(0.85):
        tennis_courts(site, frame.at(0.0, 0.0, 0.5 * np.pi), int(np.clip((long - 4) / 17.5, 1, 4)))
    elif site.chance(0.5):
        ends = frame.place(np.array([[-0.5 * long, -0.3 * short], [0.0, 0.1 * short], [0.5 * long, 0.3 * short]]))
        canvas.line(ends, 2.6, palette.paving, Label.PAVEMENT)
    corners = land.outline
    for start, end in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        if site.chance(0.7):
            row(site, start, end, site.between(6.0, 12.0))
    scattered(site, land.outline, site.between(10.0, 70.0), (4.0, 11.0))


def settlement(site: Site, land: Block) -> None:
    """Small corrugated roofs close together at all angles, trodden earth between."""
    canvas, rng, soil = site.canvas, site.rng, site.palette.soil
    canvas.surface(land.outline, lambda w: canvas.texture.blotches(w, soil, soil * 0.86, 0.1), Label.BARE_SOIL)
    step = site.between(5.5, 9.5)
    for x in np.arange(-0.5 * land.length + 3.0, 0.5 * land.length - 2.0, step):
        for y in np.arange(-0.5 * land.width + 3.0, 0.5 * land.width - 2.0, step):
            shift = rng.uniform(-0.06, 0.06, 2) * step
            spot = land.frame.at(float(x + shift[0]), float(y + shift[1]), float(rng.normal(0, 0.06)))
            length, width = site.between(0.72, 0.98) * step, site.between(0.66, 0.92) * step
            wanted = canvas.sees(spot.origin[None], step) and site.chance(0.85)
            if wanted and canvas.free(spot.rectangle(length, width)[None])[0]:
                shack(site, spot, length, width)
    scattered(site, land.outline, site.between(10.0, 60.0), (2.5, 7.0))


def lot(site: Site, land: Block) -> None:
    """Ground that waits for something: bare soil with tracks."""
    canvas, soil = site.canvas, pick(np.stack([site.palette.soil, site.palette.soil * 1.1]), site.rng, 8)
    outline = roughened(site.rng, 1.0, 0.12) * (0.5 * land.length, 0.5 * land.width)
    canvas.surface(land.frame.place(outline), lambda w: canvas.texture.blotches(w, soil, soil * 0.82, 0.1), Label.BARE_SOIL)
    for _ in range(int(site.rng.integers(0, 4))):
        y = site.between(-0.35, 0.35) * land.width
        ends = land.frame.place(np.array([[-0.4 * land.length, y], [0.4 * land.length, y + site.between(-6, 6)]]))
        canvas.line(ends, 0.6, soil * 0.85)
    scattered(site, land.outline, site.between(0.0, 8.0), (2.0, 5.0))


Filling = Callable[[Site, Block], None]


def fill(site: Site, blocks: Sequence[Block], fillings: Sequence[tuple[Filling, float]]) -> None:
    """Put something on every block, drawn by weight; one that water, a quay or a highway has cut gets houses where they fit."""
    weights = np.array([weight for _, weight in fillings])
    labels = site.canvas.labels
    wet, driven = np.isin(labels, (Label.WATER, Label.BRIDGE, Label.HARBOR)), labels == Label.ROAD
    for land in blocks:
        filling = fillings[int(site.rng.choice(len(fillings), p=weights / weights.sum()))][0]
        inside = site.canvas.mask(land.outline, soft=False) > 0
        whole = not wet[inside].any() and driven[inside].mean() < 0.12 if inside.any() else True
        (filling if whole else houses)(site, land)
