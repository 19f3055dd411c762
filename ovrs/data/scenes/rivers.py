"""Places on a river or a canal: a town on both banks, works with a quay."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ovrs.data.scenes.classes import Label
from ovrs.data.scenes.districts import (
    Street,
    apartments,
    commerce,
    drive,
    fill,
    houses,
    lot,
    park,
    street_grid,
    works,
)
from ovrs.data.scenes.fields import countryside, woods
from ovrs.data.scenes.roads import bridge, highway
from ovrs.data.scenes.shapes import Frame, meander
from ovrs.data.scenes.site import Site
from ovrs.data.scenes.vessels import moorings, pier, ship
from ovrs.data.scenes.waters import Shore, bank, flood, ribbon


def _river(site: Site, width: float, shore: Shore | None) -> np.ndarray:
    """A river through the origin along x; its middle line."""
    reach = site.canvas.reach * 1.3 + 40.0
    line = meander(site.rng, reach, site.between(0.02, 0.16) * site.span)
    widths = width * (1.0 + 0.1 * np.sin(np.linspace(0, site.between(2, 9), len(line)) + site.between(0, 6)))
    flood(site, site.canvas.mask(ribbon(line, widths)), shore, shelf=site.between(0.12, 0.35) * width)
    return line


def sail_along(site: Site, line: np.ndarray, width: float, count: int, sizes: tuple[float, float]) -> None:
    """Ships under way or at anchor along a river."""
    for _ in range(count):
        at = int(site.rng.integers(2, len(line) - 2))
        run = line[at + 1] - line[at - 1]
        angle = float(np.arctan2(run[1], run[0])) + (np.pi if site.chance(0.5) else 0.0)
        spot = Frame(float(line[at, 0]), float(line[at, 1]), angle).at(0.0, site.between(-0.32, 0.32) * width)
        length = min(site.between(*sizes), 1.2 * width)
        ship(site, spot, length, wake=site.chance(0.5))


def _crossings(site: Site, streets: Sequence[Street], count: int) -> list[Street]:
    """Bridges where streets of the grid meet the river at the origin: the nearest one, and ``count - 1`` others."""

    def middle(way: Street) -> float:
        run = way.end - way.start
        return float(way.start[0] - run[0] * way.start[1] / run[1])

    across = [way for way in streets if abs(way.end[1] - way.start[1]) > 2.0 * abs(way.end[0] - way.start[0])]
    across = sorted(across, key=lambda way: abs(middle(way)))
    others = across[1:7]
    chosen = across[:1] + [others[int(k)] for k in site.rng.permutation(len(others))[: count - 1]]
    for way in chosen:
        run = way.end - way.start
        frame = Frame(middle(way), 0.0, float(np.arctan2(run[1], run[0])))
        bridge(site, frame, 2.0 * float(np.hypot(*run)), way.width, site.between(1.0, 2.5), street=True)
    return chosen


def river_town(site: Site) -> None:
    """A town on both banks of a river, joined by bridges, boats below them."""
    reach, width = site.canvas.reach + 30.0, site.between(22.0, 75.0)
    countryside(site)
    frame = Frame(site.between(-15, 15), site.between(-15, 15), site.between(-0.4, 0.4))
    cell = (site.between(55.0, 100.0), site.between(45.0, 80.0))
    streets, blocks = street_grid(site, frame, 1.3 * reach, cell, through=True)
    line = _river(site, width, bank(site, 0.55))
    crossings = _crossings(site, streets, int(site.rng.integers(1, 4)))
    if site.chance(0.35):
        landing = Frame(site.between(-0.5, 0.5) * site.span, -0.5 * width - 2.0, 0.5 * np.pi)
        jetty = site.between(8.0, 0.35 * width + 6.0)
        pier(site, landing, jetty, site.between(2.0, 5.0))
        moorings(site, landing, jetty, 3.0, (6.0, 12.0), 0.8)
    sail_along(site, line, width, int(site.rng.integers(1, 7)), (5.0, 40.0))
    fill(site, blocks, ((houses, 4), (apartments, 3), (commerce, 1), (park, 2.0), (lot, 0.5)))
    drive(site, streets, 45.0)
    drive(site, crossings, 18.0)
    woods(site, 1, (10.0, 40.0))


def industry(site: Site) -> None:
    """Works, tanks and halls along a canal with a quay and freighters."""
    reach = site.canvas.reach + 30.0
    countryside(site)
    frame = Frame(0.0, 0.0, site.between(-0.1, 0.1))
    streets, blocks = street_grid(site, frame, 1.3 * reach, (site.between(80.0, 130.0), site.between(60.0, 95.0)))
    crossings: list[Street] = []
    wet = site.chance(0.7)
    if not wet and site.chance(0.6):
        highway(site)
    if wet:
        width = site.between(30.0, 80.0)
        quay = Shore(site.between(5.0, 14.0), site.palette.paving * site.between(0.85, 1.05), Label.HARBOR)
        line = _river(site, width, quay)
        if site.chance(0.5):
            crossings = _crossings(site, streets, 1)
        for side in (-1, 1):
            x = -site.canvas.reach
            while x < site.canvas.reach:
                length = site.between(35.0, 85.0)
                if site.chance(0.6):
                    heading = np.pi if site.chance(0.5) else 0.0
                    ship(site, Frame(x, side * (0.5 * width - 0.14 * length), heading), length, 0.15 * length)
                x += length + site.between(4.0, 40.0)
        sail_along(site, line, width, int(site.rng.integers(0, 3)), (8.0, 40.0))
    fill(site, blocks, ((works, 5), (commerce, 1.5), (lot, 0.8), (apartments, 0.5), (park, 0.6)))
    drive(site, streets, 50.0)
    drive(site, crossings, 22.0)
