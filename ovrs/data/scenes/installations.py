"""Tanks, courts, pitches, tracks and pools."""

from math import pi

import numpy as np

from ovrs.data.scenes.classes import Label
from ovrs.data.scenes.palette import COURTS, GRASS, TANK_TOPS, WHITE, pick
from ovrs.data.scenes.shapes import Frame, ellipse, rectangles, stadium
from ovrs.data.scenes.site import Site


def tank(site: Site, spot: np.ndarray, radius: float) -> None:
    """A round tank: lit rim, shaded side, a fixed cone or a floating roof sunk within the wall."""
    canvas = site.canvas
    number = canvas.count(Label.STORAGE_TANK)
    colour = pick(TANK_TOPS, site.rng, 6)
    circle = ellipse(2 * radius, 2 * radius) + spot
    floating = site.chance(0.4) and radius > 5.0
    sun = canvas.sunward
    side = np.array([-sun[1], sun[0]])
    ladder = np.array([spot + side * 0.98 * radius, spot + side * 0.25 * radius])

    def draw() -> None:
        canvas.disc(spot, radius, colour * 0.62, Label.STORAGE_TANK, number)
        canvas.disc(spot + sun * 0.05 * radius, radius * 0.965, colour)
        if floating:
            canvas.disc(spot, radius * 0.88, colour * 0.45)
            canvas.disc(spot - sun * 0.1 * radius, radius * 0.79, colour * 0.82)
        else:
            canvas.disc(spot + sun * 0.36 * radius, radius * 0.5, np.clip(colour * 1.07 + 3, 0, 255))
            canvas.disc(spot, radius * 0.1, colour * 0.7)
        canvas.line(ladder, 0.5, colour * 0.5)

    canvas.claim(circle)
    canvas.stand([circle], site.between(0.5, 0.9) * min(radius, 16.0), draw, Label.STORAGE_TANK)


def tank_farm(site: Site, frame: Frame, length: float, width: float) -> None:
    """Rows of like tanks within an earth bund, pipes between."""
    canvas, texture = site.canvas, site.canvas.texture
    bund = frame.rectangle(length, width)
    floor = pick(np.stack([site.palette.soil, site.palette.paving, site.palette.soil * 1.08]), site.rng, 5)
    canvas.surface(bund, lambda window: texture.blotches(window, floor, floor * 0.86, 0.07), Label.BARE_SOIL)
    canvas.keep_open(bund)
    canvas.line(np.concatenate([bund, bund[:1]]), 1.6, floor * 1.18)
    radius = min(site.between(5.0, 22.0), 0.42 * width, 0.42 * length)
    gap = radius * site.between(2.5, 3.1)
    columns, rows = max(1, int((length - 2) / gap)), max(1, int((width - 2) / gap))
    for j in range(rows):
        y = (j - 0.5 * (rows - 1)) * gap
        pipe = frame.place(np.array([[-0.46 * length, y + 0.42 * gap], [0.46 * length, y + 0.42 * gap]]))
        canvas.line(pipe, 0.8, floor * 0.62)
        for i in range(columns):
            if site.rng.random() < 0.9:
                spot = frame.place(np.array([(i - 0.5 * (columns - 1)) * gap, y]))
                tank(site, spot, radius * (1.0 if site.chance(0.75) else 0.75))


def tennis_courts(site: Site, frame: Frame, count: int) -> None:
    """Tennis courts side by side: surround, playing surface and lines."""
    canvas = site.canvas
    surround, play = pick(COURTS, site.rng, 8), pick(COURTS, site.rng, 8)
    for index in range(count):
        court = frame.at(0.0, (index - 0.5 * (count - 1)) * 17.5)
        canvas.fill(court.rectangle(35.0, 17.5), surround, Label.TENNIS_COURT, canvas.count(Label.TENNIS_COURT))
        canvas.fill(court.rectangle(23.8, 11.0), play)
        marks = [court.rectangle(23.8, 11.0), court.rectangle(23.8, 8.2), court.rectangle(12.8, 8.2)]
        for mark in marks:
            canvas.line(mark, 0.16, WHITE, closed=True)
        canvas.line(court.place(np.array([[-6.4, 0.0], [6.4, 0.0]])), 0.16, WHITE)
        canvas.line(court.place(np.array([[0.0, -5.9], [0.0, 5.9]])), 0.35, surround * 0.4)
    canvas.claim(frame.rectangle(35.0, 17.5 * count))


def pitch(
    site: Site, frame: Frame, length: float = 105.0, width: float = 68.0, label_margin: float = 4.0, number: int = 0
) -> None:
    """A football pitch: mown stripes and white markings; ``number`` where it is part of a larger ground."""
    canvas = site.canvas
    number = number or canvas.count(Label.SPORTS_FIELD)
    green = pick(np.concatenate([GRASS[:3], GRASS[5:6], np.array([[72, 134, 70]], np.float32)]), site.rng, 7)
    texture = canvas.texture
    outer = frame.rectangle(length + 2 * label_margin, width + 2 * label_margin)
    canvas.surface(outer, lambda window: texture.blotches(window, green, green * 0.92, 0.04), Label.SPORTS_FIELD, number)
    if site.chance(0.7):
        stripes, contrast = int(site.rng.integers(8, 19)), site.between(1.04, 1.14)
        step = length / stripes
        boxes = np.array([[(i + 0.5) * step - 0.5 * length, 0.0, step, width] for i in range(0, stripes, 2)])
        for strip in rectangles(frame, boxes):
            canvas.fill(strip, np.clip(green * contrast, 0, 255))
    scale = length / 105.0
    ends = [(16.5, 40.3), (5.5, 18.3)]
    canvas.line(frame.rectangle(length, width), 0.2, WHITE, closed=True)
    canvas.line(frame.place(np.array([[0.0, -0.5 * width], [0.0, 0.5 * width]])), 0.2, WHITE)
    canvas.line(frame.place(ellipse(18.3 * scale, 18.3 * scale)), 0.2, WHITE, closed=True)
    for side in (-1, 1):
        for deep, broad in ends:
            x = side * (0.5 * length - 0.5 * deep * scale)
            canvas.line(frame.rectangle(deep * scale, broad * scale, x), 0.2, WHITE, closed=True)
    canvas.claim(outer)


def running_track(site: Site, frame: Frame) -> None:
    """A 400 m track about a pitch."""
    canvas = site.canvas
    red = pick(np.array([[168, 84, 66], [150, 72, 60], [184, 104, 84], [72, 100, 140]], np.float32), site.rng, 8)
    outer = frame.place(stadium(177.0, 92.5, 64))
    number = canvas.count(Label.SPORTS_FIELD)
    canvas.fill(outer, red, Label.SPORTS_FIELD, number)
    for lane in range(1, 8):
        canvas.line(frame.place(stadium(177.0 - 2.44 * lane, 92.5 - 2.44 * lane, 64)), 0.12, WHITE, closed=True)
    green = pick(GRASS[:3], site.rng, 7)
    canvas.fill(frame.place(stadium(157.5, 73.0, 64)), green)
    pitch(site, frame, 98.0, 62.0, 0.0, number)
    canvas.claim(outer)


def diamond(site: Site, frame: Frame) -> None:
    """A baseball field: grass fan, earth infield."""
    canvas = site.canvas
    green = pick(GRASS[:3], site.rng, 7)
    t = np.linspace(-pi / 4, pi / 4, 15)
    fan = np.column_stack([np.cos(t), np.sin(t)])
    earth = pick(np.stack([site.palette.soil, np.array([176, 126, 88], np.float32)]), site.rng, 6)
    home = frame.at(-40.0, 0.0)
    field = np.concatenate([[[-3.0, 0.0]], fan * 92.0])
    canvas.fill(home.place(field), green, Label.SPORTS_FIELD, canvas.count(Label.SPORTS_FIELD))
    canvas.fill(home.place(np.concatenate([[[-3.0, 0.0]], fan * 42.0])), earth)
    canvas.fill(home.at(19.4, 0.0, pi / 4).rectangle(25.0, 25.0), green)
    canvas.claim(home.place(field))


def pool(site: Site, frame: Frame, length: float, width: float) -> None:
    """A swimming pool with its pale surround."""
    canvas = site.canvas
    rim = pick(site.palette.paving[None], site.rng, 8)
    blue = pick(np.array([[86, 186, 206], [70, 160, 200], [112, 204, 210], [60, 140, 170]], np.float32), site.rng, 8)
    basin = frame.place(ellipse(length, width, 20)) if site.chance(0.35) else frame.rectangle(length, width)
    if not canvas.free(frame.rectangle(length + 3, width + 3)[None], (Label.GRASS, Label.PAVEMENT, Label.BARE_SOIL))[0]:
        return
    canvas.fill(frame.rectangle(length + 3.0, width + 3.0), rim, Label.PAVEMENT)
    canvas.fill(basin, blue * 0.8, Label.SWIMMING_POOL, canvas.count(Label.SWIMMING_POOL))
    canvas.fill(frame.rectangle(length * 0.7, width * 0.6), np.clip(blue * 1.08, 0, 255))
    canvas.claim(frame.rectangle(length + 3.0, width + 3.0))
