"""A tiny data set of files in the layout of OVRS."""

import numpy as np
import pytest
from PIL import Image


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
