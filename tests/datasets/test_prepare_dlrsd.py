import numpy as np
import pytest

TRAIN, VAL = "DLRSD_split/train", "DLRSD_split/val"
PALETTE = [value for index in range(256) for value in (index, 255 - index, 7)]


@pytest.fixture
def pictures(make):
    """Five images of two scenes, 32 x 32: class 1 + their number above, class 17 below, a corner of 0."""
    images, labels = {}, {}
    for scene in ("airplane", "river"):
        for number in range(5):
            values = np.full((32, 32), number + 1, np.uint8)
            values[16:] = 17
            values[:2, :2] = 0
            images[f"{scene}/{scene}{number:02d}"] = make.encode(make.photo(32, 32), "tif")
            labels[f"{scene}/{scene}{number:02d}"] = make.encode(values, "png", PALETTE)
    return images, labels


@pytest.fixture
def archives(make, pictures):
    """The owners' archives: images of UC Merced, labels of DLRSD, both in folders called Images."""
    images, labels = pictures
    make.zip("UCMerced_LandUse.zip", {f"UCMerced_LandUse/Images/{at}.tif": data for at, data in images.items()})
    make.zip("DLRSD.zip", {f"DLRSD/Images/{at}.png": data for at, data in labels.items()})


def test_the_last_fifth_of_each_scene_validates(archives, run):
    assert run("prepare_dlrsd") == 0
    assert run.names(f"{VAL}/imgs") == ["airplane04.jpg", "river04.jpg"]
    assert run.names(f"{TRAIN}/D2masks") == [f"{scene}{n:02d}.png" for scene in ("airplane", "river") for n in range(4)]


def test_masks_hold_numbers_from_zero_and_not_colours(archives, run):
    run("prepare_dlrsd")
    labels = run.pixels(f"{TRAIN}/D2masks/river02.png")
    assert (labels[:2, :2] == 255).all() and (labels[2:16] == 2).all() and (labels[16:] == 16).all()
    counts = run.record("DLRSD_split")["counts"]["val"]
    assert counts["images"] == 2 and counts["pixels"]["water"] == 2 * 512 and counts["pixels"]["ignored"] == 8


def test_images_stay_whole_and_nearly_as_they_were(archives, pictures, run, make):
    make.zip(
        "UCMerced_LandUse.zip",
        {f"Images/{at}.tif": make.encode(np.full((32, 32, 3), 90, np.uint8), "tif") for at in pictures[0]},
    )
    assert run("prepare_dlrsd") == 0
    image = run.pixels(f"{TRAIN}/imgs/airplane00.jpg").astype(int)
    assert image.shape == (32, 32, 3) and abs(image - 90).max() <= 2


def test_one_archive_with_both_does_as_well(make, pictures, run):
    images, labels = pictures
    members = {f"DLRSD/Images/{at}.tif": data for at, data in images.items()}
    make.zip("DLRSD.zip", members | {f"DLRSD/Labels/{at}.png": data for at, data in labels.items()})
    assert run("prepare_dlrsd") == 0
    assert len(run.names(f"{TRAIN}/imgs")) == 8


def test_the_difference_to_the_published_counts_is_explained(archives, run, capsys):
    run("prepare_dlrsd")
    error = capsys.readouterr().err
    assert "WARNING" in error and "7,002" in error


def test_labels_without_images_say_which_archive_lacks(archives, make, run, capsys):
    (make.root / "UCMerced_LandUse.zip").unlink()
    assert run("prepare_dlrsd") == 2
    assert "no image (<scene>00.tif of UC Merced) found" in capsys.readouterr().err


def test_an_image_without_label_map_is_named(archives, pictures, make, run, capsys):
    labels = {f"DLRSD/Images/{at}.png": data for at, data in pictures[1].items() if at != "river/river03"}
    make.zip("DLRSD.zip", labels)
    assert run("prepare_dlrsd") == 2
    assert "1 of 10 images have no label map, the first being" in (error := capsys.readouterr().err)
    assert "UCMerced_LandUse.zip/UCMerced_LandUse/Images/river/river03.tif" in error


def test_a_value_of_no_class_is_named(archives, pictures, make, run, capsys):
    labels = {f"DLRSD/Images/{at}.png": data for at, data in pictures[1].items()}
    labels["DLRSD/Images/river/river03.png"] = make.encode(np.full((32, 32), 18, np.uint8), "png")
    make.zip("DLRSD.zip", labels)
    assert run("prepare_dlrsd") == 2
    assert "river03.png: label 18 in 1,024 of 1,024 pixels belongs to no class (known: 1 to 17" in capsys.readouterr().err


def test_sides_that_differ_a_little_are_cut_only_when_asked(archives, pictures, make, run, capsys):
    images = {f"Images/{at}.tif": data for at, data in pictures[0].items()}
    odd = np.full((31, 34, 3), 220, np.uint8)
    odd[:8, :8] = 0
    images["Images/river/river03.tif"] = make.encode(odd, "tif")
    make.zip("UCMerced_LandUse.zip", images)
    assert run("prepare_dlrsd") == 2
    assert "river03.png: is 32 x 32 pixels, its image" in capsys.readouterr().err
    assert run("prepare_dlrsd", "--trim", "2", "--force") == 0
    assert run.pixels(f"{TRAIN}/D2masks/river03.png").shape == (31, 32)
    image = run.pixels(f"{TRAIN}/imgs/river03.jpg")
    assert image.shape == (31, 32, 3) and image[:8, :8].max() < 20 and image[:, 8:].min() > 200


def test_the_output_may_lie_in_the_source(archives, make, run):
    run.output = make.root
    assert run("prepare_dlrsd") == 0
    before = run.written()
    assert run("prepare_dlrsd") == 0
    assert run.written() == before and len(run.names(f"{TRAIN}/imgs")) == 8
