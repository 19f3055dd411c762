"""Data sets of pairs, from their description to the sample: SAR in sibling files or in bands of the images."""

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from sar_pairs import NAMES, configured, described, radar_of, samples
from sar_rasters import write_raster

from ovrs.data.catalog import list_entries, load_split, register_files, sar_of
from ovrs.data.entries import read_rgb
from ovrs.data.loaders import build_train_loader
from ovrs.data.mapper import SegmentationMapper
from ovrs.data.sar.encoding import SarEncoding
from ovrs.data.sar.grids import PairError
from ovrs.data.sar.speckle import Speckle
from ovrs.errors import ConfigError, DataError


def test_a_sample_has_the_sar_and_the_description_of_its_image(pairs):
    found = samples(configured(described(pairs)))
    for name, sample in zip(NAMES, found, strict=True):
        assert sample["sar"].dtype == torch.float32 and np.array_equal(sample["sar"], radar_of(pairs, name))
        assert sample["image"].dtype == torch.uint8 and sample["image"].shape[1:] == sample["sar"].shape[1:]
    assert [sample["description"] for sample in found] == ["A river town after a flood.", "", ""]


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_an_image_stored_turned_is_refused_as_one_of_a_pair(pairs, suffix):
    """Half a turn leaves the size as it is; without a partner the image is turned and read."""
    exif = Image.Exif()
    exif[0x0112] = 3
    for name in NAMES:
        Image.open(pairs / f"photos/{name}.png").save(pairs / f"photos/{name}{suffix}", exif=exif)
    cfg = configured(described(pairs, split={"image_suffix": suffix}))
    with pytest.raises(PairError, match=rf"photos/a{suffix}: its EXIF tag .*orientation 3"):
        samples(cfg)
    assert read_rgb(str(pairs / f"photos/a{suffix}")).shape == (16, 24, 3)


def test_a_sar_picture_stored_turned_is_refused_too(pairs):
    exif = Image.Exif()
    exif[0x0112] = 6
    for name in NAMES:
        Image.new("L", (24, 16), 9).save(pairs / f"radar/{name}.png", exif=exif)
    cfg = configured(described(pairs, sar={"scale": "8bit"}, split={"sar_suffix": ".png"}))
    with pytest.raises(PairError, match=r"radar/a\.png: its EXIF tag .*orientation 6"):
        samples(cfg)


def test_a_data_set_without_partners_gives_none(pairs):
    path = described(pairs, sar=None, split={"sar": None, "sar_suffix": None, "descriptions": None})
    document = yaml.safe_load(path.read_text())
    del document["sar"]
    path.write_text(yaml.safe_dump(document))
    register_files([path])
    assert sar_of("pairs_train") is None
    for sample in samples(configured(path)):
        assert "sar" not in sample and "description" not in sample


@pytest.mark.parametrize("keys", [{"FLIP": True}, {"QUARTER_TURNS": True}, {"CROP_SIZE": 10}])
def test_sar_is_moved_as_image_and_labels_are(pairs, keys):
    """Red, label and SAR name the place of a pixel, and still do so after whatever was drawn."""
    place = np.arange(16 * 15).reshape(16, 15).astype(np.uint8)
    for name in NAMES:
        Image.fromarray(np.stack([place] * 3, -1)).save(pairs / f"photos/{name}.png")
        Image.fromarray(place % 2).save(pairs / f"labels/{name}.png")
        write_raster(pairs / f"radar/{name}.tif", np.stack([place, place % 2]).astype(np.float32) - 100)
    cfg = configured(described(pairs, sar={"scale": "db", "bands": [1, 2]}), **keys)
    seen = set()
    for seed in range(12):
        np.random.seed(seed)
        sample = samples_of_first(cfg)
        red = sample["image"][0].float()
        assert torch.equal(sample["sar"][0] + 100, red) and torch.equal(sample["sar"][1] + 100, sample["sem_seg"].float())
        seen.add(tuple(red[0, :2].tolist()))
    assert len(seen) > 2


def samples_of_first(cfg):
    entry = load_split("pairs_train")[0]
    return SegmentationMapper(cfg, True)({**entry, "dataset_name": "pairs_train"})


def test_colours_change_and_sar_stays(pairs):
    cfg = configured(described(pairs), COLOR_JITTER=True, COLOR_RECIPE="ssd", ERASED_SHARE=1.0, ERASED_SIZE=4)
    before = samples(configured(pairs / "pairs.yaml"))
    np.random.seed(0)
    after = samples(cfg, True)
    assert not any(torch.equal(one["image"], other["image"]) for one, other in zip(before, after, strict=True))
    assert all(torch.equal(one["sar"], other["sar"]) for one, other in zip(before, after, strict=True))


def test_what_is_drawn_for_an_image_does_not_depend_on_its_partners(pairs):
    keys = {"FLIP": True, "QUARTER_TURNS": True, "CROP_SIZE": 12, "COLOR_JITTER": True}
    cfg = configured(described(pairs), **keys)
    cfg.SOLVER.IMS_PER_BATCH, cfg.SEED = 2, 3
    with_partners = [sample["image"] for sample in next(iter(build_train_loader(cfg)))]
    described(pairs, sar={"scale": "db"}, split={"descriptions": None})
    without = [sample["image"] for sample in next(iter(build_train_loader(cfg)))]
    assert all(torch.equal(one, other) for one, other in zip(with_partners, without, strict=True))


def test_polarisations_may_be_files_of_their_own(pairs):
    for name in NAMES:
        for band, polarisation in enumerate(("VV", "VH")):
            write_raster(pairs / f"radar/{name}_{polarisation}.tif", radar_of(pairs, name)[[band]])
    sar = {"scale": "db", "polarisations": ["VV", "VH"]}
    path = described(pairs, sar=sar, split={"sar_suffix": ["_VV.tif", "_VH.tif"]})
    for name, sample in zip(NAMES, samples(configured(path)), strict=True):
        assert np.array_equal(sample["sar"], radar_of(pairs, name))


def test_sar_may_be_a_band_of_the_images_own_file(pairs):
    bands = np.random.default_rng(1).integers(1, 255, (4, 16, 24), dtype=np.uint8)
    for name in NAMES:
        write_raster(pairs / f"photos/{name}.tif", bands)
    split = {"sar": None, "sar_suffix": None, "image_suffix": ".tif"}
    for sample in samples(configured(described(pairs, sar={"scale": "8bit", "bands": 4}, split=split))):
        assert np.array_equal(sample["image"], bands[:3]) and np.array_equal(sample["sar"], bands[3:].astype(np.float32))


def test_everything_that_can_be_said_of_sar(pairs):
    entry = {"scale": "amplitude", "bands": [2], "polarisations": ["HV"], "filter": "lee", "window": 7, "looks": 4.4}
    described(pairs, sar={**entry, "nodata": 0, "resample": True})
    assert sar_of("pairs_train") == SarEncoding("amplitude", (2,), ("HV",), Speckle("lee", 7, 4.4), 0.0, True)


@pytest.mark.parametrize(
    ("sar", "split", "message"),
    [
        ({}, {}, "sar.scale is None; choose amplitude, intensity, db, 8bit"),
        ("db", {}, "sar is 'db'; say what its values are"),
        ({"scale": "log"}, {}, "sar.scale is 'log'"),
        ({"scale": "db", "speckle": "lee"}, {}, "sar.speckle is 'lee'; there is no such key; there are bands, filter"),
        ({"scale": "db", "filter": "frost"}, {}, "sar.filter is 'frost'; choose none, boxcar, lee, refined_lee"),
        ({"scale": "8bit", "filter": "lee"}, {}, "sar.filter is 'lee'; it needs to know what values are"),
        ({"scale": "db", "window": 4}, {}, "sar.window is 4; give its side in pixels, odd"),
        ({"scale": "db", "looks": 0}, {}, "sar.looks is 0"),
        ({"scale": "db", "bands": [0]}, {}, r"sar.bands is \[0\]"),
        ({"scale": "db", "bands": [1, 1]}, {}, r"sar.bands is \[1, 1\]"),
        ({"scale": "db", "nodata": "none"}, {}, "sar.nodata is 'none'"),
        ({"scale": "db", "resample": 1}, {}, "sar.resample is 1; give true or false"),
        (
            {"scale": "db", "polarisations": ["VV", "VH"]},
            {},
            "sar.polarisations is .* 1 file an image .* hold 1; name",
        ),
        ({"scale": "db", "polarisations": "VV"}, {}, "sar.polarisations is 'VV'; give a list"),
        (None, {"sar_suffix": []}, r"train.sar_suffix is \[\]; give a text, or a list"),
        (None, {"sar": 3}, "train.sar is 3; give a folder"),
        (None, {"sar": None}, "train.sar_suffix is '.tif'; it needs the folder, under train.sar"),
        (None, {"descriptions": ["a"]}, r"train.descriptions is \['a'\]; give a folder of .txt files, or a file of JSON lines"),
    ],
)
def test_what_cannot_be_is_named_by_file_key_and_value(pairs, sar, split, message):
    with pytest.raises(ConfigError, match=f"{pairs / 'pairs.yaml'}: {message}"):
        described(pairs, sar=sar, split=split)


def test_sar_whose_values_nobody_explains_is_refused(pairs):
    path = described(pairs)
    document = yaml.safe_load(path.read_text())
    del document["sar"]
    path.write_text(yaml.safe_dump(document))
    with pytest.raises(ConfigError, match="train.sar is .*radar'; say what its values are"):
        register_files([path])


def test_a_missing_sar_folder_or_file_is_named(pairs):
    described(pairs, split={"sar": "nowhere"})
    with pytest.raises(DataError, match=r"no folder .*nowhere, which .*pairs.yaml names under train"):
        list_entries("pairs_train")
    (pairs / "radar/b.tif").unlink()
    described(pairs)
    with pytest.raises(DataError, match=r"1 of 3 images have no SAR file, the first being .*radar/b.tif"):
        load_split("pairs_train")
