"""One procedural aerial scene from a seed: image, labels and all else that is known of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import exp, log, pi

import numpy as np
from numpy.typing import NDArray

from ovrs.data.scenes.camera import photograph
from ovrs.data.scenes.canvas import Canvas, Raised
from ovrs.data.scenes.climate import Setting
from ovrs.data.scenes.fields import snow
from ovrs.data.scenes.palette import Palette
from ovrs.data.scenes.places import COASTAL, PLACES, WARM
from ovrs.data.scenes.site import Site

GSD_RANGE = (0.12, 1.5)  # metres a pixel
_SEEN = 40.0  # metres that a drawn ground sample distance leaves in view at least, as far as its range allows


@dataclass(frozen=True, eq=False)
class Scene:
    """A drawn scene; synthetic, and to be called so wherever it is shown.

    Attributes:
        image: uint8 [H, W, 3], RGB.
        labels: uint8 [H, W], indices into ``SCENE_CLASSES``; every pixel has one.
        gsd: metres a pixel.
        crs: a UTM zone, as ``EPSG:<code>``.
        transform: (a, b, c, d, e, f): x = a column + b row + c, y = d column + e row + f, in metres.
        seed, index: what it was drawn from.
        kind: the recipe, ``river town`` for example.
        setting: where on Earth and when.
    """

    image: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    gsd: float
    crs: str
    transform: tuple[float, float, float, float, float, float]
    seed: int
    index: int
    kind: str
    setting: Setting
    plan: Plan

    @cached_property
    def description(self) -> str:
        """What stands in it."""
        return f"A synthetic aerial image, {self.kind}."


@dataclass(frozen=True, eq=False)
class Plan:
    """What a scene was drawn from, kept for what is computed later.

    Attributes:
        ids: int32 [H, W], the number drawn last at each pixel; it counts only where the label is still the number's own.
        kinds: the label of each number; the first belongs to no number.
        raised: all that stands.
        shadow: pixels (x, y) that a shadow reaches per metre of height.
    """

    ids: NDArray[np.int32]
    kinds: tuple[int, ...]
    raised: tuple[Raised, ...]
    shadow: tuple[float, float]


def draw_scene(seed: int, index: int = 0, *, size: int | tuple[int, int] = 512, gsd: float | None = None) -> Scene:
    """Draw scene ``index`` of the series ``seed``; the same arguments give the same bytes in any process.

    Args:
        seed: of the series, at least 0.
        index: within the series, at least 0.
        size: side in pixels, or (height, width).
        gsd: metres a pixel; where it is not given, drawn from 0.12 to 1.5, small and large ones alike.

    Raises:
        ValueError: a negative seed or index, a size below 16 pixels, or a gsd that is not positive.
    """
    height, width = (size, size) if isinstance(size, int) else size
    if seed < 0 or index < 0 or min(height, width) < 16 or (gsd is not None and gsd <= 0):
        raise ValueError(f"no scene for seed {seed}, index {index}, size {height} x {width}, gsd {gsd}")
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, index])))
    finest = min(max(GSD_RANGE[0], _SEEN / min(height, width)), 0.5)
    drawn = exp(float(rng.uniform(log(finest), log(GSD_RANGE[1]))))
    gsd = gsd or drawn
    weights = np.array([row[2 if gsd < 0.25 else 1] for row in PLACES])
    place = PLACES[int(rng.choice(len(PLACES), p=weights / weights.sum()))][0]
    setting = Setting.draw(rng, coast=place in COASTAL, warm=place in WARM)
    centre = rng.uniform(-0.25, 0.25, 2) * min(height, width) * gsd
    canvas = Canvas((height, width), gsd, float(rng.uniform(0, 2 * pi)), (float(centre[0]), float(centre[1])),
                    float(rng.uniform(0, 2 * pi)), rng)  # fmt: skip
    site = Site(canvas, Palette.draw(rng, setting), rng)
    place(site)
    snow(site, ground=True)
    canvas.raise_standing()
    snow(site, ground=False)
    image = photograph(canvas, rng)
    shadow = canvas.pixels(canvas.shadow) - canvas.pixels(np.zeros(2))
    plan = Plan(canvas.ids, tuple(canvas.kinds), tuple(canvas.raised), (float(shadow[0]), float(shadow[1])))
    crs, transform = f"EPSG:{setting.epsg}", _north_up(setting, gsd, height, width)
    return Scene(image, canvas.labels, gsd, crs, transform, seed, index, place.__name__.replace("_", " "), setting, plan)


def _north_up(setting: Setting, gsd: float, height: int, width: int) -> tuple[float, float, float, float, float, float]:
    """The transform of an image whose middle lies at the setting's longitude and latitude."""
    east, north = setting.easting_northing
    return gsd, 0.0, round(east - 0.5 * gsd * width, 3), 0.0, -gsd, round(north + 0.5 * gsd * height, 3)
