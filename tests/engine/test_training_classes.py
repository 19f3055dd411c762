"""Training on one data set and evaluating on others: the report says which of their classes stood in training."""

import json

import numpy as np
import pytest
from PIL import Image

import train_net
from ovrs.config import load_config
from ovrs.data.catalog import vocabulary_of
from ovrs.data.loaders import training_classes
from ovrs.evaluation.base_novel import memberships

# As docs/evaluation.md lists them.
LANDDISCOVER = {
    "flair": ("water", "building, bare soil, herbaceous vegetation, agricultural land", 12),
    "fast": ("Basketball-Court, Bridge, Roundabout, Tennis-Court", "Baseball-Field, Football-Field", 37),
    "potsdam": ("tree", "impervious surface, building, low vegetation, car", 5),
    "floodnet": ("background, water, tree, vehicle, grass", "pool", 10),
}


@pytest.mark.parametrize("name", LANDDISCOVER)
def test_what_of_the_test_sets_stood_in_landdiscover50k(config_file, name):
    trained = training_classes(load_config(str(config_file), ["DATASETS.TRAIN", "('landdiscover50k_train',)"]))
    vocabulary = vocabulary_of(f"{name}_val")
    found = memberships(vocabulary, trained)
    by = {
        match: ", ".join(cls.name for cls, member in zip(vocabulary.classes, found, strict=True) if member.match == match)
        for match in ("name", "synonym")
    }
    assert (by["name"], by["synonym"], len(found)) == LANDDISCOVER[name] and len(trained) == 40


def test_training_classes_are_those_that_train_of_every_set(config_file):
    options = ["DATASETS.TRAIN", "('isaid_train', 'dlrsd_train')", "DATASETS.HIDDEN_CLASSES", "('ship',)"]
    cfg = load_config(str(config_file), options)
    names = [cls.name for cls in training_classes(cfg)]
    assert "ship" not in names and {"plane", "court"} <= set(names) and not {"tennis court", "airplane"} & set(names)
    # Unseen in iSAID, but the other set labels tennis courts.
    tested = vocabulary_of("isaid_val")
    found = dict(zip(tested.names, memberships(tested, training_classes(cfg)), strict=True))
    assert found["tennis court"].trained_class == "court" and found["helicopter"].match is None
    everything = load_config(str(config_file), [*options, "DATASETS.TRAIN_CLASSES", "all"])
    assert "tennis court" in [cls.name for cls in training_classes(everything)]
    assert training_classes(load_config(str(config_file), ["DATASETS.TRAIN", "()"])) == ()


def test_an_evaluation_needs_the_names_of_the_training_set_not_its_files(config_file, tmp_path, monkeypatch):
    command = ["--config-file", str(config_file)]
    assert train_net.run([*command, "DATASETS.TEST", "()", "SOLVER.MAX_ITER", "1"]) == 0
    rng = np.random.default_rng(0)
    for name, shape in (("imgs", (16, 16, 3)), ("D2masks", (16, 16))):
        folder = tmp_path / "FLAIR_split" / "val" / name
        folder.mkdir(parents=True)
        Image.fromarray(rng.integers(0, 12, shape).astype(np.uint8)).save(folder / "tile.png")
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path))
    options = [
        "DATASETS.TRAIN",
        "('landdiscover50k_train',)",
        "DATASETS.TEST",
        "('flair_val',)",
        "OUTPUT_DIR",
        str(tmp_path / "new"),
    ]
    weights = ["MODEL.WEIGHTS", str(tmp_path / "output" / "model_final.pth")]
    assert train_net.run([*command, "--eval-only", *weights, *options]) == 0
    content = json.loads((tmp_path / "new" / "inference" / "flair_val" / "report.json").read_text())
    base = [row["iou"] for row in content["classes"] if row["group"] == "base"]
    novel = [row["iou"] for row in content["classes"] if row["group"] == "novel"]
    assert len(base) == 5 and len(novel) == 7 and None not in base + novel
    assert content["summary"]["base-mIoU"] == pytest.approx(sum(base) / 5)
    assert content["summary"]["novel-mIoU"] == pytest.approx(sum(novel) / 7)
    assert content["summary"]["named-base-mIoU"] == pytest.approx(content["classes"][4]["iou"])
    assert not {"s-mIoU", "u-mIoU"} & content["summary"].keys()
