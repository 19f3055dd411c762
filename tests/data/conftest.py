"""Tiny data sets of files: in the layout of OVRS, and of sentences. Tests that look up no place."""

import numpy as np
import pytest
from detectron2.config import get_cfg
from detectron2.data import DatasetCatalog, MetadataCatalog
from PIL import Image
from sentences import write_set

from ovrs.climate import lookup
from ovrs.config import add_ovrs_config
from ovrs.data.referring import catalog


@pytest.fixture
def isaid_root(tmp_path, monkeypatch):
    """Two training images and one to validate, 40 x 32 pixels; labels 0..14 in columns, the last column ignored."""
    rng = np.random.default_rng(0)
    labels = np.tile(np.minimum(np.arange(40) * 15 // 39, 14), (32, 1)).astype(np.uint8)
    labels[:, -1] = 255
    for split, count in (("train", 2), ("val", 1)):
        for kind in ("imgs", "D2masks"):
            (tmp_path / "iSAID_split" / split / kind).mkdir(parents=True)
        for index in range(count):
            pixels = rng.integers(0, 256, (32, 40, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / f"iSAID_split/{split}/imgs/tile_{index}.png")
            Image.fromarray(labels).save(tmp_path / f"iSAID_split/{split}/D2masks/tile_{index}.png")
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path))
    return tmp_path


@pytest.fixture
def things(tmp_path):
    """The folder of a referring data set, ``own``, that is described in ``own.yaml``."""
    write_set(tmp_path)
    return tmp_path


@pytest.fixture
def referring_cfg(things):
    """A configuration that trains on ``own`` without any augmentation; what it registers goes at the end."""
    cfg = get_cfg()
    add_ovrs_config(cfg)
    cfg.DATALOADER.NUM_WORKERS = 0
    cfg.SOLVER.IMS_PER_BATCH = 2
    cfg.DATASETS.TASK = "referring"
    cfg.DATASETS.FILES = (str(things / "own.yaml"),)
    cfg.DATASETS.TRAIN, cfg.DATASETS.TEST = ("own_train",), ("own_val",)
    cfg.INPUT.MIN_SIZE_TRAIN, cfg.INPUT.CROP_SIZE = (0,), 0
    cfg.INPUT.FLIP = cfg.INPUT.COLOR_JITTER = False
    before = set(catalog._registered)
    yield cfg
    for name in set(catalog._registered) - before:
        del catalog._registered[name]
        DatasetCatalog.remove(name)
        MetadataCatalog.remove(name)


@pytest.fixture
def no_map(monkeypatch):
    """No zone is looked up on the world map."""
    monkeypatch.setattr(lookup, "zone_at", lambda *place: pytest.fail(f"looked up {place}"))
