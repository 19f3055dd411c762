"""Sentences that say what a scene shows: counted from its labels, never guessed from its recipe."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ovrs.data.scenes.classes import Label
from ovrs.data.scenes.climate import Setting
from ovrs.data.scenes.instances import Instance

COUNTED: dict[Label, tuple[tuple[str, str], ...]] = {
    Label.SHIP: (("ship", "ships"), ("vessel", "vessels")),
    Label.BRIDGE: (("bridge", "bridges"),),
    Label.HARBOR: (("pier", "piers"), ("jetty", "jetties")),
    Label.BUILDING: (("building", "buildings"), ("roof", "roofs")),
    Label.VEHICLE: (("vehicle", "vehicles"),),
    Label.PLANE: (("plane", "planes"), ("aircraft", "aircraft"), ("airplane", "airplanes")),
    Label.STORAGE_TANK: (("storage tank", "storage tanks"), ("round tank", "round tanks")),
    Label.TENNIS_COURT: (("tennis court", "tennis courts"),),
    Label.SPORTS_FIELD: (("sports field", "sports fields"), ("sports ground", "sports grounds")),
    Label.SWIMMING_POOL: (("swimming pool", "swimming pools"), ("pool", "pools")),
}
"""What is counted, singular and plural; the first is the class's plain word."""

COVERING: dict[Label, tuple[tuple[str, str], ...]] = {
    Label.ROAD: (("road", "covers"), ("roads", "cover")),
    Label.TREE: (("trees", "cover"), ("tree canopy", "covers")),
    Label.WATER: (("water", "covers"),),
    Label.CROPLAND: (("cropland", "covers"), ("farmland", "covers")),
    Label.BARE_SOIL: (("bare soil", "covers"), ("bare ground", "covers")),
    Label.GRASS: (("grass", "covers"), ("grassland", "covers")),
    Label.PAVEMENT: (("pavement", "covers"), ("paved ground", "covers")),
}
"""What is measured by its share of the image, and its verb."""

_NUMBERS = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
_SHARES = ((0.72, "almost all"), (0.55, "most"), (0.42, "about half"), (0.28, "about a third"), (0.17, "about a fifth"),
           (0.08, "about a tenth"), (0.02, "a small part"))  # fmt: skip


def describe(
    labels: NDArray[np.uint8],
    instances: NDArray[np.int32],
    things: Sequence[Instance],
    setting: Setting,
    snow: bool,
    rng: np.random.Generator,
    *,
    places: bool = True,
) -> str:
    """Some sentences: what covers it, what can be counted and where, the season and the climate.

    Args:
        labels: uint8 [H, W].
        instances: int32 [H, W], the instance map.
        things: its instances.
        setting: where and when.
        snow: whether snow lies.
        rng: chooses the phrases.
        places: say where in the image things are.
    """
    numbers = {label: sum(thing.label == label for thing in things) for label in COUNTED}
    counted = _counts(np.where(instances > 0, labels, 255), numbers, rng, places)
    opening, covers = _covers(labels, numbers, rng, places)
    middle = [*covers, *counted]
    if len(middle) > 2 and rng.random() < 0.4:
        middle = [middle[int(k)] for k in rng.permutation(len(middle))]
    return " ".join([opening, *middle, _when(setting, snow, rng)])


def _choice(rng: np.random.Generator, phrases: Sequence[str]) -> str:
    return phrases[int(rng.integers(len(phrases)))]


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


def _covers(
    labels: NDArray[np.uint8], numbers: dict[Label, int], rng: np.random.Generator, places: bool
) -> tuple[str, list[str]]:
    """A first sentence of what covers the most, and up to three of what else covers much."""
    share = np.bincount(labels.ravel(), minlength=len(Label)) / labels.size
    order = [Label(int(k)) for k in np.argsort(-share, kind="stable") if share[k] >= 0.02]
    names: dict[Label, tuple[str, str]] = {}
    for label in order:
        if label in COVERING:
            words = COVERING[label]
            names[label] = words[int(rng.integers(len(words)))]
        elif numbers[label]:
            one, many = COUNTED[label][0]
            names[label] = (f"a {one}", "covers") if numbers[label] == 1 else (many, "cover")
        elif label == Label.HARBOR:  # nothing but its edge
            names[label] = ("a quay", "covers")
    listed = _listed([name for name, _ in list(names.values())[:3]])
    view = _choice(rng, ("An aerial image", "A view from above", "An overhead image", "A picture taken from the air"))
    opening = _choice(rng, (f"{view} of {listed}.", f"{view} that shows {listed}.", f"{_capital(listed)}, seen from above."))
    sentences = []
    for label in order[: int(rng.integers(1, 4))]:
        if label in COVERING:
            name, verb = names[label]
            amount = next(word for least, word in _SHARES if share[label] >= least)
            where = _where(labels == label, rng) if places and share[label] < 0.45 else ""
            sentence = _choice(rng, (f"{name} {verb} {amount} of it", f"{amount} of the image is {name}"))
            sentences.append(f"{_capital(sentence)}{where}.")
    return opening, sentences


def _counts(counted: NDArray[np.uint8], numbers: dict[Label, int], rng: np.random.Generator, places: bool) -> list[str]:
    """Sentences of what can be counted, two kinds in each; ``counted`` holds the labels of instances and 255 elsewhere."""
    phrases = []
    for label, nouns in COUNTED.items():
        number = numbers[label]
        if number:
            one, many = nouns[int(rng.integers(len(nouns)))]
            where = _where(counted == label, rng) if places and rng.random() < 0.7 else ""
            phrases.append(f"{_amount(number)} {one if number == 1 else many}{where}")
    phrases = [phrases[int(k)] for k in rng.permutation(len(phrases))]
    sentences = []
    for first in range(0, len(phrases), 2):
        pair = phrases[first : first + 2]
        be = "there is" if pair[0].startswith("one ") else "there are"
        sentences.append(_capital(f"{_choice(rng, (be, 'one can see', 'it shows'))} {' and '.join(pair)}."))
    return sentences


def _amount(number: int) -> str:
    if number < len(_NUMBERS):
        return _NUMBERS[number]
    return f"about {round(number, -1)}" if number < 95 else "a hundred or more"


def _where(mask: NDArray[np.bool_], rng: np.random.Generator) -> str:
    """Where four fifths of a mask lie, if they keep to one side: `` on the left``; else nothing."""
    height, width = mask.shape
    total = mask.sum()
    left, top = mask[:, : width // 2].sum() / total, mask[: height // 2].sum() / total
    across = "left" if left >= 0.8 else "right" if left <= 0.2 else ""
    along = "upper" if top >= 0.8 else "lower" if top <= 0.2 else ""
    if across and along:
        return _choice(rng, (f" in the {along} {across}", f" in the {along} {across} quarter"))
    if across:
        return _choice(rng, (f" on the {across}", f" in the {across} half"))
    if along:
        return _choice(rng, (f" in the {along} half", " at the top" if along == "upper" else " at the bottom"))
    return ""


def _when(setting: Setting, snow: bool, rng: np.random.Generator) -> str:
    season = f"the {setting.season}" if setting.season.endswith("season") else setting.season
    where = f"a {setting.zone} climate"
    sentence = _choice(rng, (f"It was taken in {season}, in {where}", f"It is {season} in {where}", f"In {where}, in {season}"))
    return f"{sentence}; snow lies on the ground." if snow else f"{sentence}."


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
