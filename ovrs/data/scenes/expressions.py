"""Referring expressions: phrases that fit exactly one thing of a scene, by construction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from ovrs.data.scenes.classes import Label
from ovrs.data.scenes.instances import Instance
from ovrs.data.scenes.words import COUNTED, COVERING

LEAST = 20
"""Pixels that a thing must show to be referred to."""

MARGIN = 0.06
"""Share of the image's side by which the leftmost thing lies left of the next; likewise right, top and bottom."""

RATIO = 1.3
"""How much larger the largest thing is than the next, and how much farther the second nearest than the nearest."""

_SIDES = {
    "left": ("the leftmost {}", "the {} farthest to the left"),
    "right": ("the rightmost {}", "the {} farthest to the right"),
    "top": ("the topmost {}", "the {} nearest the top of the image"),
    "bottom": ("the lowest {} in the image", "the {} nearest the bottom of the image"),
}
_OF_TWO = {"left": "the {} on the left", "right": "the {} on the right", "top": "the upper {}", "bottom": "the lower {}"}
_SIZES = {"largest": ("the largest {}", "the biggest {}"), "smallest": ("the smallest {}",)}


@dataclass(frozen=True, eq=False)
class Expression:
    """A phrase and the one thing it means.

    Attributes:
        sentence: ``the ship nearest the pier``.
        instance: the number of that thing in the scene's instance map.
        positional: whether it names a place in the image, so that a flip or a turn of the image would make it untrue.
        kind: ``only``, ``left``, ``right``, ``top``, ``bottom``, ``largest``, ``smallest`` or ``nearest``.
        label: the class of what is meant.
        anchor: the class of what it is nearest to.
        instances: int32 [H, W], the scene's instance map.
    """

    sentence: str
    instance: int
    positional: bool
    kind: str
    label: Label
    anchor: Label | None = None
    instances: NDArray[np.int32] = field(repr=False, kw_only=True)

    @property
    def mask(self) -> NDArray[np.bool_]:
        """The thing's pixels, bool [H, W]."""
        return np.asarray(self.instances == self.instance)


def refer(
    labels: NDArray[np.uint8],
    instances: NDArray[np.int32],
    things: Sequence[Instance],
    rng: np.random.Generator,
    most: int = 8,
) -> tuple[Expression, ...]:
    """At most ``most`` expressions, as different as the scene allows.

    Args:
        labels: uint8 [H, W].
        instances: int32 [H, W], the instance map.
        things: its instances.
        rng: chooses among expressions and words.
        most: how many at most.
    """
    found = []
    for label, nouns in COUNTED.items():
        group = [thing for thing in things if thing.label == label]
        found += [(*made, label, nouns) for made in _own(group, labels.shape)]
        if len(group) > 1:
            found += [(*made, label, nouns) for made in _nearest(group, label, labels, instances, things)]
    order = [found[int(k)] for k in rng.permutation(len(found))]
    often = Counter(kind for _, kind, *_ in order)
    order.sort(key=lambda made: often[made[1]])  # rare kinds first
    chosen = []
    for thing, kind, anchor, label, nouns in order[:most]:
        noun = nouns[int(rng.integers(len(nouns)))][0]
        sentence = _sentence(kind, noun, anchor, sum(other.label == label for other in things), rng)
        positional = kind in _SIDES
        chosen.append(Expression(sentence, thing.number, positional, kind, label, anchor, instances=instances))
    return tuple(chosen)


Made = tuple[Instance, str, Label | None]


def _own(group: Sequence[Instance], shape: tuple[int, ...]) -> Iterator[Made]:
    """What is said of a thing by its own place and size among its like."""
    if len(group) < 2:
        if group and group[0].area >= LEAST:
            yield group[0], "only", None
        return
    for axis, low, high in ((0, "left", "right"), (1, "top", "bottom")):
        margin = MARGIN * shape[1 - axis]
        order = sorted(group, key=lambda thing: thing.centre[axis])
        for first, second, kind in ((order[0], order[1], low), (order[-1], order[-2], high)):
            if abs(first.centre[axis] - second.centre[axis]) >= margin and first.area >= LEAST:
                yield first, kind, None
    order = sorted(group, key=lambda thing: thing.area)
    if order[-1].area >= RATIO * order[-2].area and order[-1].area >= LEAST:
        yield order[-1], "largest", None
    if order[1].area >= RATIO * order[0].area and order[0].area >= LEAST:
        yield order[0], "smallest", None


def _nearest(
    group: Sequence[Instance],
    label: Label,
    labels: NDArray[np.uint8],
    instances: NDArray[np.int32],
    things: Sequence[Instance],
) -> Iterator[Made]:
    """Things that lie clearly nearest to the only thing of another class, or to the only kind of ground of another class."""
    alone = [kind for kind in COUNTED if sum(thing.label == kind for thing in things) == 1]
    grounds = [ground for ground in (Label.WATER, Label.CROPLAND) if (labels == ground).mean() > 0.01]
    numbers = np.array([thing.number for thing in group])
    pixels = np.isin(instances, numbers)
    for anchor in (*alone, *grounds):
        target = labels == anchor if anchor in grounds else (labels == anchor) & (instances > 0)
        if anchor == label or target.sum() < LEAST:
            continue
        away = cv2.distanceTransform((~target).astype(np.uint8), cv2.DIST_L2, 5)
        least = np.full(int(numbers.max()) + 1, np.inf)
        np.minimum.at(least, instances[pixels], away[pixels])
        order = sorted(group, key=lambda thing: least[thing.number])
        first, second = least[order[0].number], least[order[1].number]
        if second >= RATIO * first + 2.0 and order[0].area >= LEAST:
            yield order[0], "nearest", anchor


def _sentence(kind: str, noun: str, anchor: Label | None, count: int, rng: np.random.Generator) -> str:
    if kind == "only":
        return f"the {noun}"
    if anchor is not None:
        other = COUNTED[anchor][0][0] if anchor in COUNTED else COVERING[anchor][0][0]
        relation = ("nearest", "closest to")[int(rng.integers(2))]
        return f"the {noun} {relation} the {other}"
    if kind in _SIZES:
        phrases = _SIZES[kind] if count > 2 else (f"the {'larger' if kind == 'largest' else 'smaller'} {{}}",)
    else:
        phrases = _SIDES[kind] if count > 2 else (_OF_TWO[kind],)
    return phrases[int(rng.integers(len(phrases)))].format(noun)
