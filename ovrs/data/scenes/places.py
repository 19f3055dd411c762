"""Places: the kinds of scene, each a short recipe of water, roads, districts and what moves between them.

Order matters everywhere: ground, streets, water (which cuts the streets), bridges (which join them again), then what stands.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ovrs.data.scenes.buildings import hall, house
from ovrs.data.scenes.classes import Label
from ovrs.data.scenes.coasts import coast_harbor, naval_base, open_water
from ovrs.data.scenes.districts import (
    Block,
    Street,
    apartments,
    commerce,
    drive,
    fill,
    houses,
    lot,
    park,
    settlement,
    street_grid,
    works,
)
from ovrs.data.scenes.fields import countryside, fields, woods
from ovrs.data.scenes.palette import pick
from ovrs.data.scenes.rivers import industry, river_town, sail_along
from ovrs.data.scenes.roads import bridge, highway, road
from ovrs.data.scenes.shapes import Frame, meander, roughened
from ovrs.data.scenes.site import Site
from ovrs.data.scenes.trees import row, scattered
from ovrs.data.scenes.vehicles import plane, traffic
from ovrs.data.scenes.vessels import ship
from ovrs.data.scenes.waters import bank, flood, ribbon


def airport(site: Site) -> None:
    """A runway, a taxiway and an apron with planes before halls and a terminal."""
    canvas, reach = site.canvas, site.canvas.reach + 40.0
    countryside(site)
    concrete = pick(np.stack([site.palette.paving, site.palette.asphalt * 1.2]), site.rng, 5)
    apron = Frame(0.0, 0.0)
    deep = site.between(60.0, 110.0)
    outline = apron.rectangle(2.6 * reach, deep)
    canvas.surface(outline, lambda w: canvas.texture.blotches(w, concrete, concrete * 0.93, 0.035), Label.PAVEMENT)
    canvas.keep_open(outline)
    for x in np.arange(-reach, reach, 7.5):
        canvas.line(apron.place(np.array([[x, -0.5 * deep], [x, 0.5 * deep]])), 0.2, concrete * 0.86)
    runway = apron.at(0.0, -0.5 * deep - site.between(45.0, 80.0))
    tarmac = site.palette.asphalt * site.between(0.85, 1.0)
    strip = runway.rectangle(2.6 * reach, 42.0)
    canvas.surface(strip, lambda w: canvas.texture.blotches(w, tarmac, tarmac * 0.9, 0.04), Label.PAVEMENT)
    canvas.keep_open(runway.rectangle(2.6 * reach, 90.0))
    for y in site.rng.uniform(-9.0, 9.0, 5):  # rubber where wheels touch
        canvas.line(runway.place(np.array([[-reach, y], [reach, y]])), 0.8, tarmac * 0.82)
    for x in np.arange(-reach, reach, 50.0):
        canvas.fill(runway.rectangle(28.0, 0.9, float(x)), (236, 236, 232))
    for x in np.arange(-reach, reach, site.between(90.0, 160.0)):
        canvas.fill(runway.at(float(x), 35.0).rectangle(20.0, 80.0), tarmac * 1.1, Label.PAVEMENT)
        canvas.keep_open(runway.at(float(x), 35.0).rectangle(20.0, 80.0))
    canvas.line(apron.place(np.array([[-reach, -0.32 * deep], [reach, -0.32 * deep]])), 0.5, (214, 178, 50))
    large, fighters = site.chance(0.6), site.chance(0.35)
    sizes = (26.0, 55.0) if large else (14.0, 19.0) if fighters else (8.0, 15.0)
    x = -canvas.reach
    while x < canvas.reach:
        length = site.between(*sizes)
        heading = (0.5 if site.chance(0.75) else -0.5) * np.pi + site.between(-0.25, 0.25)
        for y in (0.12 * deep,) if large else (0.3 * deep, 0.02 * deep):
            if site.chance(0.75):
                plane(site, apron.at(x, y, heading), length, fighters and not large)
        x += length * site.between(1.05, 1.7)
    if site.chance(0.4):
        plane(site, runway.at(site.between(-0.5, 0.5) * site.span, 0.0, np.pi * site.chance(0.5)), site.between(26, 45))
    access = apron.at(0.0, 0.5 * deep + site.between(50.0, 75.0))
    ends = access.place(np.array([[-1.3 * reach, 0.0], [1.3 * reach, 0.0]]))
    road(site, ends, site.between(8.0, 13.0), 1.5)
    x = -reach
    while x < reach:
        length = site.between(30.0, 90.0)
        spot = apron.at(x + 0.5 * length, 0.5 * deep + 20.0)
        if site.chance(0.75):
            hall(site, spot, length - 6.0, site.between(22.0, 34.0))
        else:
            commerce(site, Block(spot, length, 36.0))
        x += length + site.between(4.0, 20.0)
    traffic(site, ends[0], ends[1], 2.2, 40.0)
    lots = [Block(access.at(float(x), 45.0), 80.0, 55.0) for x in np.arange(-reach, reach, 95.0)]
    fill(site, lots, ((commerce, 2), (works, 1), (park, 1), (lot, 1)))
    woods(site, 1, (15.0, 40.0))


def farmland(site: Site) -> None:
    """Fields, a lane with farms, a stream or a pond, woods."""
    canvas, reach = site.canvas, site.canvas.reach + 30.0
    countryside(site)
    fields(site, Frame(0.0, 0.0, site.between(-0.2, 0.2)), 1.4 * reach, (site.between(50.0, 140.0), site.between(35.0, 90.0)))
    lane = Frame(0.0, site.between(25.0, 60.0), site.between(-0.15, 0.15))
    width = site.between(5.0, 8.0)
    ends = lane.place(np.array([[-1.4 * reach, 0.0], [1.4 * reach, 0.0]]))
    crossing: list[Street] = []
    if site.chance(0.6):
        wide = site.between(10.0, 40.0)
        course = meander(site.rng, 1.3 * reach, 0.08 * site.span)
        if site.chance(0.7):  # the stream runs across the lane
            course = course @ np.array([[0.0, 1.0], [-1.0, 0.0]]) + (site.between(-0.25, 0.25) * site.span, 0.0)
            flood(site, canvas.mask(ribbon(course, wide)), bank(site, 0.0), shelf=0.3 * wide)
            bridge(site, lane, 2.8 * reach, width, 1.0)
            crossing.append(Street(ends[0], ends[1], width))
        else:
            flood(site, canvas.mask(ribbon(course, wide)), bank(site, 0.0), shelf=0.3 * wide)
        sail_along(site, course, wide, int(site.rng.integers(0, 3)), (4.0, 9.0))
    elif site.chance(0.7):
        pond = roughened(site.rng, site.between(12.0, 45.0), 0.35) + site.rng.uniform(-0.4, 0.4, 2) * site.span
        flood(site, canvas.mask(pond), bank(site, 0.0), shelf=site.between(3.0, 12.0))
    if not crossing:
        road(site, ends, width, 0.0)
    grass, soil = site.palette.grass, site.palette.soil
    for _ in range(int(site.rng.integers(1, 4))):
        yard = Block(lane.at(site.between(-0.5, 0.5) * site.span, site.between(24.0, 40.0)), 55.0, 36.0)
        canvas.surface(yard.outline, lambda w: canvas.texture.blotches(w, grass, soil, 0.06), Label.GRASS)
        for _ in range(int(site.rng.integers(2, 6))):
            spot = yard.frame.at(site.between(-20, 20), site.between(-10, 10), 0.5 * np.pi * site.chance(0.5))
            length, deep = site.between(10.0, 26.0), site.between(8.0, 13.0)
            if canvas.free(spot.rectangle(length + 1, deep + 1)[None])[0]:
                (house if site.chance(0.7) else hall)(site, spot, length, deep)
        scattered(site, yard.outline, 60.0, (4.0, 9.0))
    traffic(site, ends[0], ends[1], 0.24 * width, 70.0)
    if site.chance(0.5):
        start, end = lane.place(np.array([[-reach, 0.5 * width + 3], [reach, 0.5 * width + 3]]))
        row(site, start, end, site.between(8.0, 14.0))
    woods(site, int(site.rng.integers(0, 4)), (12.0, 55.0))


def suburb(site: Site) -> None:
    """Houses with gardens and pools, parks with courts and pitches, perhaps a lake."""
    reach = site.canvas.reach + 30.0
    countryside(site)
    frame = Frame(0.0, 0.0, site.between(-0.5, 0.5))
    cell = (site.between(70.0, 130.0), site.between(50.0, 105.0))
    if site.chance(0.3):  # blocks that hold a running track
        cell = (site.between(170.0, 230.0), site.between(100.0, 130.0))
    streets, blocks = street_grid(site, frame, 1.3 * reach, cell)
    if site.chance(0.35):
        highway(site)
    if site.chance(0.3):
        lake = roughened(site.rng, site.between(25.0, 70.0), 0.3) + site.rng.uniform(-0.4, 0.4, 2) * site.span
        flood(site, site.canvas.mask(lake), bank(site, 0.1), shelf=site.between(5.0, 15.0))
        for _ in range(int(site.rng.integers(0, 4))):
            x, y = lake.mean(axis=0) + site.rng.normal(0, 12.0, 2)
            ship(site, Frame(float(x), float(y), site.between(0, 6.3)), site.between(5.0, 9.0))
    fill(site, blocks, ((houses, 4), (park, 5), (apartments, 0.8), (commerce, 0.8), (lot, 0.3)))
    drive(site, streets, 60.0)
    woods(site, 1, (10.0, 35.0))


def shanty(site: Site) -> None:
    """Narrow lanes of earth between crowded low roofs, some gardens and a few larger buildings."""
    reach = site.canvas.reach + 30.0
    countryside(site)
    frame = Frame(0.0, 0.0, site.between(-0.5, 0.5))
    streets, blocks = street_grid(site, frame, 1.3 * reach, (site.between(40.0, 80.0), site.between(30.0, 60.0)))
    if site.chance(0.25):
        course = meander(site.rng, 1.3 * reach, 0.08 * site.span)
        flood(site, site.canvas.mask(ribbon(course, site.between(4.0, 14.0))), bank(site, 0.0), shelf=4.0)
    fill(site, blocks, ((settlement, 5), (houses, 2), (lot, 0.8), (park, 0.5), (apartments, 0.4)))
    drive(site, streets, 70.0)
    woods(site, int(site.rng.integers(0, 3)), (8.0, 25.0))


PLACES: tuple[tuple[Callable[[Site], None], float, float], ...] = (
    (river_town, 0.18, 0.14),
    (coast_harbor, 0.15, 0.12),
    (naval_base, 0.05, 0.03),
    (open_water, 0.05, 0.03),
    (airport, 0.15, 0.1),
    (farmland, 0.1, 0.09),
    (industry, 0.14, 0.1),
    (suburb, 0.14, 0.24),
    (shanty, 0.05, 0.15),
)
"""The recipes, how often each is drawn, and how often where a pixel is finer than a quarter of a metre."""

COASTAL = (coast_harbor, naval_base, open_water)
"""Those that lie by the sea."""

WARM = (shanty,)
"""Those that lie where it never freezes."""
