"""Roads with markings, and the bridges they make where they cross water."""

from itertools import pairwise
from math import pi

import cv2
import numpy as np

from ovrs.data.scenes.classes import Label
from ovrs.data.scenes.palette import WHITE, pick
from ovrs.data.scenes.shapes import Frame, ellipse, meander, zigzag
from ovrs.data.scenes.site import Site
from ovrs.data.scenes.vehicles import traffic

_IRON = np.array([[92, 84, 78], [124, 82, 66], [110, 116, 122], [76, 92, 84]], np.float32)


def road(site: Site, line: np.ndarray, width: float, walk: float = 0.0, marked: bool = True) -> None:
    """A road along ``[n, 2]`` points, ``width`` metres of asphalt with pavements of ``walk`` metres on both sides."""
    canvas = site.canvas
    if not canvas.sees(line, width):
        return
    asphalt = site.palette.asphalt * site.between(0.92, 1.08)
    if walk > 0.0:
        canvas.line(line, width + 2 * walk, site.palette.paving, Label.PAVEMENT)
    canvas.line(line, width, asphalt, Label.ROAD)
    if width > 5.0 and site.chance(0.5):
        canvas.line(line, 0.62 * width, asphalt * 1.05)
    if marked:
        _markings(site, line, width)


def _markings(site: Site, line: np.ndarray, width: float) -> None:
    canvas = site.canvas
    paint = WHITE * site.between(0.75, 1.0)
    for start, end in pairwise(line):
        run = end - start
        length = float(np.hypot(*run))
        if length < 0.5 or not canvas.sees(np.array([start, end]), width):
            continue
        along = run / length
        normal = np.array([-along[1], along[0]])
        for side in (-1, 1) if width > 8.0 else ():
            shift = normal * side * (0.5 * width - 0.4)
            canvas.line(np.array([start + shift, end + shift]), 0.16, paint)
        if length < 30 and len(line) > 2:
            canvas.line(np.array([start, start + 0.5 * run]), 0.16, paint)
            continue
        for dash in np.arange(0.0, length - 3.0, 9.0):
            canvas.line(np.array([start + along * dash, start + along * (dash + 3.5)]), 0.18, paint)


def street(site: Site, line: np.ndarray, width: float, walk: float) -> None:
    """The asphalt of a street in a grid, unmarked: its crossings stay clean."""
    road(site, line, width, walk, marked=False)


def crosswalk(site: Site, frame: Frame, width: float) -> None:
    """Zebra stripes across a road ``width`` metres wide that runs along the local x."""
    if not site.canvas.sees(frame.origin[None], width):
        return
    for y in np.arange(-0.5 * width + 0.5, 0.5 * width - 0.3, 1.1):
        site.canvas.fill(frame.rectangle(3.0, 0.5, 0.0, float(y)), WHITE * 0.92)


def highway(site: Site) -> None:
    """A wide curved road between green verges, over all that lies flat, with its traffic."""
    canvas, palette = site.canvas, site.palette
    reach = 1.3 * canvas.reach + 20.0
    start = Frame(0.0, site.between(-0.4, 0.4) * site.span, site.between(0, pi))
    line = start.place(meander(site.rng, reach, site.between(0.05, 0.3) * site.span, 61))
    width = site.between(10.0, 26.0)
    verge = site.between(4.0, 18.0)
    canvas.line(line, width + verge, 0.5 * (palette.grass + palette.dry_grass), Label.GRASS)
    road(site, line, width, 0.0)
    if width > 17.0:
        green = site.chance(0.5)
        canvas.line(line, 1.6, palette.grass if green else palette.paving, Label.GRASS if green else Label.PAVEMENT)
    for first, last in pairwise(line[::4]):
        traffic(site, first, last, 0.25 * width, 28.0)


def roundabout(site: Site, spot: np.ndarray, radius: float, width: float) -> None:
    """A ring of road about a green island."""
    canvas, palette = site.canvas, site.palette
    canvas.disc(spot, radius + width, palette.asphalt, Label.ROAD)
    canvas.disc(spot, radius + 0.8, palette.paving, Label.PAVEMENT)
    canvas.disc(spot, radius, palette.grass * site.between(0.85, 1.05), Label.GRASS)
    canvas.line(ellipse(2 * radius + width, 2 * radius + width) + spot, 0.18, WHITE * 0.85, closed=True)


def bridge(site: Site, frame: Frame, length: float, width: float, walk: float = 1.5, street: bool = False) -> None:
    """A straight road through the frame's origin along the local x: bridge where it lies over water, road elsewhere.

    With ``street`` the road is there already, cut by the water and its shore: only its asphalt is joined again.
    """
    canvas = site.canvas
    ends = frame.place(np.array([[-0.5 * length, 0.0], [0.5 * length, 0.0]]))
    full = width + 2 * walk
    water = (canvas.labels == Label.WATER).astype(np.uint8)
    strip = canvas.mask(frame.rectangle(length, full), soft=False)
    reach = 2 * max(1, round(3.0 / canvas.gsd)) + 1
    deck = strip & (255 * cv2.dilate(water, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))))
    road(site, ends, width, 0.0 if street else walk, marked=not street)
    if not (strip & (255 * water)).any():
        return
    _deck_shadow(site, frame, length, full, water)
    before = canvas.image.copy()
    _deck(site, frame, length, width, walk)
    canvas.image = np.where(deck[..., None] > 0, canvas.image, before)
    canvas.labels[deck > 0] = Label.BRIDGE
    count, parts = cv2.connectedComponents(deck)
    numbers = [0] + [canvas.count(Label.BRIDGE) for _ in range(count - 1)]
    canvas.ids[deck > 0] = np.array(numbers, np.int32)[parts[deck > 0]]


def _deck_shadow(site: Site, frame: Frame, length: float, full: float, water: np.ndarray) -> None:
    canvas = site.canvas
    throw = canvas.shadow * site.between(4.0, 9.0)
    cover = canvas.mask(frame.rectangle(length, full) + throw)
    canvas.shade(cv2.GaussianBlur(cover, (0, 0), 0.6) * water, 0.85)


def _deck(site: Site, frame: Frame, length: float, width: float, walk: float) -> None:
    """Carriageway, walks and parapets of a bridge deck."""
    canvas = site.canvas
    concrete = pick(np.array([[190, 188, 182], [168, 166, 160], [206, 202, 194], [150, 140, 128]], np.float32), site.rng, 6)
    tone = pick(np.stack([site.palette.asphalt, site.palette.asphalt * 1.15, concrete * 0.9]), site.rng, 4)
    full = width + 2 * walk
    canvas.fill(frame.rectangle(length, full), concrete)
    canvas.fill(frame.rectangle(length, width), tone)
    for joint in np.arange(-0.5 * length, 0.5 * length, site.between(14.0, 30.0)):
        canvas.line(frame.place(np.array([[joint, -0.5 * full], [joint, 0.5 * full]])), 0.3, tone * 0.7)
    _markings(site, frame.place(np.array([[-0.5 * length, 0.0], [0.5 * length, 0.0]])), width)
    kind = site.rng.random()
    arched, truss = kind < 0.2 and full > 9, kind > 0.72
    for side in (-1, 1):
        rail = frame.place(np.array([[-0.5 * length, side * 0.5 * (full - 0.5)], [0.5 * length, side * 0.5 * (full - 0.5)]]))
        canvas.line(rail + canvas.shadow * 0.9, 0.6, tone * 0.55)
        canvas.line(rail, 0.5, np.clip(concrete * 1.2, 0, 250))
    if arched:
        for post in np.arange(-0.5 * length, 0.5 * length, 7.0):
            canvas.line(frame.place(np.array([[post, -0.5 * full], [post, 0.5 * full]])), 0.5, concrete * 0.75)
    if truss:
        iron = pick(_IRON, site.rng, 8)
        for side in (-1, 1):
            beam = zigzag(length, 0.22 * full, 5.0) + np.array([0.0, side * 0.4 * full])
            canvas.line(frame.place(beam), 0.7, iron)
        if site.chance(0.6):
            canvas.line(frame.place(zigzag(length, 0.9 * full, 7.0)), 0.6, iron * 1.1)
