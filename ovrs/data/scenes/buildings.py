"""Buildings: gabled, hipped and flat roofs, each face lit by the slope it turns to the sun."""

from itertools import pairwise

import numpy as np

from ovrs.data.scenes.classes import Label
from ovrs.data.scenes.palette import FLAT_ROOFS, pick
from ovrs.data.scenes.shapes import Frame
from ovrs.data.scenes.site import Site


def _lit(site: Site, colour: np.ndarray, normal: np.ndarray, steep: float) -> np.ndarray:
    """A roof face's colour: brighter towards the sun, darker away from it."""
    lean = float(normal @ site.canvas.sunward)
    return np.clip(colour * (1.0 + steep * lean), 0, 255)


def house(site: Site, frame: Frame, length: float, width: float) -> None:
    """A pitched roof about ``frame``, its ridge along the local x, one in four with a gabled wing across it."""
    number = site.canvas.count(Label.BUILDING)
    colour = site.palette.roofs[int(site.rng.integers(len(site.palette.roofs)))]
    colour = np.clip(colour + site.rng.normal(0, 9), 10, 245)
    height = site.between(4.5, 8.0)
    wing = site.chance(0.25) and length > 9.0
    if wing:
        deep = site.between(0.35, 0.6) * length
        arm = frame.at(site.between(-0.2, 0.2) * length, (0.5 if site.chance(0.5) else -0.5) * 0.5 * width, 0.5 * np.pi)
        _gable(site, arm, 1.25 * width, min(deep, 0.8 * width), colour, height, number)
    _gable(site, frame, length, width, colour, height, number)


def shack(site: Site, frame: Frame, length: float, width: float) -> None:
    """A low roof of corrugated sheets, each weathered in its own way."""
    canvas, rng = site.canvas, site.rng
    number = canvas.count(Label.BUILDING)
    outline = frame.rectangle(length, width)
    sheets = int(rng.integers(1, 4))
    edges = np.linspace(-0.5, 0.5, sheets + 1) * length
    base = pick(site.palette.sheets, rng, 10)
    parts = [
        (frame.rectangle(hi - lo, width, 0.5 * (lo + hi)), base if site.chance(0.6) else pick(site.palette.sheets, rng, 10))
        for lo, hi in pairwise(edges)
    ]

    def draw() -> None:
        canvas.fill(outline, base, Label.BUILDING, number)
        for shape, tone in parts:
            canvas.fill(shape, tone)
        _ribs(site, frame, length, width, base)

    canvas.claim(outline)
    canvas.stand([outline], site.between(2.4, 3.6), draw, Label.BUILDING)


def _ribs(site: Site, frame: Frame, length: float, width: float, colour: np.ndarray) -> None:
    """Ribs or rows of tiles across the ridge, where a pixel is fine enough to show them."""
    canvas = site.canvas
    if canvas.gsd > 0.28:
        return
    for x in np.arange(-0.5 * length + 0.4, 0.5 * length, max(0.8, 3.2 * canvas.gsd)):
        canvas.line(frame.place(np.array([[x, -0.5 * width], [x, 0.5 * width]])), 0.35 * canvas.gsd, colour * 0.7)


def _gable(site: Site, frame: Frame, length: float, width: float, colour: np.ndarray, height: float, number: int) -> None:
    """One gabled or hipped roof; announced, drawn when the shadows have fallen."""
    rng, canvas = site.rng, site.canvas
    hip = float(rng.choice((0.0, 0.0, 0.25, 0.5))) * width
    steep = site.between(0.12, 0.34)
    outline = frame.rectangle(length, width)
    a = 0.5 * length
    ridge = frame.place(np.array([[-a + hip, 0.0], [a - hip, 0.0]]))
    across = frame.place(np.array([0.0, 1.0])) - frame.origin
    along = frame.place(np.array([1.0, 0.0])) - frame.origin
    faces = [
        (np.array([outline[0], outline[1], ridge[1], ridge[0]]), -across),
        (np.array([outline[2], outline[3], ridge[0], ridge[1]]), across),
    ]
    if hip > 0.0:
        faces += [(np.array([outline[3], outline[0], ridge[0]]), -along), (np.array([outline[1], outline[2], ridge[1]]), along)]
    shades = [_lit(site, colour, normal, steep) for _, normal in faces]
    chimney = frame.rectangle(0.9, 0.9, site.between(-0.3, 0.3) * length, 0.18 * width) if site.chance(0.35) else None
    ribbed = site.chance(0.5)

    def draw() -> None:
        canvas.fill(outline, shades[0], Label.BUILDING, number)
        for (face, _), shade in zip(faces, shades, strict=True):
            canvas.fill(face, shade)
        if ribbed:
            _ribs(site, frame, length, width, colour)
        canvas.line(ridge, 0.35, np.clip(colour * 1.2, 0, 255))
        if chimney is not None:
            canvas.fill(chimney, colour * 0.6)

    canvas.claim(outline)
    canvas.stand([outline], height, draw, Label.BUILDING)


def _skylights(site: Site, frame: Frame, length: float, width: float) -> list[tuple[np.ndarray, np.ndarray]]:
    """Plant, hatches, skylight rows or panels on a flat roof: polygons with their colours."""
    rng = site.rng
    kind = int(rng.integers(4))
    if kind == 0 and length > 25:
        tone = pick(FLAT_ROOFS[:6], rng, 8)
        spacing = site.between(6, 11)
        return [(frame.rectangle(2.2, 0.72 * width, x), tone) for x in np.arange(-0.42 * length, 0.42 * length, spacing)]
    if kind == 1 and length > 14:
        tone = np.array([34, 46, 78]) + rng.normal(0, 6, 3)
        rows = np.arange(-0.32 * width, 0.33 * width, 3.0)
        return [(frame.rectangle(0.6 * length, 1.7, 0.0, y), tone) for y in rows]
    count = int(rng.integers(1, 3 + int(length * width / 160)))
    spots = rng.uniform(-0.36, 0.36, (min(count, 9), 2)) * (length, width)
    tones = (np.array([90.0, 92, 96]), np.array([214.0, 214, 210]), np.array([150.0, 150, 150]))
    sized = []
    for x, y in spots:
        length, width = rng.uniform(1.2, 4.0, 2)
        sized.append((frame.rectangle(length, width, x, y), tones[int(rng.integers(3))]))
    return sized


def block(site: Site, frame: Frame, length: float, width: float, height: float, wing: float = 0.0) -> None:
    """A flat roof with a parapet; with ``wing`` (metres deep) an L whose second arm leaves the first end along y."""
    canvas = site.canvas
    number = canvas.count(Label.BUILDING)
    colour = pick(site.palette.flat_roofs, site.rng, 9)
    arms = [(frame, length, width)]
    if wing > 0.0:
        arms.append((frame.at(-0.5 * length + 0.5 * width, 0.5 * (width + wing)), width, wing))
    outlines = [arm.rectangle(a, b) for arm, a, b in arms]
    decks = [arm.rectangle(a - 1.2, b - 1.2) for arm, a, b in arms]
    rims = np.clip(colour * site.between(0.75, 1.25), 0, 250)
    shaded = colour * 0.8
    extras = _skylights(site, frame, length, width)
    drop = -canvas.sunward * 0.7

    def draw() -> None:
        for outline in outlines:
            canvas.fill(outline, rims, Label.BUILDING, number)
        for deck in decks:
            canvas.fill(deck, shaded)
            canvas.fill(deck + drop * 0.8, colour)
        for shape, tone in extras:
            canvas.fill(shape + drop, colour * 0.55)
            canvas.fill(shape, tone)

    for outline in outlines:
        canvas.claim(outline)
    canvas.stand(outlines, height, draw, Label.BUILDING)


def hall(site: Site, frame: Frame, length: float, width: float) -> None:
    """A large shed: a low pitched or barrel roof of ribbed metal."""
    canvas, rng = site.canvas, site.rng
    number = canvas.count(Label.BUILDING)
    colour = pick(site.palette.flat_roofs, rng, 9)
    outline = frame.rectangle(length, width)
    across = frame.place(np.array([0.0, 1.0])) - frame.origin
    strips = 2 if site.chance(0.6) else 6
    tilt = np.linspace(-1.0, 1.0, strips) * site.between(0.06, 0.16)
    edges = np.linspace(-0.5, 0.5, strips + 1) * width
    parts = [
        (frame.rectangle(length, hi - lo, 0.0, 0.5 * (lo + hi)), _lit(site, colour, across, float(t)))
        for lo, hi, t in zip(edges[:-1], edges[1:], tilt, strict=True)
    ]
    ribs = np.arange(-0.5 * length + 4, 0.5 * length - 2, max(5.0, 5 * canvas.gsd))
    lights = [frame.rectangle(1.2, 0.8 * width, x) for x in ribs] if site.chance(0.4) else []

    def draw() -> None:
        canvas.fill(outline, colour, Label.BUILDING, number)
        for shape, tone in parts:
            canvas.fill(shape, tone)
        for shape in lights:
            canvas.fill(shape, np.clip(colour * 0.9 + 24, 0, 255))

    canvas.claim(outline)
    canvas.stand([outline], site.between(6.0, 11.0), draw, Label.BUILDING)
