"""The data sets whose images stay whole: LoveDA, FLAIR, FloodNet, FAST."""

import numpy as np
import pytest


def values(*numbers: int) -> np.ndarray:
    """A label map uint8 [4, 4 x len(numbers)] with a column of four pixels for each number."""
    return np.tile(np.repeat(np.array(numbers, np.uint8), 4), (4, 1))


@pytest.fixture
def loveda(make):
    """Scenes rural 0 and urban 0 to train, rural 2522 to validate; masks hold 0 to 7."""
    photos = {}
    for split, scenes in {"Train": ("Rural/0", "Urban/0"), "Val": ("Rural/2522",)}.items():
        members = {}
        for scene in scenes:
            kind, number = scene.split("/")
            photos[scene] = make.photo(4, 32)
            members[f"{split}/{kind}/images_png/{number}.png"] = make.encode(photos[scene], "png")
            members[f"{split}/{kind}/masks_png/{number}.png"] = make.encode(values(*range(8)), "png")
        make.zip(f"{split}.zip", members)
    make.zip("Test.zip", {"Test/Rural/images_png/4191.png": make.encode(make.photo(4, 32), "png")})
    return photos


@pytest.fixture
def flair(make):
    """One patch to train and one to test in the owner's archives by kind, and one of FLAIR #2; masks hold 1 to 19."""
    train, test, second = "D004_2021/Z1_NN", "D012_2019/Z3_UU", "D015_2020/Z1_AA"
    photos = {train: make.photo(4, 76, 5), test: make.photo(4, 76, 5), second: make.photo(4, 76, 5)}
    patches = {train: "000001", test: "061946", second: "077413"}
    for kind, places in {"flair_{}_train": [train], "flair_1_{}_test": [test], "flair_2_{}_test": [second]}.items():
        images = {f"{at}/img/IMG_{patches[at]}.tif": make.encode(photos[at], "tif") for at in places}
        masks = {f"{at}/msk/MSK_{patches[at]}.tif": make.encode(values(*range(1, 20)), "tif") for at in places}
        make.zip(kind.format("aerial") + ".zip", images)
        make.zip(kind.format("labels") + ".zip", masks)
    return photos


@pytest.fixture
def floodnet(make):
    """One image of each of the owner's three sets; masks hold 0 to 9."""
    members = {}
    for part, number in {"train": 10165, "val": 10166, "test": 10167}.items():
        folder = f"FloodNet-Supervised_v1.0/{part}"
        members[f"{folder}/{part}-org-img/{number}.jpg"] = make.encode(np.full((4, 40, 3), 90, np.uint8), "jpg")
        members[f"{folder}/{part}-label-img/{number}_lab.png"] = make.encode(values(*range(10)), "png")
    make.zip("FloodNet-Supervised_v1.0.zip", members)


@pytest.fixture
def fast(make):
    """Images a (train), b (val) and c (in no list) as SAMRS's code reads them; masks hold 0, 36 and 255."""
    members = {"FAST/trainval/train.txt": b"a\n", "FAST/trainval/valid.txt": b"b\n"}
    for name in "abc":
        members[f"FAST/trainval/images/{name}.png"] = make.encode(make.photo(4, 12), "png")
        members[f"FAST/trainval/rhbox_segs_init/gray/{name}.png"] = make.encode(values(0, 36, 255), "png")
        members[f"FAST/trainval/rhbox_segs_init/color/{name}.png"] = make.encode(make.photo(4, 12), "png")
    make.zip("FAST.zip", members)
    return members


def test_loveda_counts_from_background_and_ignores_no_data(loveda, run):
    assert run("prepare_loveda") == 0
    assert run.names("LoveDA_split/train/imgs") == ["rural_0.png", "urban_0.png"]
    assert run.names("LoveDA_split/val/imgs") == ["rural_2522.png"]
    assert run.pixels("LoveDA_split/val/D2masks/rural_2522.png")[0, ::4].tolist() == [255, 0, 1, 2, 3, 4, 5, 6]
    assert np.array_equal(run.pixels("LoveDA_split/train/imgs/urban_0.png"), loveda["Urban/0"])


def test_loveda_without_its_validation_archive_names_what_is_missing(loveda, make, run, capsys):
    (make.root / "Val.zip").unlink()
    assert run("prepare_loveda") == 2
    assert "no image of val (Val/Rural/images_png/0.png) found" in capsys.readouterr().err


def test_a_value_that_loveda_does_not_have_is_named(loveda, make, run, capsys):
    members = {f"Val/Rural/{kind}_png/2522.png": make.encode(make.photo(4, 32), "png") for kind in ("images",)}
    make.zip("Val.zip", members | {"Val/Rural/masks_png/2522.png": make.encode(values(*range(7), 8), "png")})
    assert run("prepare_loveda") == 2
    error = capsys.readouterr().err
    assert "Val.zip/Val/Rural/masks_png/2522.png" in error and "8" in error and "16 of 128 pixels" in error


def test_flair_keeps_three_bands_and_twelve_classes(flair, run):
    assert run("prepare_flair") == 0
    assert run.names("FLAIR_split/train/imgs") == ["000001.png"] and run.names("FLAIR_split/val/imgs") == ["061946.png"]
    assert np.array_equal(run.pixels("FLAIR_split/train/imgs/000001.png"), flair["D004_2021/Z1_NN"][..., :3])
    assert run.pixels("FLAIR_split/val/D2masks/061946.png")[0, ::4].tolist() == [*range(12), *[255] * 7]


def test_flair_is_read_by_domain_too(flair, make, run):
    for path in make.root.glob("*.zip"):
        path.unlink()
    for folder, domain, number in (("train-val", "D004_2021", 1), ("flair#1-test", "D085_2019", 76201)):
        image, mask = make.encode(make.photo(4, 8, 5), "tif"), make.encode(values(1, 12), "tif")
        members = {f"aerial/Z1_NN/img/IMG_{number:06d}.tif": image, f"labels/Z1_NN/msk/MSK_{number:06d}.tif": mask}
        make.zip(f"data/{folder}/{domain}.zip", members)
    assert run("prepare_flair") == 0
    assert run.names("FLAIR_split/train/imgs") == ["000001.png"] and run.names("FLAIR_split/val/imgs") == ["076201.png"]


def test_a_patch_of_flair_without_domain_is_refused(make, run, capsys):
    make.files({"img/IMG_000001.tif": make.encode(make.photo(4, 4, 5), "tif"), "msk/MSK_000001.tif": b""})
    assert run("prepare_flair") == 2
    assert "IMG_000001.tif: its path names no domain" in capsys.readouterr().err


def test_flair_has_ten_test_domains(script):
    domains = script("prepare_flair").TEST_DOMAINS
    assert len(domains) == 10 and {"D012_2019", "D026_2020", "D064_2021"} <= domains


def test_floodnet_ignores_background_and_validates_on_both_other_sets(floodnet, run):
    assert run("prepare_floodnet") == 0
    assert run.names("FloodNet_split/train/imgs") == ["10165.jpg"]
    assert run.names("FloodNet_split/val/imgs") == ["10166.jpg", "10167.jpg"]
    assert run.pixels("FloodNet_split/val/D2masks/10167.png")[0, ::4].tolist() == [255, *range(1, 10)]


def test_a_cut_short_image_of_floodnet_is_named(floodnet, make, run, capsys):
    folder = "FloodNet-Supervised_v1.0/val"
    whole = make.encode(make.photo(64, 64), "jpg")
    (make.root / "FloodNet-Supervised_v1.0.zip").rename(make.root / "rest.zip")
    make.zip(
        "more.zip",
        {
            f"{folder}/val-org-img/99.jpg": whole[: len(whole) // 2],
            f"{folder}/val-label-img/99_lab.png": make.encode(np.ones((64, 64), np.uint8), "png"),
        },
    )
    assert run("prepare_floodnet") == 2
    assert "val-org-img/99.jpg" in capsys.readouterr().err


def test_fast_is_sorted_by_its_lists(fast, run):
    assert run("prepare_fast") == 0
    assert run.names("FAST_split/train/imgs") == ["a.png"] and run.names("FAST_split/val/imgs") == ["b.png"]
    assert run.pixels("FAST_split/val/D2masks/b.png")[0, ::4].tolist() == [0, 36, 255]


def test_fast_is_sorted_by_its_folders_where_there_are_no_lists(make, run):
    for split, name in (("train", "a"), ("val", "b")):
        image, mask = make.encode(make.photo(4, 8), "png"), make.encode(values(1, 2), "png")
        make.files({f"FAST/{split}/images/{name}.png": image, f"FAST/{split}/semlabels/gray/{name}.png": mask})
    assert run("prepare_fast") == 0
    assert run.names("FAST_split/train/imgs") == ["a.png"] and run.names("FAST_split/val/D2masks") == ["b.png"]


def test_a_listed_image_of_fast_that_is_not_there_is_named(fast, make, run, capsys):
    make.zip("FAST.zip", fast | {"FAST/trainval/valid.txt": b"b\nz\n"})
    assert run("prepare_fast") == 2
    assert "valid.txt: names 1 images that are not there, the first being z" in capsys.readouterr().err


def test_one_list_of_fast_alone_is_refused(fast, make, run, capsys):
    make.zip("FAST.zip", {name: data for name, data in fast.items() if not name.endswith("valid.txt")})
    assert run("prepare_fast") == 2
    assert "train.txt and valid.txt only one is there" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "folder"), [("loveda", "LoveDA"), ("flair", "FLAIR"), ("floodnet", "FloodNet"), ("fast", "FAST")]
)
def test_a_second_run_writes_nothing(name, folder, request, run, capsys):
    request.getfixturevalue(name)
    assert run(f"prepare_{name}") == 0
    before = run.written()
    capsys.readouterr()
    assert run(f"prepare_{name}") == 0
    assert "nothing to do" in capsys.readouterr().out
    assert run.written() == before and run.record(f"{folder}_split")["complete"]
