"""One procedural aerial scene from a seed: image, labels and all else that is known of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import exp, log, pi

import numpy as np
from numpy.typing import NDArray

from ovrs.data.scenes.camera import photograph
from ovrs.data.scenes.canvas import Canvas, Raised
from ovrs.data.scenes.classes import Label
from ovrs.data.scenes.climate import Setting, lying
from ovrs.data.scenes.clouds import cloud_cover, overcast
from ovrs.data.scenes.expressions import Expression, refer
from ovrs.data.scenes.fields import snow
from ovrs.data.scenes.instances import Instance, instance_map, list_instances
from ovrs.data.scenes.palette import Palette
from ovrs.data.scenes.places import COASTAL, PLACES, WARM
from ovrs.data.scenes.radar import backscatter, decibels, view
from ovrs.data.scenes.site import Site
from ovrs.data.scenes.words import describe

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
        setting: where on Earth and when: ``lon``, ``lat`` of the middle, ``climate`` (Koeppen-Geiger), ``month``, ``season``.
        clouds: share of the sky, 0 to 1; ``image`` stays clear.
        plan: what it was drawn from.
        regional: whether vegetation, soil and roofs have the look of its climate zone.

    What follows below is computed when it is first asked for.
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
    clouds: float
    plan: Plan
    regional: bool = False

    @cached_property
    def instances(self) -> NDArray[np.int32]:
        """int32 [H, W]: 1..n where a ship, bridge, pier, building, vehicle, plane, tank, court, field or pool is seen."""
        return instance_map(self.plan.ids, self.plan.kinds, self.labels)

    @cached_property
    def things(self) -> tuple[Instance, ...]:
        """The instances with their class, pixels and place, by number."""
        return list_instances(self.instances, self.labels)

    @cached_property
    def description(self) -> str:
        """Some sentences that name what is there, how much, where, the season and the climate; nothing that is not there."""
        return describe(self.labels, self.instances, self.things, self.setting, self.plan.snow, self.stream(1))

    @cached_property
    def summary(self) -> str:
        """As ``description``, but it says nowhere where a thing is: it stays true when the image is mirrored or turned."""
        return describe(self.labels, self.instances, self.things, self.setting, self.plan.snow, self.stream(1), places=False)

    @cached_property
    def expressions(self) -> tuple[Expression, ...]:
        """Up to eight phrases that fit one instance each, with its mask."""
        return refer(self.labels, self.instances, self.things, self.stream(2))

    @cached_property
    def sar(self) -> NDArray[np.float32]:
        """float32 [H, W]: backscatter a radar would measure, linear, with speckle, at the image's pixels."""
        return backscatter(self.image, self.labels, self.plan.raised, self.gsd, self.stream(3))

    @property
    def sar_decibels(self) -> NDArray[np.float32]:
        """float32 [H, W]: the radar's backscatter in decibels."""
        return decibels(self.sar)

    @property
    def sar_view(self) -> NDArray[np.uint8]:
        """uint8 [H, W]: the radar's backscatter in decibels, stretched to be looked at."""
        return view(self.sar)

    @cached_property
    def cloud_cover(self) -> NDArray[np.float32]:
        """float32 [H, W]: how opaque the clouds are, 0 to 1; about ``clouds`` of the pixels are above 0."""
        return cloud_cover(self.labels.shape, self.clouds, self.stream(4))

    @cached_property
    def cloudy(self) -> NDArray[np.uint8]:
        """uint8 [H, W, 3]: the image under clouds and their shadows; without clouds the image itself."""
        return overcast(self.image, self.cloud_cover, self.plan.shadow, self.stream(5)) if self.clouds else self.image

    def stream(self, purpose: int) -> np.random.Generator:
        """Random numbers that depend on seed, index and purpose alone, whatever else has been computed."""
        return np.random.Generator(np.random.PCG64(np.random.SeedSequence([self.seed, self.index], spawn_key=(purpose,))))


@dataclass(frozen=True, eq=False)
class Plan:
    """What a scene was drawn from, kept for what is computed later.

    Attributes:
        ids: int32 [H, W], the number drawn last at each pixel; it counts only where the label is still the number's own.
        kinds: the label of each number; the first belongs to no number.
        raised: all that stands.
        shadow: pixels (x, y) that a shadow reaches per metre of height.
        snow: whether snow lies where it could be seen.
    """

    ids: NDArray[np.int32]
    kinds: tuple[int, ...]
    raised: tuple[Raised, ...]
    shadow: tuple[float, float]
    snow: bool


def draw_scene(
    seed: int,
    index: int = 0,
    *,
    size: int | tuple[int, int] = 512,
    gsd: float | None = None,
    clouds: float = 0.0,
    regional: bool = False,
    places: Sequence[int] = (),
) -> Scene:
    """Draw scene ``index`` of the series ``seed``; the same arguments give the same bytes in any process.

    Its random numbers come from ``numpy.random.SeedSequence([seed, index])``, so any worker can draw any scene.

    Args:
        seed: of the series, at least 0.
        index: within the series, at least 0.
        size: side in pixels, or (height, width).
        gsd: metres a pixel; where it is not given, drawn from 0.12 to 1.5, small and large ones alike.
        clouds: share of the sky that clouds cover in ``cloudy``, 0 to 1; nothing else changes with it.
        regional: draw vegetation, soil and roofs as they look in its climate zone (:mod:`ovrs.data.scenes.regional`).
        places: rows of the table of places that it may lie at (:mod:`ovrs.data.scenes.earth`); () = all.

    Raises:
        ValueError: a negative seed or index, a size below 16 pixels, a gsd that is not positive, or clouds outside 0 to 1.
    """
    height, width = (size, size) if isinstance(size, int) else size
    if seed < 0 or index < 0 or min(height, width) < 16 or (gsd is not None and gsd <= 0) or not 0.0 <= clouds <= 1.0:
        raise ValueError(f"no scene for seed {seed}, index {index}, size {height} x {width}, gsd {gsd}, clouds {clouds}")
    rng, gsd, place, setting = _begin(seed, index, (height, width), gsd, places)
    centre = rng.uniform(-0.25, 0.25, 2) * min(height, width) * gsd
    canvas = Canvas((height, width), gsd, float(rng.uniform(0, 2 * pi)), (float(centre[0]), float(centre[1])),
                    float(rng.uniform(0, 2 * pi)), rng)  # fmt: skip
    site = Site(canvas, Palette.draw(rng, setting, regional=regional), rng)
    place(site)
    snow(site, ground=True)
    canvas.raise_standing()
    snow(site, ground=False)
    image = photograph(canvas, rng)
    shadow = canvas.pixels(canvas.shadow) - canvas.pixels(np.zeros(2))
    open_land = np.isin(canvas.labels, (Label.GRASS, Label.BARE_SOIL, Label.CROPLAND)).mean() > 0.02
    plan = Plan(
        canvas.ids,
        tuple(canvas.kinds),
        tuple(canvas.raised),
        (float(shadow[0]), float(shadow[1])),
        bool(site.palette.snow > 0.0 and open_land),
    )
    crs, transform = f"EPSG:{setting.epsg}", _north_up(setting, gsd, height, width)
    kind = place.__name__.replace("_", " ")
    return Scene(image, canvas.labels, gsd, crs, transform, seed, index, kind, setting, clouds, plan, regional)


def scene_setting(
    seed: int, index: int, *, size: int | tuple[int, int] = 512, gsd: float | None = None, places: Sequence[int] = ()
) -> tuple[Setting, float]:
    """Where and when :func:`draw_scene` of these arguments would lie, and its metres a pixel; nothing is drawn for it."""
    _, gsd, _, setting = _begin(seed, index, (size, size) if isinstance(size, int) else size, gsd, places)
    return setting, gsd


def _begin(
    seed: int, index: int, size: tuple[int, int], gsd: float | None, places: Sequence[int]
) -> tuple[np.random.Generator, float, Callable[[Site], None], Setting]:
    """The scene's random numbers, its metres a pixel, its recipe and its setting.

    Recipes for which there is no place, such as those by the sea where none of ``places`` is, are not drawn.
    """
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, index])))
    finest = min(max(GSD_RANGE[0], _SEEN / min(size)), 0.5)
    drawn = exp(float(rng.uniform(log(finest), log(GSD_RANGE[1]))))
    gsd = gsd or drawn
    weights = np.array([fine if gsd < 0.25 else coarse for _, coarse, fine in PLACES])
    weights *= [bool(lying(recipe in COASTAL, recipe in WARM, places)) for recipe, *_ in PLACES]
    place = PLACES[int(rng.choice(len(PLACES), p=weights / weights.sum()))][0]
    return rng, gsd, place, Setting.draw(rng, coast=place in COASTAL, warm=place in WARM, places=places)


def _north_up(setting: Setting, gsd: float, height: int, width: int) -> tuple[float, float, float, float, float, float]:
    """The transform of an image whose middle lies at the setting's longitude and latitude."""
    east, north = setting.easting_northing
    return gsd, 0.0, round(east - 0.5 * gsd * width, 3), 0.0, -gsd, round(north + 0.5 * gsd * height, 3)
