import numpy as np
import pytest

ROOT = "OpenEarthMap/OpenEarthMap_wo_xBD"
TRAIN, VAL = "OpenEarthMap_split/train", "OpenEarthMap_split/val"
SIDES = {"aachen_1": 256, "aachen_2": 300, "el_rodeo_10": 128, "vienna_3": 512}


@pytest.fixture
def members(make):
    """Two lists of images in three regions; the labels of joplin_1, an image of xBD, are there without it."""
    files = {
        f"{ROOT}/train.txt": b"aachen_1.tif\naachen_2.tif\njoplin_1.tif\nvienna_3.tif\n",
        f"{ROOT}/val.txt": b"el_rodeo_10.tif\n",
        f"{ROOT}/test.txt": b"aachen_9.tif\n",
        f"{ROOT}/xbd_files.csv": b"joplin-tornado_00000001_pre_disaster.png,joplin_1.tif\n",
        f"{ROOT}/joplin/labels/joplin_1.tif": make.encode(np.ones((256, 256), np.uint8), "tif"),
    }
    for name, side in SIDES.items():
        region = name.rpartition("_")[0]
        values = np.full((side, side), 8, np.uint8)
        values[:, : side // 2] = 1
        values[:4] = 0
        files[f"{ROOT}/{region}/images/{name}.tif"] = make.encode(make.photo(side, side), "tif")
        files[f"{ROOT}/{region}/labels/{name}.tif"] = make.encode(values, "tif")
    return files


def test_listed_images_are_cut_and_xbd_is_left_out(make, members, run):
    make.zip("OpenEarthMap.zip", members)
    assert run("prepare_openearthmap") == 0
    assert run.names(f"{TRAIN}/imgs") == [
        "aachen_1.png",
        *(f"aachen_2_000{top}_000{left}.png" for top in ("00", "44") for left in ("00", "44")),
        *(f"vienna_3_00{top}_00{left}.png" for top in ("000", "256") for left in ("000", "256")),
    ]
    labels = run.pixels(f"{TRAIN}/D2masks/aachen_1.png")
    assert (labels[:4] == 255).all() and (labels[4:, :128] == 0).all() and (labels[4:, 128:] == 7).all()


def test_a_small_image_is_filled_with_nothing(make, members, run):
    make.zip("OpenEarthMap.zip", members)
    run("prepare_openearthmap")
    (name,) = run.names(f"{VAL}/imgs")
    image, labels = run.pixels(f"{VAL}/imgs/{name}"), run.pixels(f"{VAL}/D2masks/{name}")
    assert image.shape == (256, 256, 3) and not image[128:].any() and image[:128, :128].any()
    assert (labels[128:] == 255).all() and (labels[:, 128:] == 255).all() and (labels[4:128, :64] == 0).all()


def test_a_tile_without_labels_is_dropped_and_counted(make, members, run):
    values = np.zeros((512, 512), np.uint8)
    values[0, 0] = 3
    members[f"{ROOT}/vienna/labels/vienna_3.tif"] = make.encode(values, "tif")
    make.zip("OpenEarthMap.zip", members)
    run("prepare_openearthmap")
    counts = run.record("OpenEarthMap_split")["counts"]["train"]
    assert (counts["images"], counts["tiles"], counts["dropped"]) == (3, 6, 3)


def test_xbd_is_taken_in_on_request(make, members, run, capsys):
    make.zip("OpenEarthMap.zip", members)
    assert run("prepare_openearthmap", "--with-xbd") == 2
    assert "train.txt: 1 of 4 files have no image, the first being joplin_1.tif" in capsys.readouterr().err
    members[f"{ROOT}/joplin/images/joplin_1.tif"] = make.encode(make.photo(256, 256), "tif")
    make.zip("OpenEarthMap.zip", members)
    assert run("prepare_openearthmap", "--with-xbd") == 0
    assert "joplin_1.png" in run.names(f"{TRAIN}/imgs")


def test_an_unpacked_folder_does_as_well(make, members, run):
    make.files(members)
    assert run("prepare_openearthmap") == 0
    assert len(run.names(f"{TRAIN}/imgs")) == 9
    assert run.record("OpenEarthMap_split")["sources"][0]["name"] == "loose files"


def test_a_missing_list_is_named(make, members, run, capsys):
    del members[f"{ROOT}/val.txt"]
    make.zip("OpenEarthMap.zip", members)
    assert run("prepare_openearthmap") == 2
    assert "no val.txt found" in capsys.readouterr().err
