"""The expressions of drawn scenes: a data set of their own, and the judge of whether moved words stay true."""

import re

import numpy as np
import pytest
from detectron2.config import get_cfg

from ovrs.config import add_ovrs_config
from ovrs.data.loaders import build_test_loader, build_train_loader, dataset_dicts
from ovrs.data.referring import scenes
from ovrs.data.referring.attributes import attributes_of
from ovrs.data.referring.directions import is_moved_by, moved
from ovrs.data.referring.mapper import ReferringMapper
from ovrs.data.scenes import SCENE_CLASSES, draw_scene

TURNS = {
    "mirror": lambda pixels: pixels[:, ::-1],
    "overturn": lambda pixels: pixels[::-1],
    "turn": np.rot90,
}
# What a sentence of one direction says: the axis (0 across, 1 down) and the side.
CLAIMS = {
    (0, -1): r"left",
    (0, 1): r"right",
    (1, -1): r"top|upper|highest",
    (1, 1): r"bottom|lower|lowest",
}


@pytest.fixture
def cfg():
    cfg = get_cfg()
    add_ovrs_config(cfg)
    cfg.DATALOADER.NUM_WORKERS = 0
    cfg.SOLVER.IMS_PER_BATCH = 3
    cfg.DATASETS.TASK = "referring"
    cfg.DATASETS.TRAIN = ("scenes_refer_train",)
    cfg.DATASETS.SCENES.TRAIN_SIZE = 6
    cfg.DATASETS.SCENES.VAL_SIZE = 5
    cfg.DATASETS.SCENES.IMAGE_SIZE = 96
    cfg.INPUT.MIN_SIZE_TRAIN = (96,)
    cfg.INPUT.CROP_SIZE = 0
    cfg.INPUT.FLIP_WORDS = True
    return cfg


def claim(sentence):
    """The axis and side that a sentence says its thing is farthest to; it says one."""
    found = [where for where, words in CLAIMS.items() if re.search(rf"\b(?:{words})(?:most)?\b", sentence)]
    assert len(found) == 1, sentence
    return found[0]


def is_true(sentence, instances, number, like):
    """Whether the thing lies farther than all of its like to the side that the sentence names."""
    axis, side = claim(sentence)
    places = {other: np.argwhere(instances == other).mean(axis=0)[1 - axis] * side for other in like}
    return max(places, key=places.get) == number


@pytest.mark.parametrize("index", range(8))
def test_a_direction_stays_true_when_image_and_words_are_moved_together(index):
    scene = draw_scene(3, index, size=192)
    judged = 0
    for found in scene.expressions:
        like = [thing.number for thing in scene.things if thing.label == found.label]
        for moves in (["mirror"], ["overturn"], ["turn"], ["turn", "turn"], ["turn", "turn", "turn"], ["mirror", "turn"]):
            instances = scene.instances
            for move in moves:
                instances = TURNS[move](instances)
            sentence = moved(found.sentence, moves)
            if not found.positional:
                assert sentence == found.sentence
                continue
            assert is_true(found.sentence, scene.instances, found.instance, like)
            assert is_true(sentence, instances, found.instance, like), f"{found.sentence} -> {sentence}"
            if sentence != found.sentence and "turn" not in moves:  # a thing may be both leftmost and lowest
                assert not is_true(found.sentence, instances, found.instance, like)
            judged += 1
    assert judged or not any(found.positional for found in scene.expressions)


def test_the_scenes_own_mark_agrees_with_the_words():
    for index in range(12):
        for found in draw_scene(4, index, size=128).expressions:
            assert found.positional == is_moved_by(found.sentence, ["mirror", "overturn"]), found.sentence
            assert ("location" in attributes_of(found.sentence)) >= found.positional
            if found.kind in ("largest", "smallest"):
                assert attributes_of(found.sentence) == ("size",)
            if found.kind == "only":
                assert attributes_of(found.sentence) == ()


def test_an_evaluation_asks_one_expression_of_each_scene_always_the_same(cfg):
    first, second = (list(build_test_loader(cfg, "scenes_refer_val")) for _ in range(2))
    assert len(first) == 5 and len({batch[0]["sample_id"] for batch in first}) == 5
    for (one,), (other,) in zip(first, second, strict=True):
        assert one["expression"] == other["expression"] and bool((one["mask"] == other["mask"]).all())
        assert one["image"].shape == (3, 96, 96) and one["mask"].any()
    drawn = [draw_scene(1, index, size=96) for index in range(5)]
    scene = next(scene for scene in drawn if scene.expressions)
    sample = first[scene.index][0]
    (found,) = [said for said in scene.expressions if said.sentence == sample["expression"]]
    assert np.array_equal(sample["mask"], found.mask) and sample["category"] == SCENE_CLASSES[found.label].name
    assert np.array_equal(sample["image"].permute(1, 2, 0), scene.image)


def test_training_draws_among_the_expressions_of_a_scene(cfg):
    entry = dataset_dicts(cfg, "scenes_refer_train")[2]
    mapper = ReferringMapper(is_train=True)
    np.random.seed(0)
    said = {mapper(entry)["expression"] for _ in range(40)}
    assert said == {found.sentence for found in draw_scene(0, 2, size=96).expressions} and len(said) > 3


def test_nothing_is_drawn_before_it_is_asked_for(cfg, monkeypatch):
    monkeypatch.setattr("ovrs.data.scenes.draw_scene", lambda *args, **keys: pytest.fail("drawn"))
    assert len(dataset_dicts(cfg, "scenes_refer_train")) == 6


def test_a_scene_of_which_nothing_can_be_said_gives_way_to_one_of_no_other_entry(monkeypatch):
    drawn = []

    def draw(seed, index, *, size, **where):
        drawn.append(index)
        scene = draw_scene(seed, 2, size=size)
        if index < 20:
            object.__setattr__(scene, "expressions", ())
        return scene

    monkeypatch.setattr("ovrs.data.scenes.draw_scene", draw)
    entry = {"scene_seed": 0, "scene_index": 3, "scene_size": 96, "scene_step": 10}
    assert scenes.drawn_scene(entry).expressions and drawn == [3, 13, 23]


def test_a_scene_is_drawn_once_as_long_as_memory_lasts(monkeypatch):
    drawn = []
    monkeypatch.setattr("ovrs.data.scenes.draw_scene", lambda *args, **keys: drawn.append(args) or draw_scene(*args, **keys))
    monkeypatch.setattr(scenes, "_kept", {})
    entries = [{"scene_seed": 1, "scene_index": index, "scene_size": 128, "scene_step": 50} for index in (4, 6, 4, 6)]
    each = 128 * 128 * 5  # bytes: three channels, and two for the number of the thing
    first, _, again, _ = (scenes.drawn_scene(entry, kept_bytes=each) for entry in entries)
    assert [index for _, index in drawn] == [4, 6, 6] and again is first


def test_batches_follow_from_the_seed_alone(cfg):
    cfg.INPUT.QUARTER_TURNS = True
    first, second = (next(iter(build_train_loader(cfg, sampler_seed=3))) for _ in range(2))
    assert len(first) == 3
    for one, other in zip(first, second, strict=True):
        assert one["expression"] == other["expression"] and bool((one["image"] == other["image"]).all())
        assert one["mask"].shape == one["image"].shape[1:] and one["mask"].any()
