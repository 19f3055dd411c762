"""From references to samples of a referring system, and the check of them."""

import json

import numpy as np
import pytest
import torch
from detectron2.data import transforms as T
from PIL import Image
from sentences import SHIP, TINY, entry_of, write

from ovrs.data.check import check_data, spot_check
from ovrs.data.erasing import RandomErasedBoxes
from ovrs.data.loaders import build_mapper, build_test_loader, build_train_loader, dataset_dicts
from ovrs.data.referring.mapper import ReferringMapper
from ovrs.data.referring.polygons import filled
from ovrs.errors import ConfigError, DataError

# ------------------------------------------------------------------ the mapper


def test_a_sample_is_image_sentence_and_mask(things, referring_cfg):
    sample = build_mapper(referring_cfg, False)(dataset_dicts(referring_cfg, "own_train")[0])
    assert sample["image"].dtype == torch.uint8 and sample["image"].shape == (3, 20, 30)
    assert np.array_equal(sample["image"].permute(1, 2, 0), np.array(Image.open(things / "a.png")))
    assert sample["mask"].dtype == torch.bool and sample["mask"].nonzero().tolist() == [
        [y, x] for y in range(4, 9) for x in range(1, 7)
    ]
    assert (sample["expression"], sample["category"], sample["attributes"]) == ("the ship on the left", "ship", ("location",))
    assert (sample["height"], sample["width"], sample["sample_id"]) == (20, 30, "7")


def test_evaluation_asks_every_sentence_and_training_draws_one(referring_cfg):
    asked = [(sample["sample_id"], sample["expression"]) for (sample,) in build_test_loader(referring_cfg, "own_val")]
    assert asked == [("v, sentence 1", "the ship"), ("v, sentence 2", "the vessel"), ("line 6", "the ship")]
    mapper, entry = build_mapper(referring_cfg, True), dataset_dicts(referring_cfg, "own_train")[1]
    assert {mapper(entry)["expression"] for _ in range(30)} == {"the upper ship", "the big ship"}


def test_every_sample_of_a_batch_has_its_own_sentence(referring_cfg):
    batches = iter(build_train_loader(referring_cfg, sampler_seed=5))
    first, second = next(batches), next(batches)
    assert len({sample["sample_id"] for sample in (*first, *second)}) == 4
    assert all("vocabulary" not in sample for sample in first)


@pytest.mark.parametrize(
    ("steps", "sentence", "move"),
    [
        ([T.RandomFlip(prob=1.0, horizontal=True, vertical=False)], "the ship on the right", lambda mask: mask[:, ::-1]),
        ([T.RandomFlip(prob=1.0, horizontal=False, vertical=True)], "the ship on the left", lambda mask: mask[::-1]),
        ([T.RandomFlip(prob=0.0)], "the ship on the left", lambda mask: mask),
    ],
)
def test_words_follow_what_was_done_to_the_image(things, steps, sentence, move):
    mapper = ReferringMapper(is_train=True, augmentations=steps, flip_words=True)
    sample = mapper(entry_of(things))
    assert sample["expression"] == sentence
    assert np.array_equal(sample["mask"], move(filled([SHIP], 20, 30)))


def test_words_follow_quarter_turns_and_all_else_together(things, referring_cfg):
    referring_cfg.merge_from_list(["INPUT.FLIP", True, "INPUT.QUARTER_TURNS", True, "INPUT.FLIP_WORDS", True])
    mapper, seen = build_mapper(referring_cfg, True), set()
    for seed in range(40):
        np.random.seed(seed)
        sample = mapper(entry_of(things))
        rows, columns = (index.float().mean() + 0.5 for index in sample["mask"].nonzero(as_tuple=True))
        height, width = sample["mask"].shape
        side = {
            "left": columns < width / 2,
            "right": columns > width / 2,
            "top": rows < height / 2,
            "bottom": rows > height / 2,
        }
        word = sample["expression"].rpartition(" ")[2]
        assert side[word], (seed, word)
        seen.add(word)
    assert seen == {"left", "right", "top", "bottom"}


def test_a_sentence_with_a_direction_meets_no_flip_unless_words_are_changed(things, referring_cfg):
    referring_cfg.INPUT.FLIP = True
    said = r"INPUT.FLIP or INPUT.QUARTER_TURNS: .*a.png: 3 of 5 sentences name a direction \('the ship on the left'\)"
    with pytest.raises(ConfigError, match=said):
        build_train_loader(referring_cfg, sampler_seed=1)
    with pytest.raises(ConfigError, match=r"its sentence names a direction .*set both to False, or INPUT.FLIP_WORDS to True"):
        build_mapper(referring_cfg, True)(entry_of(things))
    build_mapper(referring_cfg, True)(entry_of(things, expressions=("the largest ship",)))
    build_mapper(referring_cfg, False)(entry_of(things))
    referring_cfg.INPUT.FLIP_WORDS = True
    build_train_loader(referring_cfg, sampler_seed=1)


def test_an_image_whose_words_cannot_follow_stays_as_it_is(things):
    flip = T.RandomFlip(prob=1.0, horizontal=True, vertical=False)
    mapper = ReferringMapper(is_train=True, augmentations=[flip, T.ResizeShortestEdge(40)], flip_words=True)
    sample = mapper(entry_of(things, expressions=("the car up there",)))
    assert sample["expression"] == "the car up there" and sample["mask"].shape == (40, 60)
    assert sample["mask"][12, 8] and not sample["mask"][12, 50]
    assert mapper(entry_of(things, expressions=("the car",)))["mask"][12, 50]


def test_crops_are_refused(referring_cfg):
    referring_cfg.INPUT.CROP_SIZE = 16
    with pytest.raises(ConfigError, match="INPUT.CROP_SIZE: a crop makes sentences untrue"):
        build_mapper(referring_cfg, True)
    build_mapper(referring_cfg, False)


def test_an_image_and_a_mask_of_different_size_are_refused(things, referring_cfg):
    Image.new("L", (31, 20)).save(things / "mask.png")
    with pytest.raises(DataError, match=r"a.png is 30 x 20 pixels, but its mask is 31 x 20 pixels"):
        build_mapper(referring_cfg, False)(dataset_dicts(referring_cfg, "own_train")[0])


def test_an_empty_mask_is_a_sample_like_any_other(things, referring_cfg):
    Image.new("L", (30, 20)).save(things / "mask.png")
    assert not build_mapper(referring_cfg, True)(dataset_dicts(referring_cfg, "own_train")[0])["mask"].any()


# ------------------------------------------------------------------ blackened boxes


def test_boxes_are_blackened_in_their_share_of_the_images():
    image, mask = np.full((60, 80, 3), 200, np.uint8), np.ones((60, 80), np.uint8)
    step, erased = RandomErasedBoxes(0.2, 2, 4, 8), []
    np.random.seed(0)
    for _ in range(500):
        sample = T.AugInput(image, sem_seg=mask)
        step(sample)
        assert sample.sem_seg.all() and (image == 200).all()
        erased.append(int((sample.image == 0).all(axis=2).sum()))
    share = np.mean(np.array(erased) > 0)
    assert 0.14 < share < 0.26 and max(erased) <= 4 * 64 and min(count for count in erased if count) >= 64


def test_boxes_are_asked_for_by_the_configuration(things, referring_cfg):
    referring_cfg.merge_from_list(["INPUT.ERASED_SHARE", 1.0, "INPUT.ERASED_BOXES", (50, 50), "INPUT.ERASED_SIZE", 40])
    assert not build_mapper(referring_cfg, True)(entry_of(things))["image"].any()  # a box is cut off to what fits
    for key, value in (("ERASED_SHARE", 1.5), ("ERASED_BOXES", (5, 2)), ("ERASED_BOXES", (5,)), ("ERASED_SIZE", 0)):
        changed = referring_cfg.clone()
        changed.INPUT[key] = value
        with pytest.raises(ConfigError, match=f"INPUT.{key} is"):
            build_mapper(changed, True)


# ------------------------------------------------------------------ the check


def test_the_check_counts_what_there_is(referring_cfg):
    train, val = check_data(referring_cfg)
    report = train.report()
    assert "own_train: 4 references: 5 sentences of 2 images; 4 of 30 x 20 pixels" in report
    assert "(not stated)           3" in report and "ship                   1" in report
    assert "sentences by attribute: location 2, size 1, (none) 1, odd 1" in report
    assert "sentences with a direction: 3" in report and "never mirrored or turned, their words not being known: 1" in report
    assert "no problem found" in report and not train.problems
    assert "keys that are not read: area" in val.report() and "0 are empty" in val.report()


def test_the_check_names_what_is_wrong(things, referring_cfg):
    Image.new("L", (31, 20)).save(things / "other.png")
    write(things / "refs.jsonl", [
        {**TINY, "split": "train", "image": "none.png", "id": "lost"},
        {**TINY, "split": "train", "polygon": None, "mask": "none.png"},
        {**TINY, "split": "train", "polygon": None, "mask": "other.png"},
        {**TINY, "split": "train", "polygon": [[90, 90], [99, 90], [99, 99]]},
        {**TINY, "split": "train"},
        {**TINY, "split": "val", "sentence": 3},
    ])  # fmt: skip
    with pytest.raises(DataError, match="line 6: sentence is 3"):
        spot_check(referring_cfg)
    train, val = check_data(referring_cfg)
    assert [problem.kind for problem in val.problems] == ["no references"]
    write(things / "refs.jsonl", [*map(json.loads, (things / "refs.jsonl").read_text().splitlines()[:5])])
    train = check_data(referring_cfg)[0]
    assert {problem.kind for problem in train.problems} == {
        "image that is not there", "mask that is not there", "file that cannot be used", "polygon that covers no pixel",
    }  # fmt: skip
    assert f"lost: {things}/none.png" in train.report()
    assert "said of several things in one image: 1 sentences (the first 'the ship' in" in train.report()


def test_the_spot_check_stops_at_a_wrong_file(things, referring_cfg):
    spot_check(referring_cfg)
    Image.new("L", (31, 20)).save(things / "mask.png")
    with pytest.raises(DataError, match=r"own_train: file that cannot be used: .*a.png is 30 x 20"):
        spot_check(referring_cfg)
