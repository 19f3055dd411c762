"""Open land: the ground of every scene, fields, woods and snow."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from ovrs.data.scenes.classes import Label
from ovrs.data.scenes.districts import Block, cuts_along
from ovrs.data.scenes.palette import SNOW
from ovrs.data.scenes.shapes import Frame, roughened
from ovrs.data.scenes.site import Site
from ovrs.data.scenes.trees import row, trees, wood


def fields(site: Site, frame: Frame, reach: float, cell: tuple[float, float]) -> list[Block]:
    """Parcels of crops over ``reach`` metres about the frame, hedges and tracks between; the parcels are returned."""
    canvas = site.canvas
    parcels = []
    xs = cuts_along(site, reach, cell[0])
    for x0, x1 in pairwise(xs):
        ys = cuts_along(site, reach, cell[1])
        for y0, y1 in pairwise(ys):
            parcel = Block(frame.at(0.5 * (x0 + x1), 0.5 * (y0 + y1)), x1 - x0 - 2.0, y1 - y0 - 2.0)
            if parcel.inside(site):
                _crop(site, parcel)
                parcels.append(parcel)
        if site.chance(0.3):
            start, end = frame.place(np.array([[x0, -reach], [x0, reach]]))
            row(site, start, end, site.between(5.0, 10.0))
    if site.chance(0.6) and xs:
        x = xs[len(xs) // 2]
        track = frame.place(np.array([[x, -reach], [x, reach]]))
        canvas.line(track, site.between(2.5, 4.0), site.palette.soil, Label.BARE_SOIL)
    return parcels


def _crop(site: Site, parcel: Block) -> None:
    """One parcel: rows of a crop, ploughed furrows, meadow or bare earth."""
    canvas, palette, rng = site.canvas, site.palette, site.rng
    texture, draw = canvas.texture, site.rng.random()
    if draw < 0.12:
        canvas.surface(parcel.outline, lambda w: texture.blotches(w, palette.grass, palette.dry_grass, 0.05), Label.GRASS)
        return
    if draw < 0.2:
        canvas.surface(parcel.outline, lambda w: texture.blotches(w, palette.soil, palette.soil * 0.86, 0.08), Label.BARE_SOIL)
        return
    heading = canvas.pixels(parcel.frame.place(np.array([1.0, 0.0]))) - canvas.pixels(parcel.frame.origin)
    angle = float(np.arctan2(heading[1], heading[0])) + (0.0 if site.chance(0.6) else 0.5 * np.pi)
    colour = np.clip(palette.crops[int(rng.integers(len(palette.crops)))] + rng.normal(0, 7, 3), 10, 245).astype(np.float32)
    gap = (0.55 * colour + 0.45 * palette.soil).astype(np.float32) if site.chance(0.5) else (colour * 0.86).astype(np.float32)
    spacing = site.between(0.9, 5.0)
    canvas.surface(parcel.outline, lambda w: texture.rows(w, colour, gap, spacing, angle), Label.CROPLAND)


def countryside(site: Site) -> None:
    """The base of every scene: grass with patches of soil, or where little grows, bare soil with patches of grass."""
    canvas, palette, texture = site.canvas, site.palette, site.canvas.texture
    whole = (slice(None), slice(None))
    green, bare = (palette.grass, palette.dry_grass, Label.GRASS), (palette.soil, palette.soil * 0.86, Label.BARE_SOIL)
    ground, other = (bare, green) if site.chance(palette.barren) else (green, bare)
    canvas.image[:] = np.clip(texture.blotches(whole, ground[0], ground[1], 0.08), 0, 255).astype(np.uint8)
    canvas.labels[:] = ground[2]
    for _ in range(int(site.rng.integers(0, 4))):
        spot = site.rng.uniform(-canvas.reach, canvas.reach, 2)
        patch = roughened(site.rng, site.between(8.0, 40.0), 0.4) + spot
        canvas.surface(patch, lambda w: texture.blotches(w, other[0], other[1], 0.09), other[2])


def woods(site: Site, count: int, radius: tuple[float, float]) -> None:
    """Some woods anywhere, and single trees about."""
    reach = site.canvas.reach
    for _ in range(count):
        wood(site, site.rng.uniform(-reach, reach, 2), site.between(*radius))
    trees(site, site.rng.uniform(-reach, reach, (int(site.rng.integers(4, 40)), 2)), (3.0, 9.0), (Label.GRASS, Label.BARE_SOIL))


# How much of a surface snow hides; what is driven on is cleared.
_SETTLES = {
    Label.GRASS: 1.0, Label.BARE_SOIL: 0.95, Label.CROPLAND: 0.9, Label.SPORTS_FIELD: 0.95, Label.TENNIS_COURT: 0.9,
    Label.PAVEMENT: 0.4, Label.HARBOR: 0.3, Label.ROAD: 0.15, Label.BRIDGE: 0.15,
    Label.BUILDING: 0.8, Label.TREE: 0.22, Label.STORAGE_TANK: 0.6, Label.VEHICLE: 0.2, Label.PLANE: 0.2,
}  # fmt: skip


def snow(site: Site, ground: bool) -> None:
    """Snow as deep as the palette says: on the ground before the shadows fall, on roofs and trees after they are drawn."""
    canvas, depth = site.canvas, np.float32(site.palette.snow)
    if depth <= 0.0:
        return
    standing = (Label.BUILDING, Label.TREE, Label.STORAGE_TANK, Label.VEHICLE, Label.PLANE)
    table = np.zeros(256, np.float32)
    for label, share in _SETTLES.items():
        table[label] = share * ((label not in standing) == ground)
    patchy = np.clip(1.7 * depth - 0.1 + 0.25 * canvas.texture.wide + 0.15 * canvas.texture.middle, 0.0, 1.0)
    cover = table[canvas.labels] * patchy * np.float32(0.95)
    light = np.clip(canvas.image.mean(axis=2, dtype=np.float32) / np.float32(110.0), 0.55, 1.05)[..., None]
    colour = SNOW * (1.0 if ground else light)
    canvas.overlay((cover * 255).astype(np.uint8), colour)
