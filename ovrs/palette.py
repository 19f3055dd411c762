"""Colours for maps: what a map reader expects for well-known words, and well-separated colours for all others."""

from __future__ import annotations

import colorsys
from collections.abc import Collection, Iterator
from functools import lru_cache

Color = tuple[int, int, int]

# Colours that a map reader expects, by the word that a class name contains.
_CUSTOMARY: dict[str, Color] = {
    "water": (43, 117, 214),
    "river": (70, 150, 235),
    "lake": (28, 90, 180),
    "sea": (24, 72, 150),
    "ocean": (18, 56, 128),
    "forest": (20, 100, 45),
    "tree": (38, 140, 62),
    "grass": (142, 204, 88),
    "meadow": (164, 214, 110),
    "vegetation": (90, 170, 70),
    "cropland": (230, 200, 84),
    "farmland": (214, 184, 70),
    "agriculture": (222, 192, 78),
    "bare": (178, 134, 96),
    "soil": (160, 116, 80),
    "barren": (188, 146, 108),
    "sand": (236, 214, 160),
    "beach": (244, 224, 172),
    "snow": (240, 248, 255),
    "building": (226, 74, 62),
    "house": (240, 110, 90),
    "roof": (206, 60, 80),
    "road": (245, 245, 245),
    "street": (224, 224, 232),
    "bridge": (255, 140, 26),
    "ship": (236, 60, 180),
    "vehicle": (255, 214, 10),
    "car": (250, 226, 60),
    "plane": (150, 70, 220),
    "airplane": (150, 70, 220),
    "harbor": (110, 88, 190),
}

# Well-separated colours for the words that custom gives none.
_SERIES: tuple[Color, ...] = (
    (230, 25, 75),
    (0, 168, 168),
    (245, 130, 49),
    (145, 30, 180),
    (255, 225, 25),
    (60, 180, 75),
    (67, 99, 216),
    (240, 50, 230),
    (170, 110, 40),
    (70, 240, 240),
    (128, 0, 40),
    (170, 255, 195),
    (128, 128, 0),
    (250, 190, 212),
    (0, 0, 128),
    (210, 245, 60),
    (220, 190, 255),
    (255, 216, 177),
)

# Squared distance in RGB below which two colours are taken for the same at first sight.
_NEAR = 40**2


@lru_cache(maxsize=16)
def assign_colors(names: tuple[str, ...], given: tuple[Color | None, ...]) -> tuple[Color, ...]:
    """A colour (RGB, 0..255) for each name: the given one, else the customary one, else the next that is still free.

    Colours that are not given are all different, and easily told apart as long as the series lasts.
    """
    colors: list[Color | None] = list(given)
    taken = {color for color in colors if color is not None}
    for index, name in enumerate(names):
        custom = _customary(name)
        if colors[index] is None and custom is not None and _is_free(custom, taken, _NEAR):
            colors[index] = custom
            taken.add(custom)
    series = _series()
    result: list[Color] = []
    for color in colors:
        if color is None:
            color = _next_free(series, taken)
            taken.add(color)
        result.append(color)
    return tuple(result)


def _customary(name: str) -> Color | None:
    """The customary colour of the last well-known word of a name: a "tennis court road" is a road."""
    for word in reversed(name.casefold().split()):
        for form in (word, word.removesuffix("s")):
            if form in _CUSTOMARY:
                return _CUSTOMARY[form]
    return None


def _is_free(color: Color, taken: Collection[Color], distance: int) -> bool:
    if distance <= 1:
        return color not in taken
    return all(sum((a - b) ** 2 for a, b in zip(color, other, strict=True)) >= distance for other in taken)


def _next_free(series: Iterator[tuple[Color, int]], taken: Collection[Color]) -> Color:
    return next(color for color, distance in series if _is_free(color, taken, distance))


def _series() -> Iterator[tuple[Color, int]]:
    """An endless series of colours, each with the distance it must keep from those taken."""
    for color in _SERIES:
        yield color, _NEAR
    step = 0
    while True:
        # The golden ratio spreads hues evenly however many are drawn; saturation and value alternate beside it.
        hue = (step * 0.618034) % 1.0
        saturation = (0.85, 0.55, 0.7)[step % 3] - step // 2000 % 16 * 0.03  # thousands of hues are not all different
        value = (0.95, 0.8, 0.6, 0.45)[step // 3 % 4]
        red, green, blue = colorsys.hsv_to_rgb(hue, saturation, value)
        # The demand relaxes to "different at all", so that the series cannot run dry.
        yield (round(red * 255), round(green * 255), round(blue * 255)), max(1, _NEAR // 4 if step < 60 else 1)
        step += 1
