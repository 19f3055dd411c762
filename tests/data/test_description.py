import json
import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from detectron2.config import get_cfg
from detectron2.data import DatasetCatalog, MetadataCatalog
from PIL import Image

from ovrs.config import add_ovrs_config
from ovrs.data import catalog
from ovrs.data.catalog import encoding_of, load_split, register_files, vocabulary_of
from ovrs.data.description import find_description, read_description, read_document
from ovrs.data.loaders import build_test_loader
from ovrs.data.mapper import SegmentationMapper
from ovrs.data.referring.description import described_references
from ovrs.data.table import DATA_SETS
from ovrs.errors import ConfigError, DataError

FIELDS = {
    "name": "my_fields",
    "classes": [
        {"name": "wheat", "synonyms": ["cereal"], "color": [230, 200, 84], "value": [3, 4]},
        {"name": "maize", "color": "#8ecc58", "value": 700, "seen": False},
    ],
    "ignore": [0],
    "train": {"images": "photos", "masks": "labels", "image_suffix": ".jpg"},
}

WHEAT, MAIZE = (230, 200, 84), (142, 204, 88)


@pytest.fixture(autouse=True)
def registry():
    """What a test registers is gone after it."""
    before = dict(catalog._registered)
    yield
    for key in set(catalog._registered) - set(before):
        forget(key)


def forget(key):
    del catalog._registered[key]
    DatasetCatalog.remove(key)
    MetadataCatalog.remove(key)


def described(folder, **changes):
    """The YAML of ``FIELDS`` with changes; a None takes a key out."""
    document = {key: value for key, value in {**FIELDS, **changes}.items() if value is not None}
    path = folder / "my_fields.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


def with_mask(folder, mask, stem="a"):
    """One image and its mask where ``FIELDS`` says."""
    for name in ("photos", "labels"):
        (folder / name).mkdir(exist_ok=True)
    Image.new("RGB", mask.size, (90, 120, 60)).save(folder / f"photos/{stem}.jpg")
    mask.save(folder / f"labels/{stem}.png")


def labels_of(path):
    register_files([path])
    entry = {**DatasetCatalog.get("my_fields_train")[0], "dataset_name": "my_fields_train"}
    return SegmentationMapper(is_train=False)(entry)["sem_seg"].numpy()


def test_classes_folders_and_metadata_come_from_the_file(tmp_path):
    register_files([described(tmp_path, title="My fields")])
    vocabulary = vocabulary_of("my_fields_train")
    assert vocabulary.classes[0].words == ("wheat", "cereal")
    assert [cls.seen for cls in vocabulary.classes] == [True, False]
    assert MetadataCatalog.get("my_fields_train").stuff_colors == [list(WHEAT), list(MAIZE)]
    assert "my_fields_val" not in DatasetCatalog
    with_mask(tmp_path, Image.new("L", (4, 4)))
    (entry,) = DatasetCatalog.get("my_fields_train")
    assert entry == {"file_name": str(tmp_path / "photos/a.jpg"), "sem_seg_file_name": str(tmp_path / "labels/a.png")}


def test_any_ids_become_labels(tmp_path):
    codes = np.array([[0, 3, 4, 700, 255]], dtype=np.uint16)
    with_mask(tmp_path, Image.fromarray(codes))
    assert labels_of(described(tmp_path)).tolist() == [[255, 0, 0, 1, 255]]


def test_ids_are_the_places_of_classes_where_none_are_given(tmp_path):
    with_mask(tmp_path, Image.fromarray(np.array([[0, 1, 255]], dtype=np.uint8)))
    assert labels_of(described(tmp_path, classes=["wheat", "maize"], ignore=None)).tolist() == [[0, 1, 255]]


def test_colours_become_labels(tmp_path):
    pixels = np.array([[WHEAT, MAIZE, (0, 0, 0), (1, 2, 3)]], dtype=np.uint8)
    classes = [{"name": "wheat", "color": list(WHEAT)}, {"name": "maize", "value": [list(MAIZE), "#010203"]}]
    for mask in (Image.fromarray(pixels), Image.fromarray(pixels).convert("RGBA")):
        with_mask(tmp_path, mask)
        assert labels_of(described(tmp_path, classes=classes, masks="rgb", ignore="#000000")).tolist() == [[0, 1, 255, 1]]


def test_a_palette_says_which_index_is_which_class(tmp_path):
    mask = Image.fromarray(np.array([[9, 5, 0]], dtype=np.uint8), mode="P")
    palette = np.zeros((256, 3), dtype=np.uint8)
    palette[9], palette[5] = WHEAT, MAIZE
    mask.putpalette(palette.tobytes())
    with_mask(tmp_path, mask)
    classes = [{"name": "wheat", "color": list(WHEAT)}, {"name": "maize", "color": list(MAIZE)}]
    path = described(tmp_path, classes=classes, masks="palette", ignore=[[0, 0, 0]])
    assert labels_of(path).tolist() == [[0, 1, 255]]
    with_mask(tmp_path, Image.new("L", (2, 1)))
    with pytest.raises(DataError, match=r"labels/a\.png: no palette image, but mode L"):
        labels_of(path)


def test_others_are_ignored_where_asked_for(tmp_path):
    with_mask(tmp_path, Image.fromarray(np.array([[3, 9, 200]], dtype=np.uint8)))
    assert labels_of(described(tmp_path, ignore="others")).tolist() == [[0, 255, 255]]


@pytest.mark.parametrize(
    ("masks", "classes", "mask", "message"),
    [
        (
            "index",
            FIELDS["classes"],
            Image.new("L", (3, 2), 7),
            r"label 7 on 6 pixels, but .* 2 classes \(3, 4, 700; 0, 255",
        ),
        (
            "rgb",
            [{"name": "wheat", "color": [1, 2, 3]}],
            Image.new("RGB", (3, 2), (1, 2, 4)),
            r"colour #010204 on 6 pixels.*\(#010203; #000000 is ignored\)",
        ),
    ],
)
def test_a_value_that_no_class_has_is_named(tmp_path, masks, classes, mask, message):
    with_mask(tmp_path, mask)
    ignore = [0] if masks == "index" else [[0, 0, 0]]
    with pytest.raises(DataError, match=rf"labels/a\.png: {message}"):
        labels_of(described(tmp_path, masks=masks, classes=classes, ignore=ignore))


def test_a_row_of_the_table_in_another_place(tmp_path):
    with_mask(tmp_path, Image.fromarray(np.array([[0, 1, 15]], dtype=np.uint8)))
    path = described(tmp_path, classes="isaid", values=list(range(1, 16)), ignore=0)
    assert labels_of(path).tolist() == [[255, 0, 14]]
    assert vocabulary_of("my_fields_train") == DATA_SETS["isaid"].vocabulary


def test_classes_from_a_vocabulary_file_beside_it(tmp_path):
    (tmp_path / "words.json").write_text(json.dumps(["wheat, cereal", "maize"]))
    assert read_description(described(tmp_path, classes="words.json", ignore=None)).row.vocabulary.names == ("wheat", "maize")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "my fields"}, "name is 'my fields'"),
        ({"masks": "colour"}, "masks is 'colour'; choose index, palette, rgb"),
        ({"classes": None}, "classes is None"),
        ({"classes": "nowhere"}, "classes is 'nowhere'"),
        ({"classes": "absent.yaml"}, "absent.yaml"),
        ({"classes": ["wheat", "Wheat"]}, "'Wheat' is given twice"),
        ({"classes": [{"name": "wheat", "colour": [1, 2, 3]}]}, "unknown key 'colour'"),
        ({"classes": [{"name": "wheat", "value": -1}]}, "value of class 'wheat' is -1"),
        ({"classes": [{"name": "wheat", "value": "3"}]}, "value of class 'wheat' is '3'"),
        ({"classes": [{"name": "a", "value": 1}, {"name": "b", "value": [2, 1]}]}, "class 'a' has it already"),
        ({"classes": [{"name": "a", "value": []}]}, "the list is empty"),
        ({"values": [1, 2]}, "not both"),
        ({"classes": ["a", "b"], "values": [1]}, r"values is \[1\]; give an entry for each of the 2 classes"),
        ({"masks": "rgb", "classes": ["wheat"]}, "masks are rgb, so the class needs a color or a value"),
        ({"masks": "rgb", "classes": [{"name": "a", "value": [1, 2, 256]}]}, r"value of class 'a' is \[1, 2, 256\]"),
        ({"ignore": [0, 3]}, r"ignore is \[0, 3\]; it is also the value of a class"),
        ({"ignore": "rest"}, "ignore is 'rest'"),
        ({"train": None}, "train is None; say where"),
        ({"train": "photos"}, "train is 'photos'"),
        ({"train": {"images": "photos"}}, "train.masks is None; give a folder"),
        ({"train": {"images": "a", "masks": "b", "suffix": ".png"}}, "train.suffix is '.png'; there is no such key"),
        ({"train": {"images": "a", "masks": "b", "mask_suffix": 3}}, "train.mask_suffix is 3"),
        ({"val": {"images": "a"}}, "val.masks is None"),
        ({"labels": 3}, "labels is 3; there is no such key"),
        ({"title": 3}, "title is 3"),
    ],
)
def test_what_cannot_be_is_named_by_file_key_and_value(tmp_path, changes, message):
    with pytest.raises(ConfigError, match=rf"my_fields\.yaml: .*{message}"):
        read_description(described(tmp_path, **changes))


@pytest.mark.parametrize(
    ("text", "message"), [("- a", "describes no data set"), ("name: [", "not valid YAML"), (None, "No such")]
)
def test_a_file_that_is_no_description_is_refused(tmp_path, text, message):
    path = tmp_path / "my_fields.yaml"
    if text:
        path.write_text(text)
    with pytest.raises(ConfigError, match=rf"my_fields\.yaml.*{message}"):
        read_description(path)


def test_a_name_that_is_taken_is_refused_and_a_file_may_change(tmp_path):
    with pytest.raises(ConfigError, match="name is 'isaid'; there is a data set isaid_train already"):
        register_files([described(tmp_path, name="isaid")])
    register_files([described(tmp_path)])
    register_files([described(tmp_path, classes=["barley"], ignore=None)])
    assert vocabulary_of("my_fields_train").names == ("barley",)
    assert len(encoding_of("my_fields_train").codes) == 1
    (tmp_path / "other").mkdir()
    with pytest.raises(ConfigError, match=r"described by .*my_fields\.yaml; rename it"):
        register_files([described(tmp_path / "other")])


def test_a_missing_folder_names_the_description(tmp_path):
    register_files([described(tmp_path)])
    with pytest.raises(DataError, match=r"no folder .*photos, which .*my_fields\.yaml names under train"):
        DatasetCatalog.get("my_fields_train")


def test_a_suffix_may_be_more_than_the_ending(tmp_path):
    with_mask(tmp_path, Image.new("L", (4, 4), 3))
    (tmp_path / "photos/a.jpg").rename(tmp_path / "photos/a_RGB.JPG")
    (tmp_path / "labels/a.png").rename(tmp_path / "labels/a_label.png")
    suffixes = {"image_suffix": "_rgb.jpg", "mask_suffix": "_label.png"}
    path = described(tmp_path, train={"images": "photos", "masks": str(tmp_path / "labels"), **suffixes})
    assert (labels_of(path) == 0).all()


def test_a_worker_that_inherits_no_registry_learns_of_the_data_set(tmp_path):
    with_mask(tmp_path, Image.new("L", (4, 4), 3))
    cfg = get_cfg()
    add_ovrs_config(cfg)
    cfg.DATALOADER.NUM_WORKERS = 1
    cfg.DATASETS.FILES = (str(described(tmp_path)),)
    register_files(cfg.DATASETS.FILES)
    loader = build_test_loader(cfg, "my_fields_train")
    forget("my_fields_train")
    ((sample,),) = loader
    assert sample["vocabulary"].names == ("wheat", "maize")
    register_files(cfg.DATASETS.FILES)


def test_a_described_set_is_loaded_as_any_other(tmp_path):
    with_mask(tmp_path, Image.new("L", (4, 4), 4))
    cfg = get_cfg()
    add_ovrs_config(cfg)
    cfg.DATALOADER.NUM_WORKERS = 0
    cfg.DATASETS.FILES = (str(described(tmp_path)),)
    register_files(cfg.DATASETS.FILES)
    ((sample,),) = build_test_loader(cfg, "my_fields_train")
    assert sample["vocabulary"].names == ("wheat", "maize") and (sample["sem_seg"] == 0).all()


def test_folders_may_name_environment_variables(tmp_path, monkeypatch):
    train = {"images": "$FIELDS/photos", "masks": "${DETECTRON2_DATASETS}/labels"}
    path = described(tmp_path, train=train)
    monkeypatch.setenv("FIELDS", str(tmp_path / "elsewhere"))
    monkeypatch.delenv("DETECTRON2_DATASETS", raising=False)
    monkeypatch.chdir(tmp_path)
    layout = read_description(path).row.splits["train"]
    assert (layout.images, layout.masks) == (str(tmp_path / "elsewhere/photos"), str(tmp_path / "datasets/labels"))


def test_a_description_is_also_found_beside_the_configurations(tmp_path, monkeypatch):
    here = described(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert find_description("my_fields.yaml").absolute() == here
    assert find_description("configs/mini/aeroseg.yaml").is_file()


def test_the_examples_of_the_documentation_are_valid(tmp_path):
    text = (Path(__file__).parents[2] / "docs/own_data.md").read_text()
    examples = re.findall(r"```yaml\n(.*?)```", text, flags=re.DOTALL)
    names = []
    for example in examples:
        path = tmp_path / "example.yaml"
        path.write_text(example)
        document = read_document(path)
        described = described_references(document, path) if document.get("task") == "referring" else read_description(path).row
        names.append(described.name)
    assert names == ["my_fields", "isaid512", "my_floods", "my_ships"]


@pytest.mark.parametrize(
    ("rule", "held"), [({"every": 2}, ["a", "c", "e"]), ({"names": "[bd].jpg"}, ["b", "d"])], ids=["every", "names"]
)
def test_hold_out_parts_one_folder(tmp_path, rule, held):
    for name in "abcde":
        with_mask(tmp_path, Image.new("L", (4, 4), 4), stem=name)
    register_files((str(described(tmp_path, hold_out=rule)),))
    stems = {split: [Path(entry["file_name"]).stem for entry in load_split(f"my_fields_{split}")] for split in ("train", "val")}
    assert stems == {"train": sorted(set("abcde") - set(held)), "val": held}


@pytest.mark.parametrize(
    "rule", [{"every": 1}, {"every": "two"}, {"names": ""}, {"share": 0.2}, {"every": 2, "names": "a*"}, 5]
)
def test_a_hold_out_rule_that_cannot_work_is_refused(tmp_path, rule):
    with pytest.raises(ConfigError, match="hold_out"):
        read_description(described(tmp_path, hold_out=rule))


def test_a_hold_out_that_leaves_nothing_is_named(tmp_path):
    with_mask(tmp_path, Image.new("L", (4, 4), 4))
    register_files((str(described(tmp_path, hold_out={"every": 2})),))
    with pytest.raises(DataError, match="hold_out leaves no image"):
        load_split("my_fields_train")
