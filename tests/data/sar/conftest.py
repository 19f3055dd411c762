"""Three pairs of image and SAR; what a test registers is gone after it."""

import numpy as np
import pytest
from detectron2.data import DatasetCatalog, MetadataCatalog
from PIL import Image
from sar_pairs import NAMES
from sar_rasters import write_raster

from ovrs.data import catalog


@pytest.fixture(autouse=True)
def registry():
    """What a test registers is gone after it."""
    before = set(catalog._registered)
    yield
    for key in set(catalog._registered) - before:
        del catalog._registered[key]
        DatasetCatalog.remove(key)
        MetadataCatalog.remove(key)


@pytest.fixture
def pairs(tmp_path):
    """Three pairs of 24 x 16 pixels: photos, labels, two polarisations in dB, and a text about the first two."""
    rng = np.random.default_rng(0)
    for folder in ("photos", "labels", "radar", "texts"):
        (tmp_path / folder).mkdir()
    for name in NAMES:
        Image.fromarray(rng.integers(0, 256, (16, 24, 3), dtype=np.uint8)).save(tmp_path / f"photos/{name}.png")
        Image.fromarray(rng.integers(0, 2, (16, 24), dtype=np.uint8)).save(tmp_path / f"labels/{name}.png")
        write_raster(tmp_path / f"radar/{name}.tif", rng.normal(-12, 3, (2, 16, 24)).astype(np.float32))
    (tmp_path / "texts/a.txt").write_text("A river town\n  after a flood.\n")
    (tmp_path / "texts/b.txt").write_text("")
    return tmp_path
