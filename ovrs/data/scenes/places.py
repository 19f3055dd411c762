"""Places: six kinds of scene, each a short recipe of water, roads, districts and what moves between them.

Order matters everywhere: ground, streets, water (which cuts the streets), bridges (which join them again), then what stands.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ovrs.data.scenes.buildings import hall, house
from ovrs.data.scenes.classes import Label
from ovrs.data.scenes.districts import (
    Block,
    Street,
    apartments,
    commerce,
    countryside,
    drive,
    fields,
    houses,
    lot,
    park,
    street_grid,
    woods,
    works,
)
from ovrs.data.scenes.palette import pick
from ovrs.data.scenes.roads import bridge, road
from ovrs.data.scenes.shapes import Frame, meander, roughened
from ovrs.data.scenes.site import Site
from ovrs.data.scenes.trees import row, scattered
from ovrs.data.scenes.vehicles import parked, plane, traffic
from ovrs.data.scenes.vessels import moorings, pier, ship
from ovrs.data.scenes.waters import Shore, flood, ribbon

Filling = Callable[[Site, Block], None]


def fill(site: Site, blocks: Sequence[Block], fillings: Sequence[tuple[Filling, float]]) -> None:
    """Put something on every block, drawn by weight; a block that water or a quay has cut gets houses where they find room."""
    weights = np.array([weight for _, weight in fillings])
    labels = site.canvas.labels
    cut = np.isin(labels, (Label.WATER, Label.BRIDGE, Label.HARBOR))
    for land in blocks:
        filling = fillings[int(site.rng.choice(len(fillings), p=weights / weights.sum()))][0]
        dry = not (cut & (site.canvas.mask(land.outline, soft=False) > 0)).any()
        (filling if dry else houses)(site, land)


def _shore(site: Site, quay: float) -> Shore | None:
    if site.chance(quay):
        return Shore(site.between(3.0, 9.0), site.palette.paving * site.between(0.85, 1.05), Label.PAVEMENT)
    if site.chance(0.6):
        return Shore(site.between(1.5, 6.0), site.palette.sand if site.chance(0.5) else site.palette.soil, Label.BARE_SOIL)
    return None


def _river(site: Site, width: float, shore: Shore | None) -> np.ndarray:
    """A river through the origin along x; its middle line."""
    reach = site.canvas.reach * 1.3 + 40.0
    line = meander(site.rng, reach, site.between(0.02, 0.16) * site.span)
    widths = width * (1.0 + 0.1 * np.sin(np.linspace(0, site.between(2, 9), len(line)) + site.between(0, 6)))
    flood(site, site.canvas.mask(ribbon(line, widths)), shore, shelf=site.between(0.12, 0.35) * width)
    return line


def _on_river(site: Site, line: np.ndarray, width: float, count: int, sizes: tuple[float, float]) -> None:
    """Ships under way or at anchor along a river."""
    for _ in range(count):
        at = int(site.rng.integers(2, len(line) - 2))
        run = line[at + 1] - line[at - 1]
        angle = float(np.arctan2(run[1], run[0])) + (np.pi if site.chance(0.5) else 0.0)
        spot = Frame(float(line[at, 0]), float(line[at, 1]), angle).at(0.0, site.between(-0.32, 0.32) * width)
        length = min(site.between(*sizes), 1.2 * width)
        ship(site, spot, length, wake=site.chance(0.5))


def _crossings(site: Site, count: int, width: float, reach: float) -> list[Street]:
    """Bridges over the river at the origin: straight roads that cross it and go on to the edge of the scene."""
    made = []
    spots = [site.between(-20.0, 20.0)] + [site.between(-0.7, 0.7) * reach for _ in range(count - 1)]
    for x in spots:
        frame = Frame(x, 0.0, 0.5 * np.pi + site.between(-0.25, 0.25))
        wide, length = site.between(7.0, 18.0), 2.4 * reach
        bridge(site, frame, length, wide, site.between(1.0, 2.5))
        start, end = frame.place(np.array([[-0.5 * length, 0.0], [0.5 * length, 0.0]]))
        made.append(Street(start, end, wide))
    return made


def river_town(site: Site) -> None:
    """A town on both banks of a river, joined by bridges, boats below them."""
    reach, width = site.canvas.reach + 30.0, site.between(22.0, 75.0)
    countryside(site)
    frame = Frame(site.between(-40, 40), site.between(-40, 40), site.between(-0.4, 0.4))
    streets, blocks = street_grid(site, frame, 1.3 * reach, (site.between(55.0, 100.0), site.between(45.0, 80.0)))
    line = _river(site, width, _shore(site, 0.55))
    crossings = _crossings(site, int(site.rng.integers(1, 4)), width, reach)
    if site.chance(0.35):
        bank = Frame(site.between(-0.5, 0.5) * site.span, -0.5 * width - 2.0, 0.5 * np.pi)
        jetty = site.between(8.0, 0.35 * width + 6.0)
        pier(site, bank, jetty, site.between(2.0, 5.0))
        moorings(site, bank, jetty, 3.0, (6.0, 12.0), 0.8)
    _on_river(site, line, width, int(site.rng.integers(1, 7)), (7.0, 40.0))
    fill(site, blocks, ((houses, 4), (apartments, 3), (commerce, 1), (park, 1.2), (lot, 0.5)))
    drive(site, streets, 45.0)
    drive(site, crossings, 18.0)
    woods(site, 1, (10.0, 40.0))


def coast_harbor(site: Site) -> None:
    """A coast with piers and moored ships, the open sea on one side and a town on the other."""
    reach = site.canvas.reach + 40.0
    countryside(site)
    shore = meander(site.rng, 1.3 * reach, site.between(0.0, 0.1) * site.span)
    quay = site.chance(0.7)
    streets, blocks = street_grid(site, Frame(0.0, site.between(30.0, 60.0), 0.0), 1.3 * reach, (site.between(60, 110), 60.0))
    sea = np.concatenate([shore, [[1.4 * reach, -2 * reach], [-1.4 * reach, -2 * reach]]])
    edge = (
        Shore(site.between(8.0, 22.0), site.palette.paving * site.between(0.9, 1.08), Label.HARBOR)
        if quay
        else Shore(site.between(6.0, 26.0), site.palette.sand, Label.BARE_SOIL)
    )
    flood(site, site.canvas.mask(sea), edge, shelf=site.between(8.0, 40.0), surf=not quay)
    crossings: list[Street] = []
    if site.chance(0.35):  # an inlet, and the coast road over it
        inlet = meander(site.rng, reach, 0.08 * site.span) @ np.array([[0.0, 1.0], [-1.0, 0.0]]) + (site.between(-60, 60), 0.0)
        flood(site, site.canvas.mask(ribbon(inlet[len(inlet) // 2 - 3 :], site.between(16.0, 36.0))), edge, shelf=10.0)
        frame = Frame(0.0, site.between(22.0, 45.0))
        wide = site.between(7.0, 13.0)
        bridge(site, frame, 2.4 * reach, wide, 1.5)
        crossings.append(Street.between(frame, (-1.2 * reach, 0.0), (1.2 * reach, 0.0), wide))
    large = quay and site.chance(0.5)
    x = -site.canvas.reach + site.between(0.0, 40.0)
    while x < site.canvas.reach:
        base = Frame(x, 6.0, -0.5 * np.pi + site.between(-0.08, 0.08))
        length = site.between(70.0, 150.0) if large else site.between(30.0, 90.0)
        wide = site.between(10.0, 24.0) if large else site.between(2.2, 5.0)
        if site.chance(0.8):
            pier(site, base, length, wide)
            sizes = (40.0, 110.0) if large else (7.0, 15.0)
            moorings(site, base.at(14.0, 0.0), length - 14.0, wide, sizes, site.between(0.4, 0.95))
            parked(site, base.at(0.5 * length, 0.0), 0.5 * length * large, 0.3)
        x += length * site.between(0.5, 1.1) if large else site.between(28.0, 60.0)
    for _ in range(int(site.rng.integers(1, 9))):
        spot = Frame(site.between(-reach, reach), -site.between(15.0, reach), site.between(0, 6.3))
        ship(site, spot, site.between(6.0, 16.0) if site.chance(0.6) else site.between(30.0, 90.0), wake=site.chance(0.6))
    fill(site, blocks, ((houses, 2), (apartments, 2), (commerce, 1), (works, 2 if quay else 0.3), (park, 1), (lot, 0.5)))
    drive(site, streets, 45.0)
    drive(site, crossings, 20.0)


def airport(site: Site) -> None:
    """A runway, a taxiway and an apron with planes before halls and a terminal."""
    canvas, reach = site.canvas, site.canvas.reach + 40.0
    countryside(site)
    concrete = pick(np.stack([site.palette.paving, site.palette.asphalt * 1.2]), site.rng, 5)
    apron = Frame(0.0, 0.0)
    deep = site.between(60.0, 110.0)
    outline = apron.rectangle(2.6 * reach, deep)
    canvas.surface(outline, lambda w: canvas.texture.blotches(w, concrete, concrete * 0.93, 0.035), Label.PAVEMENT)
    for x in np.arange(-reach, reach, 7.5):
        canvas.line(apron.place(np.array([[x, -0.5 * deep], [x, 0.5 * deep]])), 0.2, concrete * 0.86)
    runway = apron.at(0.0, -0.5 * deep - site.between(45.0, 80.0))
    tarmac = site.palette.asphalt * site.between(0.85, 1.0)
    canvas.fill(runway.rectangle(2.6 * reach, 42.0), tarmac, Label.PAVEMENT)
    for x in np.arange(-reach, reach, 50.0):
        canvas.fill(runway.rectangle(28.0, 0.9, float(x)), (236, 236, 232))
    for x in np.arange(-reach, reach, site.between(90.0, 160.0)):
        canvas.fill(runway.at(float(x), 35.0).rectangle(20.0, 80.0), tarmac * 1.1, Label.PAVEMENT)
    canvas.line(apron.place(np.array([[-reach, -0.32 * deep], [reach, -0.32 * deep]])), 0.5, (214, 178, 50))
    large = site.chance(0.6)
    x = -canvas.reach
    while x < canvas.reach:
        length = site.between(26.0, 55.0) if large else site.between(8.0, 15.0)
        heading = (0.5 if site.chance(0.75) else -0.5) * np.pi + site.between(-0.25, 0.25)
        for y in (0.12 * deep,) if large else (0.3 * deep, 0.02 * deep):
            if site.chance(0.75):
                plane(site, apron.at(x, y, heading), length)
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
            flood(site, canvas.mask(ribbon(course, wide)), _shore(site, 0.0), shelf=0.3 * wide)
            bridge(site, lane, 2.8 * reach, width, 1.0)
            crossing.append(Street(ends[0], ends[1], width))
        else:
            flood(site, canvas.mask(ribbon(course, wide)), _shore(site, 0.0), shelf=0.3 * wide)
        _on_river(site, course, wide, int(site.rng.integers(0, 3)), (5.0, 9.0))
    elif site.chance(0.7):
        pond = roughened(site.rng, site.between(12.0, 45.0), 0.35) + site.rng.uniform(-0.4, 0.4, 2) * site.span
        flood(site, canvas.mask(pond), _shore(site, 0.0), shelf=site.between(3.0, 12.0))
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


def industry(site: Site) -> None:
    """Works, tanks and halls along a canal with a quay and freighters."""
    reach = site.canvas.reach + 30.0
    countryside(site)
    frame = Frame(0.0, 0.0, site.between(-0.1, 0.1))
    streets, blocks = street_grid(site, frame, 1.3 * reach, (site.between(80.0, 130.0), site.between(60.0, 95.0)))
    crossings: list[Street] = []
    if site.chance(0.7):
        width = site.between(30.0, 80.0)
        quay = Shore(site.between(5.0, 14.0), site.palette.paving * site.between(0.85, 1.05), Label.HARBOR)
        line = _river(site, width, quay)
        if site.chance(0.5):
            crossings = _crossings(site, 1, width, reach)
        for side in (-1, 1):
            x = -site.canvas.reach
            while x < site.canvas.reach:
                length = site.between(35.0, 85.0)
                if site.chance(0.6):
                    heading = np.pi if site.chance(0.5) else 0.0
                    ship(site, Frame(x, side * (0.5 * width - 0.14 * length), heading), length, 0.15 * length)
                x += length + site.between(4.0, 40.0)
        _on_river(site, line, width, int(site.rng.integers(0, 3)), (8.0, 40.0))
    fill(site, blocks, ((works, 5), (commerce, 1.5), (lot, 0.8), (apartments, 0.5), (park, 0.6)))
    drive(site, streets, 50.0)
    drive(site, crossings, 22.0)


def suburb(site: Site) -> None:
    """Houses with gardens and pools, parks with courts and pitches, perhaps a lake."""
    reach = site.canvas.reach + 30.0
    countryside(site)
    frame = Frame(0.0, 0.0, site.between(-0.5, 0.5))
    streets, blocks = street_grid(site, frame, 1.3 * reach, (site.between(70.0, 130.0), site.between(50.0, 105.0)))
    if site.chance(0.3):
        lake = roughened(site.rng, site.between(25.0, 70.0), 0.3) + site.rng.uniform(-0.4, 0.4, 2) * site.span
        flood(site, site.canvas.mask(lake), _shore(site, 0.1), shelf=site.between(5.0, 15.0))
        for _ in range(int(site.rng.integers(0, 4))):
            x, y = lake.mean(axis=0) + site.rng.normal(0, 12.0, 2)
            ship(site, Frame(float(x), float(y), site.between(0, 6.3)), site.between(5.0, 9.0))
    fill(site, blocks, ((houses, 4), (park, 3.5), (apartments, 0.8), (commerce, 0.8), (lot, 0.3)))
    drive(site, streets, 60.0)
    woods(site, 1, (10.0, 35.0))


PLACES: tuple[tuple[Callable[[Site], None], float], ...] = (
    (river_town, 0.26),
    (coast_harbor, 0.22),
    (airport, 0.12),
    (farmland, 0.14),
    (industry, 0.12),
    (suburb, 0.14),
)
"""The recipes and how often each is drawn."""
