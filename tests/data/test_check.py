import importlib.util
from pathlib import Path

import numpy as np
import pytest
from detectron2.config import get_cfg
from PIL import Image

from ovrs.config import add_ovrs_config
from ovrs.data.check import check_data, spot_check
from ovrs.errors import ConfigError, DataError


@pytest.fixture
def cfg(isaid_root):
    cfg = get_cfg()
    add_ovrs_config(cfg)
    cfg.DATALOADER.NUM_WORKERS = 0
    cfg.DATASETS.TRAIN = ("isaid_train",)
    cfg.DATASETS.TEST = ("isaid_val",)
    return cfg


def put_mask(root, labels, name="tile_1", split="train"):
    Image.fromarray(np.asarray(labels, dtype=np.uint8)).save(root / f"iSAID_split/{split}/D2masks/{name}.png")


def add_tiles(root, count):
    """So many more training tiles, copies of the first."""
    for kind in ("imgs", "D2masks"):
        tile = (root / f"iSAID_split/train/{kind}/tile_0.png").read_bytes()
        for index in range(2, 2 + count):
            (root / f"iSAID_split/train/{kind}/tile_{index:03}.png").write_bytes(tile)


def test_sizes_shares_and_absent_classes_of_sound_data(isaid_root, cfg):
    labels = np.zeros((32, 40), np.uint8)
    labels[:, 30:] = 255
    for name in ("tile_0", "tile_1"):
        put_mask(isaid_root, labels, name)
    train, val = check_data(cfg)
    assert not train.problems and not val.problems
    assert (train.total, train.looked_at, val.total) == (2, 2, 1)
    assert dict(train.sizes) == {(40, 32): 2}
    assert train.pixels.tolist() == [2 * 32 * 30, *[0] * 14, 2 * 32 * 10]
    assert train.images.tolist() == [2, *[0] * 14]
    assert train.absent == list(train.vocabulary.names[1:]) and not val.absent
    report = train.report()
    assert "isaid_train: 2 images; 2 of 40 x 32 pixels" in report
    assert "75.00%" in report and "25.00%" in report and "no problem found" in report
    assert "never occurs: storage tank, baseball diamond" in report


def test_every_kind_of_problem_is_named_by_file_and_value(isaid_root, cfg):
    folder = isaid_root / "iSAID_split/train"
    add_tiles(isaid_root, 4)
    wrong = np.zeros((32, 40))
    wrong[0, :3], wrong[1, :7] = 15, 99
    put_mask(isaid_root, wrong, "tile_1")
    put_mask(isaid_root, np.zeros((32, 41)), "tile_002")
    (folder / "D2masks/tile_003.png").unlink()
    (folder / "imgs/tile_004.png").write_bytes(b"no image")
    with (folder / "D2masks/tile_005.png").open("r+b") as file:
        file.truncate(70)
    train, val = check_data(cfg)
    found = [(problem.kind, problem.text) for problem in train.problems]
    assert sorted(kind for kind, _ in found) == [
        "file that cannot be read",
        "file that cannot be read",
        "image and mask of different size",
        "image without mask",
        "value that no class has",
        "value that no class has",
    ]
    texts = "\n".join(text for _, text in found)
    assert f"{folder}/D2masks/tile_1.png: label 15 on 3 pixels" in texts
    assert f"{folder}/D2masks/tile_1.png: label 99 on 7 pixels" in texts
    assert f"{folder}/imgs/tile_002.png: 40 x 32 pixels, its mask 41 x 32" in texts
    assert f"{folder}/imgs/tile_003.png: no {folder}/D2masks/tile_003.png" in texts
    assert f"{folder}/imgs/tile_004.png: not readable" in texts
    assert f"{folder}/D2masks/tile_005.png: not readable" in texts
    assert train.looked_at == 6 and not val.problems
    assert "PROBLEM: value that no class has (2)" in train.report()


def test_files_that_are_not_read_as_images_are_noted(isaid_root, cfg):
    folder = isaid_root / "iSAID_split/train/imgs"
    Image.new("RGB", (40, 32)).save(folder / "tile_9.JPG")
    (folder / ".hidden").write_text("")
    train, val = check_data(cfg)
    assert train.left_out == ["tile_9.JPG"] and not val.left_out and not train.problems
    assert "1 files (tile_9.JPG)" in train.report() and "left out" not in val.report()


def test_a_long_list_of_problems_is_cut(isaid_root, cfg):
    add_tiles(isaid_root, 20)
    for index in range(2, 22):
        put_mask(isaid_root, np.full((32, 40), 77), f"tile_{index:03}")
    report = check_data(cfg)[0].report()
    assert report.count("label 77") == 10 and "and 10 more" in report


def test_several_processes_find_the_same(isaid_root, cfg, monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    add_tiles(isaid_root, 20)
    put_mask(isaid_root, np.full((32, 40), 77), "tile_013")
    alone = check_data(cfg)[0]
    cfg.DATALOADER.NUM_WORKERS = 2
    assert check_data(cfg)[0].report() == alone.report()


def test_a_data_set_without_files_is_a_problem_of_its_own(isaid_root, cfg):
    cfg.DATASETS.TRAIN = ("dlrsd_train", "isaid_train")
    absent, train, _ = check_data(cfg)
    assert [problem.kind for problem in absent.problems] == ["no files"] and "DLRSD_split/train/imgs" in absent.report()
    assert not train.problems


def test_of_scenes_a_few_are_looked_at(cfg):
    cfg.DATASETS.TRAIN, cfg.DATASETS.TEST = (), ("scenes_val",)
    cfg.DATASETS.SCENES.VAL_SIZE, cfg.DATASETS.SCENES.IMAGE_SIZE = 500, 32
    (check,) = check_data(cfg)
    assert (check.total, check.looked_at) == (500, 8)
    assert "500 images, 8 of them looked at; 8 of 32 x 32" in check.report()


def test_no_data_set_is_an_error(cfg):
    cfg.DATASETS.TRAIN = cfg.DATASETS.TEST = ()
    with pytest.raises(ConfigError, match=r"neither DATASETS\.TRAIN nor DATASETS\.TEST"):
        check_data(cfg)


def test_the_spot_check_finds_a_wrong_mapping_at_once(isaid_root, cfg):
    spot_check(cfg)
    put_mask(isaid_root, np.full((32, 40), 15), "tile_0", "val")
    with pytest.raises(DataError, match=r"isaid_val: value that .*tile_0\.png: label 15 on 1,280 pixels.*--check-data"):
        spot_check(cfg)


def test_unseen_classes_that_are_trained_on_are_named(isaid_root, cfg, caplog):
    spot_check(cfg)
    assert "though called unseen" not in check_data(cfg)[0].report() + caplog.text
    cfg.DATASETS.TRAIN_CLASSES = "all"
    train, val = check_data(cfg)
    named = "trained on, though called unseen: tennis court, bridge, small vehicle, helicopter, soccer ball field, harbor ("
    assert named in train.report() and "though called unseen" not in val.report()
    spot_check(cfg)
    assert f"isaid_train: {named}" in caplog.text and "isaid_val" not in caplog.text


def test_the_spot_check_reads_only_a_few_files(isaid_root, cfg, monkeypatch):
    from ovrs.data import check

    add_tiles(isaid_root, 100)
    looked_at = []
    original = check.look_at
    monkeypatch.setattr(check, "look_at", lambda entry: looked_at.append(entry["file_name"]) or original(entry))
    spot_check(cfg)
    train = [name for name in looked_at if "/train/" in name]
    assert len(train) == 8 and "tile_0.png" in train[0]


def test_the_command_prints_the_table_and_exits_with_2_where_something_is_wrong(isaid_root, capfd):
    spec = importlib.util.spec_from_file_location("train_net", Path(__file__).parents[2] / "train_net.py")
    train_net = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(train_net)
    command = ["--config-file", "mini", "--check-data", "DATASETS.TRAIN", "('isaid_train',)", "DATASETS.TEST", "()"]
    assert train_net.run(command) == 0
    printed = capfd.readouterr()
    assert "isaid_train: 2 images" in printed.out and "no problem found" in printed.out and "error" not in printed.err
    put_mask(isaid_root, np.full((32, 40), 44))
    assert train_net.run(command) == 2
    printed = capfd.readouterr()
    assert "PROBLEM: value that no class has (1)" in printed.out
    (error,) = (line for line in printed.err.splitlines() if "error" in line)
    assert "isaid_train: value that no class has" in error and "tile_1.png: label 44 on 1,280 pixels" in error
