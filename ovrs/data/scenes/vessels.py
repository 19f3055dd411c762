"""Ships from dinghy to freighter, their wakes, and piers to moor at."""

import cv2
import numpy as np

from ovrs.data.scenes.classes import Label
from ovrs.data.scenes.palette import CONTAINERS, WHITE, pick
from ovrs.data.scenes.shapes import Frame
from ovrs.data.scenes.site import Site

_HULL = np.array([[0.5, 0.0], [0.42, 0.24], [0.3, 0.42], [0.14, 0.5], [-0.38, 0.5], [-0.5, 0.4]])
_DECKS = np.array([[150, 72, 58], [96, 104, 104], [120, 92, 76], [84, 110, 96], [168, 160, 148], [70, 84, 110]], np.float32)
_GREYS = np.array([[128, 134, 140], [150, 154, 156], [108, 116, 124], [164, 166, 164]], np.float32)


def ship(site: Site, frame: Frame, length: float, beam: float = 0.0, wake: bool = False, naval: bool = False) -> bool:
    """A ship ``length`` metres long, bow along the local x, where the water is free; says whether it was put there."""
    canvas = site.canvas
    if naval:
        beam = length * site.between(0.1, 0.14)
    beam = beam or max(1.7, length * site.between(0.16, 0.24) if length > 30 else length * site.between(0.26, 0.36))
    hull = frame.place(np.concatenate([_HULL, _HULL[:0:-1] * (1, -1)]) * (length, beam))
    if not canvas.sees(hull) or not canvas.free(frame.rectangle(length, beam)[None], (Label.WATER,))[0]:
        return False
    if wake:
        _wake(site, frame, length, beam)
    number = canvas.count(Label.SHIP)
    if naval:
        grey = pick(_GREYS, site.rng, 8)
        parts, rim = _warship(site, frame, length, beam, grey), grey * 0.8
    elif length > 30:
        parts, rim = _freighter(site, frame, length, beam), pick(_DECKS, site.rng, 8) * 0.6
    else:
        parts, rim = _boat(site, frame, length, beam), np.clip(WHITE + site.rng.normal(0, 6, 3), 0, 255)

    def draw() -> None:
        canvas.fill(hull, rim, Label.SHIP, number)
        for shape, tone in parts:
            canvas.fill(shape, tone)

    canvas.claim(hull)
    canvas.stand([hull], 2.0 + 0.05 * length, draw, Label.SHIP, tier=0)
    return True


def _inner(frame: Frame, length: float, beam: float, share: float) -> np.ndarray:
    shorter = length * (1 - (1 - share) * beam / length)
    return frame.place(np.concatenate([_HULL, _HULL[:0:-1] * (1, -1)]) * (shorter, beam * share))


def _boat(site: Site, frame: Frame, length: float, beam: float) -> list[tuple[np.ndarray, np.ndarray]]:
    """The deck of a motor boat or a yacht."""
    deck = pick(np.array([[226, 222, 212], [196, 170, 130], [210, 214, 218], [120, 150, 180]], np.float32), site.rng, 8)
    glass = np.array([52.0, 62, 74])
    parts = [(_inner(frame, length, beam, 0.8), deck)]
    if site.chance(0.35):
        parts.append((frame.rectangle(0.7 * length, 0.16, -0.05 * length), WHITE * 0.75))
        parts.append((frame.rectangle(0.3 * length, 0.5 * beam, -0.15 * length), pick(CONTAINERS, site.rng, 9)))
    else:
        parts.append((frame.rectangle(0.34 * length, 0.62 * beam, 0.02 * length), glass))
        parts.append((frame.rectangle(0.24 * length, 0.54 * beam, -0.01 * length), WHITE))
        parts.append((frame.rectangle(0.2 * length, 0.6 * beam, -0.36 * length), deck * 0.62))
    return parts


def _freighter(site: Site, frame: Frame, length: float, beam: float) -> list[tuple[np.ndarray, np.ndarray]]:
    """The deck of a barge, tanker or container ship, its bridge house near the stern."""
    rng = site.rng
    deck = pick(_DECKS, rng, 8)
    parts = [(_inner(frame, length, beam, 0.88), deck)]
    kind = int(rng.integers(3))
    bays = np.arange(-0.26 * length, 0.33 * length, 6.6 if kind == 0 else max(7.0, 0.12 * length))
    if kind == 0:
        for x in bays:
            for y in np.arange(-0.34 * beam, 0.35 * beam, 2.5):
                if rng.random() < 0.88:
                    parts.append((frame.rectangle(6.1, 2.4, float(x), float(y)), pick(CONTAINERS, rng, 9)))
    elif kind == 1:
        hatch = np.clip(deck * site.between(0.6, 1.35), 0, 250)
        parts += [(frame.rectangle(0.105 * length, 0.66 * beam, float(x)), hatch) for x in bays]
    else:
        parts.append((frame.rectangle(0.72 * length, 0.05 * beam + 0.3, 0.05 * length), np.clip(deck * 1.45, 0, 250)))
        for x in bays:
            parts.append((frame.rectangle(0.5, 0.7 * beam, float(x)), np.clip(deck * 1.3, 0, 250)))
    parts.append((frame.rectangle(0.1 * length, 0.8 * beam, -0.39 * length), WHITE))
    parts.append((frame.rectangle(0.03 * length, 0.9 * beam, -0.345 * length), WHITE * 0.62))
    parts.append((frame.rectangle(0.03 * length, 0.24 * beam, -0.4 * length), pick(CONTAINERS, rng, 9)))
    return parts


def _warship(site: Site, frame: Frame, length: float, beam: float, grey: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """A grey deck with stepped superstructures, masts, a gun forward and a landing deck aft."""
    rng = site.rng
    dark = grey * 0.62
    parts = [(_inner(frame, length, beam, 0.92), grey)]
    parts.append((frame.rectangle(0.14 * length, 0.8 * beam, -0.4 * length), grey * 0.78))
    parts.append((frame.rectangle(0.05 * length, 0.2 * beam, 0.3 * length), dark))
    for x in np.arange(-0.28, 0.2, 0.07) + rng.uniform(-0.02, 0.02):
        if rng.random() < 0.8:
            tone = np.clip(grey * site.between(0.8, 1.35), 0, 250)
            wide = site.between(0.4, 0.8) * beam
            parts.append((frame.rectangle(site.between(0.03, 0.075) * length, wide, float(x) * length), tone))
    for x in rng.uniform(-0.25, 0.2, 4):
        spot = frame.rectangle(0.025 * length, 0.25 * beam, float(x) * length, site.between(-0.12, 0.12) * beam)
        parts.append((spot, dark if site.chance(0.6) else WHITE))
    return parts


def _wake(site: Site, frame: Frame, length: float, beam: float) -> None:
    """Foam astern and the two arms from the bow, on water only."""
    canvas = site.canvas
    trail = length * site.between(2.0, 4.5)
    foam: np.ndarray = np.zeros((canvas.height, canvas.width), np.uint8)
    for share, strength in ((1.0, 40), (0.55, 75), (0.22, 150)):
        stern, end = -0.4 * length, -0.5 * length - trail * share
        tail = np.array([[stern, -0.3 * beam], [stern, 0.3 * beam], [end, 0.55 * beam], [end, -0.55 * beam]])
        foam = cv2.max(foam, cv2.convertScaleAbs(canvas.mask(frame.place(tail)), alpha=strength / 255))
    for side in (-1, 1):
        arm = np.array([[0.42 * length, side * 0.2 * beam], [-0.3 * length - 0.5 * trail, side * (0.7 * beam + 0.16 * trail)]])
        foam = cv2.max(foam, cv2.convertScaleAbs(canvas.mask(frame.place(arm), 0.25 * beam), alpha=0.25))
    foam = cv2.GaussianBlur(foam, (0, 0), max(0.8, 0.12 * beam / canvas.gsd))
    churn = np.clip(foam * (0.85 + 0.35 * canvas.texture.small), 0, 255).astype(np.uint8)
    churn[canvas.labels != Label.WATER] = 0
    canvas.overlay(churn, np.array([226.0, 234, 234]))


def pier(site: Site, frame: Frame, length: float, width: float) -> None:
    """A pier from the frame's origin along the local x: planks or concrete, over water or land."""
    canvas = site.canvas
    timber = width < 6.0 and site.chance(0.6)
    tone = pick(np.array([[150, 130, 106], [172, 156, 132]], np.float32), site.rng, 8) if timber else pick(
        np.array([[184, 180, 172], [156, 154, 150]], np.float32), site.rng, 8
    )  # fmt: skip
    outline = frame.rectangle(length, width, 0.5 * length)
    if not canvas.sees(outline, 6.0):
        return
    throw = canvas.shadow * 1.8
    cover = canvas.mask(outline + throw)
    canvas.shade(cover, 0.75)
    canvas.fill(outline, tone, Label.HARBOR, canvas.count(Label.HARBOR))
    for side in (-1, 1):
        canvas.fill(frame.rectangle(length, 0.35, 0.5 * length, side * (0.5 * width - 0.2)), tone * 0.7)
    step = max(2.5, 3.0 * canvas.gsd)
    for x in np.arange(step, length, step * 2):
        canvas.line(frame.place(np.array([[x, -0.5 * width], [x, 0.5 * width]])), 0.25, tone * 0.82)


def moorings(
    site: Site,
    frame: Frame,
    length: float,
    width: float,
    size: tuple[float, float],
    share: float = 0.75,
    naval: bool = False,
) -> None:
    """Ships along both sides of a pier: small ones bow to it, large ones alongside."""
    small = size[1] < 16.0
    for side in (-1, 1):
        x = site.between(2.0, 6.0)
        while x < length - 2.0:
            boat = site.between(*size)
            beam = max(2.0, boat * 0.3) if small else boat * site.between(0.15, 0.19)
            if site.rng.random() < share:
                turned = site.chance(0.5)
                if small:
                    quarter = 0.5 * np.pi if turned else -0.5 * np.pi
                    berth = frame.at(x + 0.5 * beam, side * (0.5 * width + 0.5 * boat + 0.6), quarter)
                else:
                    alongside = side * (0.5 * width + 0.5 * beam + 1.0)
                    berth = frame.at(x + 0.5 * boat, alongside, np.pi if turned else 0.0)
                ship(site, berth, boat, beam, naval=naval)
            x += (beam + 1.1) if small else boat + site.between(4.0, 12.0)
