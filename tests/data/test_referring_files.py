"""A user's own sentences: files of references, masks, polygons and descriptions."""

import json
from pathlib import Path

import numpy as np
import pytest
from detectron2.data import MetadataCatalog
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sentences import SHIP, TINY, describe, write

from ovrs.data.catalog import register_files, task_of, vocabulary_of
from ovrs.data.description import read_document
from ovrs.data.loaders import build_mapper, build_test_loader, build_train_loader, dataset_dicts
from ovrs.data.mapper import SegmentationMapper
from ovrs.data.referring.catalog import load_references
from ovrs.data.referring.description import described_references
from ovrs.data.referring.lines import read_references
from ovrs.data.referring.masks import read_mask
from ovrs.data.referring.polygons import filled
from ovrs.errors import ConfigError, DataError

# ------------------------------------------------------------------ files of references


def test_lines_hold_what_they_say(things):
    read = read_references(things / "refs.jsonl", things)
    first, second, third, *_, last = read.entries
    assert (first.name, first.image, first.mask) == ("7", things / "a.png", things / "mask.png")
    assert (first.sentences, first.category, first.split) == (("the ship on the left",), "ship", "train")
    assert second.mask is None and second.rings == (((2.0, 3.0), (8.0, 3.0), (8.0, 9.0), (2.0, 9.0)),)
    assert second.sentences == ("the upper ship", "the big ship") and len(third.rings) == 2
    assert third.name == "line 3" and last.attributes is None and read.unread == ("area",)


def test_a_list_is_read_as_lines_are(things):
    entries = [json.loads(line) for line in (things / "refs.jsonl").read_text().splitlines()]
    (things / "refs.json").write_text(json.dumps(entries, indent=1))
    listed, lines = (read_references(things / name, things) for name in ("refs.json", "refs.jsonl"))
    assert [entry.sentences for entry in listed.entries] == [entry.sentences for entry in lines.entries]
    assert listed.entries[2].name == "entry 3"


def test_blank_lines_and_a_byte_order_mark_do_no_harm(things):
    path = things / "odd.jsonl"
    path.write_text("\ufeff\n" + json.dumps(TINY) + "\r\n\n" + json.dumps({**TINY, "sentence": "é\u2028"}) + "\n", "utf-8")
    assert [entry.name for entry in read_references(path, things).entries] == ["line 2", "line 4"]


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"image": None}, "image is missing; give a text"),
        ({"image": 3}, "image is 3; give a text"),
        ({"image": ""}, "image is ''; give a text"),
        ({"sentence": None}, "sentence is missing; give one sentence"),
        ({"sentences": ["a"]}, "sentence is 'the ship'; give one sentence, or a list"),
        ({"sentence": " "}, "sentence is ' '; give a text"),
        ({"sentence": ["a"]}, "sentence is ['a']; give a text"),
        ({"sentence": "x" * 2000}, "in at most 1,000 characters"),
        ({"sentence": None, "sentences": []}, "sentences is []; give what is said"),
        ({"sentence": None, "sentences": ["a", 4]}, "sentences is ['a', 4]; give a list of texts"),
        ({"polygon": None}, "mask is missing; give one of mask"),
        ({"mask": "m.png"}, "give one of mask (a file), polygon (corners) and polygons (several)"),
        ({"polygon": [[1, 2], [3, 4]]}, "polygon is [[1, 2], [3, 4]]; give [[x, y]"),
        ({"polygon": [1, 2, 3, 4, 5, 6]}, "polygon is [1, 2, 3, 4, 5, 6]; give"),
        ({"polygon": [[1, 2], [3, True], [5, 6]]}, "three corners or more"),
        ({"polygon": None, "polygons": [[[1, 2], [3, 4], ["5", 6]]]}, "polygons is"),
        ({"polygon": None, "polygons": []}, "polygons is []"),
        ({"category": 3}, "category is 3; give a text"),
        ({"attributes": "color"}, "attributes is 'color'; give a list of texts"),
        ({"split": 1}, "split is 1; give a text"),
        ({"id": [1]}, "id is [1]; give a text or a whole number"),
        ({"id": True}, "id is True; give a text or a whole number"),
    ],
)
def test_a_value_that_cannot_work_is_named_by_file_line_and_key(things, change, wrong):
    path = write(things / "bad.jsonl", [TINY, {**TINY, **change}])
    with pytest.raises(DataError) as caught:
        read_references(path, things)
    assert str(caught.value).startswith(f"{path}, line 2: ") and wrong in str(caught.value)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("", "holds no reference"),
        ("[]", "holds no reference"),
        ("{", "line 1: is no JSON (Expecting property name"),
        ('[{"image": "a"},\n {"image" 3}]', "is no JSON (Expecting ':' delimiter at line 2, column 11)"),
        ("3", "line 1: 3 is no object"),
        ("[[1]]", "entry 1: [1] is no object"),
        ('{"image": "a", "image": "b"}', "the key 'image' is there twice"),
        ('{"polygon": [[NaN, 1], [2, 3], [4, 5]]}', "NaN is no number of JSON"),
        ('{"polygon": [[1e400, 1], [2, 3], [4, 5]], "image": "a", "sentence": "b"}', "polygon is [[inf, 1]"),
        ("[" * 100_000, "is no plain JSON"),
        (json.dumps({**TINY, "id": 1}) + "\n" + json.dumps({**TINY, "id": "1"}), "line 2: id is '1', as in line 1"),
    ],
)
def test_files_that_are_none_are_refused(things, text, wrong):
    (things / "bad.jsonl").write_text(text)
    with pytest.raises(DataError) as caught:
        read_references(things / "bad.jsonl", things)
    assert wrong in str(caught.value) and len(str(caught.value)) < 1000


def test_a_file_that_cannot_be_read_is_named(things):
    with pytest.raises(DataError, match=r"none.jsonl: cannot be read: No such file"):
        read_references(things / "none.jsonl", things)
    (things / "latin.jsonl").write_bytes('{"sentence": "é"}'.encode("latin-1"))
    with pytest.raises(DataError, match="is no UTF-8 text"):
        read_references(things / "latin.jsonl", things)


@settings(max_examples=60, deadline=None)
@given(st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["image", "mask", "polygon", "sentence", "id", "split", "x"]), inner, max_size=6),
    max_leaves=12,
))  # fmt: skip
def test_any_document_is_read_or_refused(tmp_path_factory, document):
    path = tmp_path_factory.mktemp("fuzz") / "any.jsonl"
    path.write_text(json.dumps(document))
    try:
        read_references(path, path.parent)
    except DataError as error:
        assert str(path) in str(error)


# ------------------------------------------------------------------ masks


@pytest.mark.parametrize(
    ("mode", "value"), [("L", 255), ("L", 1), ("1", 1), ("P", 3), ("I;16", 500), ("RGB", 255), ("RGBA", 255)]
)
def test_a_mask_is_what_is_not_black(tmp_path, mode, value):
    wanted = np.zeros((6, 5), bool)
    wanted[2:4, 1:3] = True
    pixels = wanted if mode == "1" else (wanted * value).astype(np.uint16 if mode == "I;16" else np.uint8)
    image = Image.fromarray(pixels)
    if mode == "P":
        image.putpalette([0, 0, 0] * 256)
    image = image.convert(mode) if mode in ("RGB", "RGBA") else image
    image.save(tmp_path / "m.png")
    assert np.array_equal(read_mask(str(tmp_path / "m.png")), wanted)


def test_labels_and_lossy_masks_are_refused(tmp_path):
    Image.fromarray(np.array([[0, 1], [2, 2]], np.uint8)).save(tmp_path / "m.png")
    with pytest.raises(DataError, match=r"m.png: holds the values 1, 2 beside 0; the mask of one thing has one"):
        read_mask(str(tmp_path / "m.png"))
    (tmp_path / "x.png").write_bytes(b"\x89PNG")
    with pytest.raises(DataError, match="x.png: not readable as a mask"):
        read_mask(str(tmp_path / "x.png"))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(-8, 24), st.integers(-8, 24)), min_size=3, max_size=3))
def test_a_polygon_covers_the_pixels_whose_centres_lie_inside(corners):
    mask = filled([corners], 12, 16)
    (ax, ay), (bx, by), (cx, cy) = corners
    x, y = np.meshgrid(np.arange(16) + 0.5, np.arange(12) + 0.5)
    sides = np.stack([
        (bx - ax) * (y - ay) - (by - ay) * (x - ax),
        (cx - bx) * (y - by) - (cy - by) * (x - bx),
        (ax - cx) * (y - cy) - (ay - cy) * (x - cx),
    ])  # fmt: skip
    inside, outside = (sides > 0).all(0) | (sides < 0).all(0), (sides < 0).any(0) & (sides > 0).any(0)
    assert mask[inside].all() and not mask[outside].any()


def test_rings_add_up():
    mask = filled([SHIP, [[6, 6], [12, 6], [12, 12], [6, 12]]], 20, 30)
    assert mask.sum() == 36 + 36 - 6 and mask[3, 2] and not mask[2, 2] and not mask[3, 8]


# ------------------------------------------------------------------ descriptions


def test_a_described_set_is_registered_as_referring(referring_cfg):
    train, val = (dataset_dicts(referring_cfg, name) for name in ("own_train", "own_val"))
    assert task_of("own_train") == "referring" and MetadataCatalog.get("own_train").evaluator_type == "referring"
    assert [entry["sample_id"] for entry in train] == ["7", "two", "line 3", "line 4"] and len(val) == 2
    assert train[0]["expressions"] == ("the ship on the left",) and train[3]["attributes"] == ("odd",)
    with pytest.raises(DataError, match="own_train' holds sentences and no classes"):
        vocabulary_of("own_train")


def test_paths_start_at_the_root_that_is_given(things, monkeypatch, referring_cfg):
    monkeypatch.setenv("DETECTRON2_DATASETS", str(things))
    (things / "sub").mkdir()
    (things / "sub/refs.json").write_text(json.dumps([TINY]))
    keys = {"root": "$DETECTRON2_DATASETS", "test": "${DETECTRON2_DATASETS}/sub/refs.json"}
    path = describe(things / "rooted.yaml", **keys)
    row = described_references(read_document(path), path)
    assert row.name == "rooted" and row.splits["test"].root == str(things) and not row.splits["test"].shared
    register_files([path])
    assert load_references("rooted_test")[0]["file_name"] == str(things / "a.png")
    describe(path, test="sub/refs.json")
    register_files([path])
    with pytest.raises(DataError, match=r"1 of 1 images and masks are not there, the first being .*sub/a.png"):
        load_references("rooted_test")


@pytest.mark.parametrize(
    ("keys", "wrong"),
    [
        ({}, "train is None; name the file of references under train, val or test"),
        ({"train": 3}, "train is 3; give a file of JSON lines"),
        ({"train": "x", "classes": ["a"]}, "classes is ['a']; there is no such key"),
        ({"train": "x", "name": "a b"}, "name is 'a b'; give letters"),
        ({"train": "x", "root": ""}, "root is ''; give a folder"),
        ({"train": "x", "task": "guessing"}, "task is 'guessing'; choose segmentation or referring"),
        ({"train": "x", "name": "isaid"}, "there is a data set isaid_train already; rename it"),
        ({"train": "x", "name": "rrsisd"}, "there is a data set rrsisd_train already; rename it"),
    ],
)
def test_a_description_that_cannot_work_is_named(things, keys, wrong):
    path = describe(things / "bad.yaml", **keys)
    with pytest.raises(ConfigError) as caught:
        register_files([path])
    assert str(caught.value).startswith(str(path)) and wrong in str(caught.value)


def test_a_file_of_several_splits_must_say_which_line_is_of_which(things, referring_cfg):
    write(things / "refs.jsonl", [{**TINY, "split": "train"}, TINY])
    with pytest.raises(DataError, match="line 2: split is missing; the file is named for several splits"):
        dataset_dicts(referring_cfg, "own_train")
    write(things / "refs.jsonl", [{**TINY, "split": "train"}])
    with pytest.raises(DataError, match="no reference is of split 'val'; there are train"):
        dataset_dicts(referring_cfg, "own_val")
    (things / "refs.jsonl").unlink()
    with pytest.raises(DataError, match=r"no file .*refs.jsonl, which .*own.yaml names under val"):
        dataset_dicts(referring_cfg, "own_val")


def test_a_set_for_another_task_is_refused(referring_cfg):
    with pytest.raises(ConfigError, match="TASK is 'referring', but data set 'isaid_train' is for 'segmentation'"):
        dataset_dicts(referring_cfg, "isaid_train")
    referring_cfg.DATASETS.TASK = "segmentation"
    with pytest.raises(ConfigError, match="TASK is 'segmentation', but data set 'own_train' is for 'referring'"):
        build_train_loader(referring_cfg, sampler_seed=1)
    assert isinstance(build_mapper(referring_cfg, False), SegmentationMapper)
    referring_cfg.DATASETS.TASK = "both"
    with pytest.raises(ConfigError, match="TASK is 'both'; choose segmentation or referring"):
        build_test_loader(referring_cfg, "own_val")


def test_an_unprepared_set_of_the_table_says_where_it_comes_from(referring_cfg, monkeypatch, tmp_path):
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path))
    with pytest.raises(DataError, match=r"RRSIS-D: no file .*RRSIS-D_refer/train.jsonl; prepare the data set \(from https"):
        dataset_dicts(referring_cfg, "rrsisd_train")


def test_the_example_of_the_small_model_is_described(monkeypatch, tmp_path):
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path))
    path = Path(__file__).parents[2] / "configs/mini/data/refer_isaid.yaml"
    row = described_references(read_document(path), path)
    assert row.name == "refer_isaid" and set(row.splits) == {"train", "val"}
    assert all(place.shared and place.root == str(tmp_path) for place in row.splits.values())


def test_the_lines_of_the_documentation_are_read(tmp_path):
    text = (Path(__file__).parents[2] / "docs/own_data.md").read_text()
    lines = [line.strip() for line in text.splitlines() if line.startswith('    {"image"')]
    (tmp_path / "lines.jsonl").write_text("\n".join(lines))
    read = read_references(tmp_path / "lines.jsonl", tmp_path)
    first, second = read.entries
    assert first.mask == tmp_path / "masks/7.png" and len(second.sentences) == 2 and not read.unread
