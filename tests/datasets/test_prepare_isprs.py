import numpy as np
import pytest

from ovrs.data.preparation import isprs
from ovrs.data.table import DATA_SETS
from ovrs.errors import DataError

COLORS = [cls.color for cls in DATA_SETS["potsdam"].classes]
CLUTTER, BOUNDARY = (255, 0, 0), (0, 0, 0)


def label_map(height: int = 40, width: int = 48) -> np.ndarray:
    """Columns of the five classes, clutter, boundary and again the first class, uint8 [height, width, 3]."""
    columns = np.array([*COLORS, CLUTTER, BOUNDARY, COLORS[0]], np.uint8)
    return np.broadcast_to(columns[np.arange(width) * 8 // width], (height, width, 3)).copy()


@pytest.fixture
def potsdam(make):
    """Two images of 40 x 48, one of each split, in the archives of ISPRS; both kinds of labels."""
    photos = {place: make.photo(40, 48) for place in ("2_10", "7_13")}
    make.zip("2_Ortho_RGB.zip", {f"2_Ortho_RGB/top_potsdam_{at}_RGB.tif": make.encode(p, "tif") for at, p in photos.items()})
    for kind, labels in (("", np.full((40, 48, 3), 255, np.uint8)), ("_noBoundary", label_map())):
        members = {f"top_potsdam_{place}_label{kind}.tif": make.encode(labels, "tif") for place in photos}
        make.zip(f"5_Labels_all{kind}.zip", members)
    return photos


@pytest.fixture
def vaihingen(make):
    """Areas 1 (train) and 2 (val) of 40 x 48; eroded labels also of area 9, which has no image, and some for participants."""
    photos = {area: make.photo(40, 48) for area in (1, 2)}
    full, name = make.encode(np.full((40, 48, 3), 255, np.uint8), "tif"), "top_mosaic_09cm_area"
    images = {f"top/{name}{area}.tif": make.encode(photo, "tif") for area, photo in photos.items()}
    for_participants = {f"gts_for_participants/{name}1.tif": make.encode(label_map(30, 30), "tif")}
    make.zip("ISPRS_semantic_labeling_Vaihingen.zip", images | for_participants)
    prefix = "ISPRS_semantic_labeling_Vaihingen_ground_truth"
    make.zip(f"{prefix}_COMPLETE.zip", {f"{name}{area}.tif": full for area in (1, 2)})
    eroded = {f"{name}{area}_noBoundary.tif": make.encode(label_map(), "tif") for area in (1, 2, 9)}
    make.zip(f"{prefix}_eroded_COMPLETE.zip", eroded)
    return photos


def test_labels_are_read_by_the_colours_of_isprs(make):
    labels = isprs.decode(make.encode(label_map(), "tif"), "labels.tif")
    assert labels[0, ::6].tolist() == [0, 1, 2, 3, 4, 255, 255, 0]


def test_the_two_tiles_published_with_other_colours_are_read(make):
    # Of Potsdam's 6_7 (cars) and 4_12 (cyan and white after a lossy compression).
    pixels = np.array([[(252, 255, 0), (9, 222, 221), (225, 227, 227)]], np.uint8)
    assert isprs.decode(make.encode(pixels, "tif"), "labels.tif").tolist() == [[4, 2, 0]]


def test_few_strange_pixels_are_ignored_and_many_refused(make):
    pixels = np.full((10, 10, 3), 255, np.uint8)
    pixels[0, :5], pixels[0, 5:] = (255, 0, 255), (128, 128, 128)
    assert (isprs.decode(make.encode(pixels, "tif"), "labels.tif")[0] == 255).all()
    pixels[1, 0] = (255, 0, 255)
    with pytest.raises(DataError, match=r"labels\.tif: 11% of the pixels have colours of no class, such as \(255, 0, 255\)"):
        isprs.decode(make.encode(pixels, "tif"), "labels.tif")


def test_potsdam_is_split_as_in_the_contest(potsdam, run):
    assert run("prepare_potsdam", "--tile", "0") == 0
    assert run.names("Potsdam_split/train/imgs") == ["2_10.png"] and run.names("Potsdam_split/val/imgs") == ["7_13.png"]
    assert np.array_equal(run.pixels("Potsdam_split/train/imgs/2_10.png"), potsdam["2_10"])
    assert run.pixels("Potsdam_split/val/D2masks/7_13.png")[0, ::6].tolist() == [0, 1, 2, 3, 4, 255, 255, 0]


def test_potsdam_is_cut_side_by_side_with_the_last_tile_moved_back(potsdam, run):
    assert run("prepare_potsdam", "--tile", "32") == 0
    assert run.names("Potsdam_split/val/imgs") == [f"7_13_{row:05d}_{column:05d}.png" for row in (0, 8) for column in (0, 16)]
    assert np.array_equal(run.pixels("Potsdam_split/val/imgs/7_13_00008_00016.png"), potsdam["7_13"][8:, 16:])


def test_all_labels_of_potsdam_are_taken_on_request_and_recorded(potsdam, run, capsys):
    assert run("prepare_potsdam", "--labels", "all") == 0
    assert run.record("Potsdam_split")["recipe"]["labels"] == "all"
    assert run.record("Potsdam_split")["counts"]["val"]["pixels"]["impervious surface"] == 40 * 48
    assert run("prepare_potsdam") == 2
    assert "labels: all, now no-boundary" in capsys.readouterr().err


def test_the_grids_of_potsdam_have_the_published_number_of_images(script):
    module = script("prepare_potsdam")
    assert (len(module.TRAIN), len(module.VAL)) == (24, 14) and not module.TRAIN & module.VAL
    published = DATA_SETS["potsdam"].expected_counts
    tiles = 12 * 12  # of 512 in 6000 x 6000, the last of a row or column moved back
    assert published == {"train": 24 * tiles, "val": 14 * tiles}


def test_missing_labels_of_potsdam_name_the_archive_to_get(potsdam, make, run, capsys):
    (make.root / "5_Labels_all_noBoundary.zip").unlink()
    assert run("prepare_potsdam") == 2
    assert "no label map (top_potsdam_2_10_label_noBoundary.tif; see --labels) found" in capsys.readouterr().err


def test_a_photo_in_place_of_labels_is_refused_by_name(potsdam, make, run, capsys):
    labels = {f"top_potsdam_{at}_label_noBoundary.tif": make.encode(make.photo(40, 48), "tif") for at in potsdam}
    make.zip("5_Labels_all_noBoundary.zip", labels)
    assert run("prepare_potsdam") == 2
    assert "_label_noBoundary.tif: " in (error := capsys.readouterr().err) and "colours of no class" in error


def test_vaihingen_keeps_its_bands_and_leaves_area_9_out(vaihingen, run):
    assert run("prepare_vaihingen", "--tile", "0") == 0
    assert run.names("Vaihingen_split/train/imgs") == ["1.png"] and run.names("Vaihingen_split/val/imgs") == ["2.png"]
    assert np.array_equal(run.pixels("Vaihingen_split/train/imgs/1.png"), vaihingen[1])
    assert run.pixels("Vaihingen_split/val/D2masks/2.png")[0, ::6].tolist() == [0, 1, 2, 3, 4, 255, 255, 0]
    assert run.record("Vaihingen_split")["recipe"]["bands"] == "near infrared, red, green"


def test_full_labels_of_vaihingen_are_told_from_images_of_the_same_name(vaihingen, run):
    assert run("prepare_vaihingen", "--tile", "0", "--labels", "all") == 0
    assert (run.pixels("Vaihingen_split/train/D2masks/1.png") == 0).all()


def test_the_areas_of_vaihingen_are_the_contests(script):
    module = script("prepare_vaihingen")
    assert (len(module.TRAIN), len(module.VAL)) == (16, 17) and not module.TRAIN & module.VAL
