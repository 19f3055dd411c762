"""Instances, descriptions and referring expressions: what they say is recounted here from the maps."""

import re

import numpy as np
import pytest

from ovrs.data.scenes import SCENE_CLASSES, Label, Scene, draw_scene
from ovrs.data.scenes.expressions import LEAST, MARGIN, RATIO, Expression
from ovrs.data.scenes.instances import VISIBLE, instance_map, list_instances
from ovrs.data.scenes.words import COUNTED, COVERING

NUMBERS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [draw_scene(47, index, size=128) for index in range(48)]


def test_instances_are_numbered_without_gaps_and_keep_to_their_class(scenes):
    for scene in scenes:
        numbers = np.unique(scene.instances)
        assert scene.instances.dtype == np.int32 and scene.instances.shape == scene.labels.shape
        assert [thing.number for thing in scene.things] == [n for n in numbers.tolist() if n]
        assert len(numbers) == 0 or numbers.max() == len(scene.things)
        for thing in scene.things:
            here = scene.instances == thing.number
            rows, columns = np.nonzero(here)
            assert set(np.unique(scene.labels[here])) == {thing.label}
            assert thing.area == here.sum() >= VISIBLE
            assert thing.centre == pytest.approx((columns.mean(), rows.mean()))


def test_all_that_is_countable_is_counted(scenes):
    countable = [label for label in COUNTED if label != Label.HARBOR]  # a quay is an edge, not a thing
    missed = sum(int((np.isin(s.labels, countable) & (s.instances == 0)).sum()) for s in scenes)
    shown = sum(int(np.isin(s.labels, countable).sum()) for s in scenes)
    assert missed < 0.003 * shown
    kinds = {thing.label for scene in scenes for thing in scene.things}
    assert {Label.SHIP, Label.BRIDGE, Label.BUILDING, Label.VEHICLE, Label.HARBOR} <= kinds


def test_a_thing_drawn_over_and_a_sliver_are_not_counted():
    ids = np.zeros((8, 8), np.int32)
    ids[:4], ids[4:6], ids[7, :3] = 1, 2, 3
    labels = np.full((8, 8), Label.GRASS, np.uint8)
    labels[:2], labels[4:6], labels[7, :3] = Label.SHIP, Label.TREE, Label.SHIP
    found = instance_map(ids, (255, Label.SHIP, Label.BUILDING, Label.SHIP), labels)
    assert (found[:2] == 1).all() and not found[2:].any()
    assert [(thing.label, thing.area) for thing in list_instances(found, labels)] == [(Label.SHIP, 16)]


def words_of(label: Label) -> set[str]:
    """Every word for a class, in the singular and the plural."""
    own = SCENE_CLASSES[label].words + tuple(w for pair in COUNTED.get(label, ()) for w in pair)
    own += tuple(name for name, _ in COVERING.get(label, ()))
    return {form for word in own for form in (word, f"{word}s")}


def test_a_description_names_nothing_that_is_not_there(scenes):
    for scene in scenes:
        for label in Label:
            for word in words_of(label):
                # A tennis court is no "court" of its own, nor a swimming pool a "pool" less.
                if re.search(rf"\b{word}\b", scene.description, re.IGNORECASE):
                    assert (scene.labels == label).any(), (word, scene.description)


def test_the_numbers_of_a_description_are_those_of_the_instances(scenes):
    checked = 0
    for scene in scenes:
        for label, nouns in COUNTED.items():
            forms = "|".join(form for pair in nouns for form in pair)
            for number in re.findall(rf"\b({'|'.join(NUMBERS)}) (?:{forms})\b", scene.description, re.IGNORECASE):
                assert NUMBERS.index(number.lower()) == sum(thing.label == label for thing in scene.things)
                checked += 1
    assert checked > 60


def test_a_description_names_what_covers_the_most_and_the_season(scenes):
    for scene in scenes:
        largest = Label(int(np.bincount(scene.labels.ravel()).argmax()))
        first = scene.description.split(".")[0].lower()
        assert any(word in first for word in words_of(largest)), scene.description
        assert scene.setting.season in scene.description and scene.setting.zone in scene.description


def test_a_side_is_named_only_where_what_it_tells_of_lies_there(scenes):
    checked = 0
    for scene in scenes:
        for label, nouns in COUNTED.items():
            for side, rows, columns in (
                ("in the left half", slice(None), slice(0, 64)),
                ("on the right", slice(None), slice(64, None)),
                ("at the top", slice(0, 64), slice(None)),
                ("in the lower half", slice(64, None), slice(None)),
            ):
                if any(f"{form} {side}" in scene.description for pair in nouns for form in pair):
                    own = (scene.labels == label) & (scene.instances > 0)
                    assert own[rows, columns].sum() >= 0.79 * own.sum(), scene.description
                    checked += 1
    assert checked > 10


def test_descriptions_vary(scenes):
    openings = {re.sub(r"[a-z ]+", "", scene.description)[:3] + scene.description.split(" ")[0] for scene in scenes}
    assert len({scene.description for scene in scenes}) == len(scenes) and len(openings) > 8


def distance(one: np.ndarray, other: np.ndarray) -> float:
    """Pixels between two masks, by trying all pairs."""
    a, b = (np.argwhere(mask).astype(float) for mask in (one, other))
    return float(np.sqrt(min(((b - point) ** 2).sum(axis=1).min() for point in a)))


def fitting(scene: Scene, found: Expression) -> list[int]:
    """The instances that an expression fits, evaluated anew from the maps."""
    masks = {int(n): scene.instances == n for n in np.unique(scene.instances) if n}
    own = {n: mask for n, mask in masks.items() if scene.labels[mask][0] == found.label}
    if found.kind == "only":
        return list(own)
    if found.kind in ("largest", "smallest"):
        sizes = {n: int(mask.sum()) for n, mask in own.items()}
        best = (max if found.kind == "largest" else min)(sizes.values())
        bounds = (best / RATIO, best) if found.kind == "largest" else (best, best * RATIO)
        return [n for n, size in sizes.items() if bounds[0] < size < bounds[1] or size == best]
    if found.kind == "nearest":
        anchors = [mask for mask in masks.values() if scene.labels[mask][0] == found.anchor]
        assert len(anchors) == 1 or found.anchor in COVERING, "the anchor itself is unique"
        anchor = anchors[0] if found.anchor in COUNTED else scene.labels == found.anchor
        away = {n: distance(mask, anchor) for n, mask in own.items()}
        return [n for n, gap in away.items() if gap <= min(away.values()) + 0.5]
    axis, sign = {"left": (1, 1), "right": (1, -1), "top": (0, 1), "bottom": (0, -1)}[found.kind]
    places = {n: sign * np.argwhere(mask)[:, axis].mean() for n, mask in own.items()}
    return [n for n, at in places.items() if at < min(places.values()) + 0.99 * MARGIN * scene.labels.shape[axis]]


def test_an_expression_fits_exactly_the_thing_it_means(scenes):
    kinds = set()
    for scene in scenes:
        for found in scene.expressions:
            assert fitting(scene, found) == [found.instance], (found, scene.index)
            assert found.mask.sum() >= LEAST and set(np.unique(scene.labels[found.mask])) == {found.label}
            kinds.add(found.kind)
    assert kinds == {"only", "left", "right", "top", "bottom", "largest", "smallest", "nearest"}


def test_most_scenes_have_several_expressions_and_no_sentence_means_two_things(scenes):
    assert np.mean([len(scene.expressions) >= 3 for scene in scenes]) > 0.7
    for scene in scenes:
        sentences = {found.sentence: found.instance for found in scene.expressions}
        assert all(sentences[found.sentence] == found.instance for found in scene.expressions)
        assert len({(f.kind, f.label, f.anchor) for f in scene.expressions}) == len(scene.expressions) <= 8


def test_positional_is_what_a_mirrored_image_would_make_untrue(scenes):
    side = re.compile(r"\b(left|leftmost|right|rightmost|top|topmost|upper|lower|lowest|bottom)\b")
    for scene in scenes:
        for found in scene.expressions:
            assert found.positional == bool(side.search(found.sentence))
            nouns = [pair[0] for pair in COUNTED[found.label]]
            assert any(noun in found.sentence for noun in nouns)
            assert (found.anchor is not None) == (found.kind == "nearest")
