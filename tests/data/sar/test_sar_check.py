"""``--check-data`` and the look before a training tell of pairs that are none."""

import numpy as np
import pytest
from affine import Affine
from sar_pairs import NAMES, configured, described, samples
from sar_rasters import PLACE, UTM33, write_raster

from ovrs.data.check import check_data, spot_check
from ovrs.errors import DataError


def test_the_check_tells_of_sound_pairs(pairs):
    write_raster(pairs / "radar/c.tif", np.where(np.arange(24) < 12, np.nan, -9.0) * np.ones((2, 16, 24), np.float32))
    (check,) = check_data(configured(described(pairs)))
    assert not check.problems
    assert "SAR of 3 images, measured in 83.33% of their pixels" in check.report()
    assert "descriptions of 1 of 3 images" in check.report()


def test_the_check_names_every_pair_that_is_none(pairs):
    for name in "defg":
        for folder in ("photos", "labels"):
            (pairs / f"{folder}/{name}.png").write_bytes((pairs / f"{folder}/a.png").read_bytes())
    write_raster(pairs / "radar/b.tif", np.zeros((2, 16, 20), np.float32))
    write_raster(pairs / "radar/c.tif", np.full((2, 16, 24), np.nan, np.float32))
    write_raster(pairs / "radar/d.tif", np.full((2, 16, 24), 4000.0, np.float32))
    write_raster(pairs / "radar/e.tif", np.zeros((1, 16, 24), np.float32))
    (pairs / "radar/f.tif").write_bytes(b"no raster")
    (check,) = check_data(configured(described(pairs)))
    found = {problem.text.split("/")[-1].split(":")[0].split(" ")[0]: problem.kind for problem in check.problems}
    texts = "\n".join(problem.text for problem in check.problems)
    assert sorted(problem.kind for problem in check.problems) == [
        "SAR without any measurement",
        *["file that cannot be read"] * 3,
        "image and SAR on different grids",
        "image without SAR",
    ], found
    assert "radar/b.tif, do not lie on one grid" in texts and "size: 24 x 16 pixels against 20 x 16" in texts
    assert "radar/d.tif: sar.scale is db, but values run from 4000 to 4000" in texts
    assert "radar/e.tif: has no band 2; it has 1" in texts and f"no {pairs / 'radar/g.tif'}" in texts


def test_training_does_not_begin_on_a_pair_that_is_none(pairs):
    write_raster(pairs / "radar/b.tif", np.zeros((2, 16, 20), np.float32))
    with pytest.raises(DataError, match="pairs_train: image and SAR on different grids: .*radar/b.tif, .*--check-data"):
        spot_check(configured(described(pairs)))


def test_georeferenced_pairs_are_compared_by_place_and_resampled_if_asked(pairs):
    bands = np.random.default_rng(0).integers(0, 255, (3, 16, 24), dtype=np.uint8)
    for name in NAMES:
        write_raster(pairs / f"photos/{name}.tif", bands, UTM33, PLACE)
        moved = PLACE @ Affine.translation(-12, -8) @ Affine.scale(2)
        write_raster(pairs / f"radar/{name}.tif", np.full((2, 16, 24), -7.0, np.float32), UTM33, moved)
    sar = {"scale": "db", "bands": [1, 2]}
    cfg = configured(described(pairs, sar=sar, split={"image_suffix": ".tif"}))
    (check,) = check_data(cfg)
    assert [problem.kind for problem in check.problems] == ["image and SAR on different grids"] * 3
    assert "pixels of 10 x 10 against 20 x 20" in check.report() and "give 'resample: true'" in check.report()
    described(pairs, sar={**sar, "resample": True}, split={"image_suffix": ".tif"})
    assert all((sample["sar"] == -7).all() and sample["sar"].shape == (2, 16, 24) for sample in samples(cfg))
