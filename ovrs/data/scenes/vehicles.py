"""Cars, lorries and planes."""

import numpy as np

from ovrs.data.scenes.classes import Label
from ovrs.data.scenes.palette import CARS, CONTAINERS, WHITE, pick
from ovrs.data.scenes.shapes import Frame
from ovrs.data.scenes.site import Site

DRIVEN = (Label.ROAD, Label.PAVEMENT, Label.BRIDGE, Label.HARBOR)
"""Labels on which a vehicle may stand."""


def vehicle(site: Site, frame: Frame, lorry: bool = False) -> None:
    """A car, or a lorry, heading along the local x, if its place is paved and free."""
    canvas, rng = site.canvas, site.rng
    length, width = (site.between(8.0, 15.0), 2.6) if lorry else (site.between(3.9, 5.0), site.between(1.75, 2.0))
    outline = frame.rectangle(length, width)
    if not canvas.sees(outline) or not canvas.free(outline[None], DRIVEN)[0]:
        return
    colour = _visible(site, pick(CARS, rng, 7))
    number = canvas.count(Label.VEHICLE)
    if lorry:
        box, cab = frame.rectangle(length - 2.6, width, -1.3), frame.rectangle(2.2, width - 0.2, 0.5 * length - 1.1)
        cargo = pick(CONTAINERS, rng, 8) if site.chance(0.5) else pick(CARS[:4], rng, 7)
        parts = [(outline, cargo * 0.45), (box, cargo), (cab, colour)]
    else:
        glass, roof = colour * 0.35 + (6, 8, 12), np.clip(colour * 1.08, 0, 255)
        parts = [(outline, colour)]
        if canvas.gsd < 0.8:
            parts += [(frame.rectangle(0.52 * length, 0.84 * width, -0.06 * length), glass)]
            parts += [(frame.rectangle(0.3 * length, 0.78 * width, -0.08 * length), roof)]

    def draw() -> None:
        canvas.fill(outline, colour, Label.VEHICLE, number)
        for shape, tone in parts:
            canvas.fill(shape, tone)

    canvas.claim(outline)
    canvas.stand([outline], 3.2 if lorry else 1.5, draw, Label.VEHICLE, tier=0)


def _visible(site: Site, colour: np.ndarray) -> np.ndarray:
    """A paint that stands out from the asphalt where a car is only a few pixels: brighter or darker by a quarter at least."""
    ground = float(site.palette.asphalt.mean())
    if site.canvas.gsd < 0.5 or abs(float(colour.mean()) - ground) > 50.0:
        return colour
    return np.clip(colour + (60.0 if ground < 130.0 or site.chance(0.5) else -60.0), 8, 250).astype(np.float32)


def traffic(site: Site, start: np.ndarray, end: np.ndarray, lane: float, spacing: float) -> None:
    """Vehicles along a straight road, both ways, ``lane`` metres from its middle, about ``spacing`` metres apart."""
    run = end - start
    length = float(np.hypot(*run))
    angle = float(np.arctan2(run[1], run[0]))
    if length < 1.0:
        return
    for side in (-1, 1):
        along = float(site.rng.exponential(spacing))
        while along < length:
            x, y = start + run * along / length
            frame = Frame(float(x), float(y), angle).at(0.0, side * lane, 0.0 if side < 0 else np.pi)
            if site.canvas.sees(frame.origin[None], 6.0):
                vehicle(site, frame, site.chance(0.12))
            along += 6.0 + float(site.rng.exponential(spacing))


def parked(site: Site, frame: Frame, length: float, share: float, lorries: bool = False) -> None:
    """Cars or lorries side by side along the local x, each across it; ``share`` of the places is taken."""
    for x in np.arange(-0.5 * length + 1.5, 0.5 * length - 1.4, 3.7 if lorries else 2.7):
        if site.rng.random() < share:
            turn = 0.5 * np.pi + (np.pi if site.chance(0.5) else 0.0)
            vehicle(site, frame.at(float(x), site.between(-0.25, 0.25), turn), lorries)


_FUSELAGE = np.array(
    [[0.5, 0], [0.485, 0.022], [0.44, 0.043], [0.38, 0.05], [-0.22, 0.05], [-0.38, 0.03], [-0.5, 0.008]]
)  # fmt: skip
_WING = np.array([[0.13, 0.04], [-0.1, 0.46], [-0.16, 0.46], [-0.06, 0.04]])
_STRAIGHT_WING = np.array([[0.17, 0.04], [0.14, 0.58], [0.02, 0.58], [0.0, 0.04]])
_DELTA = np.array([[0.12, 0.04], [-0.24, 0.31], [-0.34, 0.31], [-0.33, 0.04]])
_FINS = np.array([[-0.33, 0.03], [-0.44, 0.17], [-0.5, 0.17], [-0.47, 0.03]])
_TAIL = np.array([[-0.36, 0.02], [-0.45, 0.17], [-0.49, 0.17], [-0.46, 0.02]])
_ENGINE = np.array([[0.09, 0.15], [0.09, 0.18], [0.0, 0.18], [0.0, 0.15]])


def _both(half: np.ndarray) -> np.ndarray:
    """A half outline and its mirror image as one closed outline."""
    return np.concatenate([half, half[::-1] * (1, -1)])


def plane(site: Site, frame: Frame, length: float, fighter: bool = False) -> None:
    """A plane ``length`` metres long, nose along the local x: a grey fighter, or below 16 m a light one with straight wings."""
    canvas, rng = site.canvas, site.rng
    airliner = length > 16.0 and not fighter
    body = pick(np.stack([WHITE * 0.5, WHITE * 0.62, WHITE * 0.74] if fighter else [WHITE, WHITE * 0.92, WHITE * 0.8]), rng, 5)
    accent = pick(CONTAINERS, rng, 12) if site.chance(0.75) and not fighter else body
    half = _DELTA if fighter else _WING if airliner else _STRAIGHT_WING
    parts = (_both(_FUSELAGE), _both(half), _both(_FINS if fighter else _TAIL))
    fuselage, wing, tail = (frame.place(shape * length) for shape in parts)
    engines = [frame.place(_ENGINE * (1, side) * length) for side in (1, -1)] if airliner else []
    fin = frame.place(np.array([[-0.3, 0.0], [-0.5, 0.008], [-0.5, -0.008]]) * length)
    spine = frame.place(np.array([[0.42, 0.0], [-0.3, 0.0]]) * length)
    nose = frame.place(np.array([[0.46, 0.03], [0.475, 0.0], [0.46, -0.03], [0.44, -0.03], [0.45, 0.0], [0.44, 0.03]]) * length)
    half_wings = [frame.place(half * (1, side) * length) for side in (1, -1)]
    if not canvas.free(half_wings[0][None], (*DRIVEN, Label.GRASS, Label.BARE_SOIL))[0]:
        return
    number = canvas.count(Label.PLANE)

    def draw() -> None:
        for shape in (wing, tail):
            canvas.fill(shape, body * 0.86, Label.PLANE, number)
        for shape in engines:
            canvas.fill(shape, body * 0.62, Label.PLANE, number)
        canvas.fill(fuselage, body, Label.PLANE, number)
        canvas.line(spine, 0.025 * length, np.clip(body * 1.07, 0, 255))
        canvas.fill(nose, body * 0.4)
        canvas.fill(fin, accent)

    canvas.claim(frame.rectangle(length, 0.9 * length))
    canvas.stand([fuselage, *half_wings], 3.0 if airliner else 1.6, draw, Label.PLANE, tier=0)
