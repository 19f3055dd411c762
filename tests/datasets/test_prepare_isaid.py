import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

IMAGES = 16
NAMES = {"train": (0, 1), "val": (3,)}
TRAIN, VAL = "iSAID_split/train", "iSAID_split/val"


# As published: ship, storage tank, baseball diamond, tennis, basketball, track, bridge, large and small vehicle, helicopter,
# pool, roundabout, soccer, plane, harbor.
RED_GREEN_BLUE = """
    0 0 63  0 63 63  0 63 0  0 63 127  0 63 191  0 63 255  0 127 63  0 127 127  0 0 127  0 0 191
    0 0 255  0 191 127  0 127 191  0 127 255  0 100 155
"""


@pytest.fixture
def colors():
    return np.array(RED_GREEN_BLUE.split(), np.uint8).reshape(15, 3)


@pytest.fixture
def archives(make, colors):
    """Three images of 300 x 520 in the archives of DOTA and iSAID; each shows its number's class in its upper left corner."""
    photos = {}
    for split, numbers in NAMES.items():
        images, masks = {}, {}
        for number in numbers:
            photo, mask = make.photo(300, 520), np.zeros((300, 520, 3), np.uint8)
            mask[:8, :16] = colors[number]
            mask[290:, 515:] = colors[14]
            photos[number] = photo
            images[f"images/P{number:04d}.png"] = make.encode(photo, "png")
            masks[f"images/P{number:04d}_instance_color_RGB.png"] = make.encode(mask, "png")
        make.zip(f"{split}/images/part1.zip", images)
        make.zip(f"{split}/Semantic_masks/images.zip", masks)
    return photos


def test_tiles_hold_the_pixels_and_the_labels_of_the_table(archives, run):
    assert run("prepare_isaid") == 0
    # 300 x 520 is cut at rows 0 and 44, columns 0, 256 and 264; only two tiles show an object.
    assert run.names(f"{TRAIN}/imgs") == [f"P000{n}_{at}.png" for n in (0, 1) for at in ("00000_00000", "00044_00264")]
    assert run.names(f"{TRAIN}/imgs") == run.names(f"{TRAIN}/D2masks")
    assert np.array_equal(run.pixels(f"{VAL}/imgs/P0003_00044_00264.png"), archives[3][44:, 264:])
    labels = run.pixels(f"{TRAIN}/D2masks/P0001_00000_00000.png")
    assert labels.dtype == np.uint8 and (labels[:8, :16] == 1).all() and (labels == 255).sum() == 256 * 256 - 8 * 16
    assert (run.pixels(f"{VAL}/D2masks/P0003_00044_00264.png")[-10:, -5:] == 14).all()


def test_every_colour_has_its_class(make, run, colors):
    mask = np.repeat(colors[:, None], 15, axis=1)
    for split, number in (("train", 1), ("val", 2)):
        make.zip(f"{split}/images.zip", {f"images/P{number:04d}.png": make.encode(make.photo(15, 15), "png")})
        masks = {f"images/P{number:04d}_instance_color_RGB.png": make.encode(mask, "png")}
        make.zip(f"{split}/masks.zip", masks)
    assert run("prepare_isaid", "--tile", "0") == 0
    assert np.array_equal(run.pixels(f"{VAL}/D2masks/P0002.png"), np.repeat(np.arange(15)[:, None], 15, axis=1))


def test_counts_stand_beside_the_published_ones_and_in_the_record(archives, run, capsys):
    run("prepare_isaid")
    printed = capsys.readouterr()
    assert ["train", "2", "8", "4", "18,076"] in [line.split() for line in printed.out.splitlines()]
    assert "WARNING: train and val differ" in printed.err
    record = run.record("iSAID_split")
    assert record["complete"] and record["counts"]["val"]["tiles"] == 2
    assert record["counts"]["train"]["pixels"]["ship"] == 128
    assert record["counts"]["train"]["pixels"]["harbor"] == 100
    assert {source["name"] for source in record["sources"]} >= {"train/images/part1.zip", "val/Semantic_masks/images.zip"}
    assert all(len(source["sha256"]) == 64 for source in record["sources"])


def test_the_table_reads_what_was_prepared(archives, run, monkeypatch):
    from detectron2.data import DatasetCatalog

    from ovrs.data import catalog  # noqa: F401 - registers the data sets

    run("prepare_isaid")
    monkeypatch.setenv("DETECTRON2_DATASETS", str(run.output))
    assert len(DatasetCatalog.get("isaid_train")) == 4 and len(DatasetCatalog.get("isaid_val")) == 2


def test_unpacked_archives_are_read_too(archives, make, run, colors):
    for path in make.root.rglob("images.zip"):
        path.unlink()
    for split, numbers in NAMES.items():
        mask = np.zeros((300, 520, 3), np.uint8)
        mask[:4, :4] = colors[2]
        make.files(
            {f"{split}/Semantic_masks/images/P{n:04d}_instance_color_RGB.png": make.encode(mask, "png") for n in numbers}
        )
    assert run("prepare_isaid") == 0
    assert run.record("iSAID_split")["counts"]["train"]["pixels"]["baseball diamond"] == 32


def test_tiles_with_too_little_to_see_are_dropped_on_request(archives, run):
    assert run("prepare_isaid", "--least", "0.0018") == 0
    assert run.names(f"{TRAIN}/imgs") == ["P0000_00000_00000.png", "P0001_00000_00000.png"]


@pytest.mark.parametrize("share", ["1.5", "-0.1", "much"])
def test_a_share_that_is_none_is_refused(run, share, capsys):
    with pytest.raises(SystemExit) as caught:
        run("prepare_isaid", "--least", share)
    assert caught.value.code == 2 and "is no share from 0 to 1" in capsys.readouterr().err


def test_a_colour_of_no_class_is_named(archives, make, run, capsys):
    mask = np.zeros((300, 520, 3), np.uint8)
    mask[:2, :3] = (1, 2, 3)
    make.zip("val/Semantic_masks/images.zip", {"images/P0003_instance_color_RGB.png": make.encode(mask, "png")})
    assert run("prepare_isaid") == 2
    error = capsys.readouterr().err
    assert "images.zip/images/P0003_instance_color_RGB.png: colour #010203 in 6 of 156,000 pixels" in error


def test_a_missing_image_archive_is_named_by_its_mask(archives, make, run, capsys):
    (make.root / "train/images/part1.zip").unlink()
    assert run("prepare_isaid") == 2
    assert "2 of 2 label maps have no image" in capsys.readouterr().err


def test_a_mask_without_split_is_refused(archives, make, run, capsys):
    (make.root / "val/Semantic_masks/images.zip").rename(make.root / "images.zip")
    (make.root / "train/Semantic_masks/images.zip").rename(make.root / "more.zip")
    assert run("prepare_isaid") == 2
    assert "neither of train nor of val" in capsys.readouterr().err


def test_masks_of_another_size_are_refused(archives, make, run, capsys):
    mask = make.encode(np.zeros((300, 519, 3), np.uint8), "png")
    make.zip("val/Semantic_masks/images.zip", {"images/P0003_instance_color_RGB.png": mask})
    assert run("prepare_isaid") == 2
    assert "is 519 x 300 pixels, its image" in capsys.readouterr().err


def test_a_killed_run_goes_on_to_the_same_end(make, run, colors, tmp_path):
    """The script as a user runs it, killed without warning once some tiles are there."""
    masks = {}
    for number in range(IMAGES):
        mask = np.zeros((512, 512, 3), np.uint8)
        mask[::50, ::50] = colors[number % 15]
        masks[f"images/P{number:04d}_instance_color_RGB.png"] = make.encode(mask, "png")
    image = make.encode(make.photo(512, 512), "png")
    for split, chosen in (("train", list(masks)[1:]), ("val", list(masks)[:1])):
        make.zip(f"{split}/masks.zip", {name: masks[name] for name in chosen})
    make.zip("images.zip", {f"images/P{number:04d}.png": image for number in range(IMAGES)})
    root = Path(__file__).parents[2]
    command = [sys.executable, root / "datasets/prepare_isaid.py", "--source", make.root, "--workers", "2", "--output"]
    environment = os.environ | {"PYTHONPATH": str(root)}
    killed = subprocess.Popen([*command, run.output], env=environment, stderr=subprocess.DEVNULL)
    while len(list(run.output.glob(f"{TRAIN}/imgs/P*.png"))) < 2:
        assert killed.poll() is None, "ended before it could be killed"
        time.sleep(0.005)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    before = {path: when for path, when in run.written().items() if "/.P" not in path and path.endswith(".png")}
    assert 2 <= len(before) < 2 * 4 * IMAGES
    assert run("prepare_isaid") == 0
    after = run.written()
    assert all(after[path] == when for path, when in before.items())
    again = type(run)(make.root, tmp_path / "straight")
    assert again("prepare_isaid") == 0
    content = [
        {path.relative_to(output): path.read_bytes() for path in output.rglob("*") if path.is_file()}
        for output in (run.output, again.output)
    ]
    assert content[0] == content[1] and len(content[0]) == 2 * 4 * IMAGES + 2
