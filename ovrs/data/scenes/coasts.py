"""Places by the sea: a harbour town, a naval base, open water."""

from __future__ import annotations

import cv2
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
from ovrs.data.scenes.fields import countryside
from ovrs.data.scenes.roads import bridge
from ovrs.data.scenes.shapes import Frame, meander
from ovrs.data.scenes.site import Site
from ovrs.data.scenes.vehicles import parked
from ovrs.data.scenes.vessels import moorings, pier, ship
from ovrs.data.scenes.waters import Shore, flood, ribbon


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
    wet, inlets = site.canvas.mask(sea), site.chance(0.4)
    if inlets:
        inlet = meander(site.rng, reach, 0.08 * site.span) @ np.array([[0.0, 1.0], [-1.0, 0.0]]) + (site.between(-60, 60), 0.0)
        wet = cv2.max(wet, site.canvas.mask(ribbon(inlet[len(inlet) // 2 - 3 :], site.between(16.0, 36.0))))
    flood(site, wet, edge, shelf=site.between(8.0, 40.0), surf=not quay)
    crossings: list[Street] = []
    if inlets:  # and the coast road over it
        along = [way for way in streets if way.start[1] == way.end[1] and way.start[1] > 15.0]
        for way in sorted(along, key=lambda way: float(way.start[1]))[:1]:
            bridge(site, Frame(0.0, float(way.start[1])), 2.6 * reach, way.width, 1.5, street=True)
            crossings.append(way)
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


def naval_base(site: Site) -> None:
    """Long concrete piers with grey ships alongside, a paved shore with halls behind."""
    canvas, reach = site.canvas, site.canvas.reach + 40.0
    countryside(site)
    shore_at = site.between(-0.2, 0.45) * site.span
    grid = Frame(0.0, shore_at + 80.0)
    streets, blocks = street_grid(site, grid, 1.3 * reach, (site.between(80, 140), site.between(60, 100)))
    corners = np.array(
        [[-2.0 * reach, shore_at], [2.0 * reach, shore_at], [2.0 * reach, -2 * reach], [-2.0 * reach, -2 * reach]]
    )
    quay = Shore(site.between(14.0, 40.0), site.palette.paving * site.between(0.9, 1.08), Label.HARBOR)
    flood(site, canvas.mask(corners), quay, shelf=site.between(8.0, 40.0))
    x = -canvas.reach + site.between(0.0, 60.0)
    while x < canvas.reach:
        base = Frame(x, shore_at + 6.0, -0.5 * np.pi + site.between(-0.06, 0.06))
        length, wide = site.between(120.0, 320.0), site.between(9.0, 24.0)
        pier(site, base, length, wide)
        moorings(site, base.at(16.0, 0.0), length - 16.0, wide, (60.0, 170.0), site.between(0.4, 0.95), naval=True)
        parked(site, base.at(0.4 * length, 0.0), 0.6 * length, 0.15)
        x += site.between(55.0, 120.0)
    for _ in range(int(site.rng.integers(0, 4))):
        spot = Frame(site.between(-0.6, 0.6) * site.span, shore_at - site.between(0.1, 0.7) * site.span, site.between(0, 6.3))
        ship(site, spot, site.between(8.0, 60.0), wake=site.chance(0.6))
    fill(site, blocks, ((works, 4), (commerce, 2), (apartments, 1), (lot, 1), (park, 0.5)))
    drive(site, streets, 60.0)


def open_water(site: Site) -> None:
    """Ships under way or at anchor with no land near, now and then a long bridge above them."""
    canvas = site.canvas
    whole = np.full((canvas.height, canvas.width), 255, np.uint8)
    flood(site, whole, shelf=site.between(60.0, 400.0))
    if site.chance(0.35):
        frame = Frame(0.0, site.between(-0.3, 0.3) * site.span, site.between(-0.3, 0.3))
        wide, length = site.between(9.0, 28.0), 2.6 * canvas.reach
        bridge(site, frame, length, wide, site.between(0.5, 2.0))
        drive(site, [Street.between(frame, (-0.5 * length, 0.0), (0.5 * length, 0.0), wide)], 22.0)
    naval, along = site.chance(0.3), site.between(0, 6.3)
    for _ in range(int(site.rng.integers(2, 10))):
        x, y = site.rng.uniform(-0.55, 0.55, 2) * site.span
        heading = along + site.between(-0.3, 0.3) + np.pi * site.chance(0.4)
        longest = min(220.0, max(14.0, 0.9 * site.span))
        length = float(np.exp(site.rng.uniform(np.log(5.0), np.log(longest))))
        ship(site, Frame(float(x), float(y), heading), length, wake=site.chance(0.5), naval=naval and length > 40.0)
