"""The data sets with SAR and descriptions: SWJTU-Vision-Language in TSMNet's layout, YESeg-OPT-SAR in its owners'."""

import numpy as np
import pytest

from ovrs.data.catalog import load_split
from ovrs.data.mapper import SegmentationMapper
from ovrs.data.preparation import drawn_pairs

NAMES = ("1", "2", "3", "10")


@pytest.fixture
def swjtu(make):
    """Four pairs in the two folders of TSMNet's code; the last has no text. Labels hold 0 to 7."""
    members, bands = {}, {}
    for name, part in zip(NAMES, ("800", "800", "1912", "1912"), strict=True):
        bands[name] = make.photo(8, 16, 4)
        bands[name][..., 3] |= 1
        members[f"SWJTU/img_optical_sar{part}/{name}.tif"] = make.encode(bands[name], "tif")
        members[f"SWJTU/ann{part}/{name}.tif"] = make.encode(np.tile(np.arange(8, dtype=np.uint8), (8, 2)), "tif")
        if name != "10":
            members[f"SWJTU/img_optical_sar{part}/txt/{name}.txt"] = f"Place {name}.\nHouses\n".encode()
    make.zip("swjtu.zip", members)
    return bands


@pytest.fixture
def yeseg(make):
    """Four pairs in two folders that share names, and their texts in an archive of its own."""
    members, photos, texts = {}, {}, {}
    for folder in ("1", "HY_C"):
        for name in ("1", "2"):
            image, sar = make.photo(8, 16), make.photo(8, 16)[..., 0]
            photos[f"{folder}_{name}"] = image, sar
            members[f"YESeg-OPT-SAR dataset/optical/{folder}/{name}.png"] = make.encode(image, "png")
            members[f"YESeg-OPT-SAR dataset/sar/{folder}/{name}.png"] = make.encode(sar, "png")
            labels = np.tile(np.arange(8, dtype=np.uint8), (8, 2))
            members[f"YESeg-OPT-SAR dataset/label/{folder}/{name}.png"] = make.encode(labels, "png")
            texts[f"text/{folder}/{name}.txt"] = f"About {folder} {name}".encode()
    make.zip("YESeg-OPT-SAR.zip", members)
    make.zip("text.zip", texts)
    return photos


def prepared(script, run, name, *options, train=3):
    """The exit code of a script that draws ``train`` pairs, and the stems of both splits."""
    module = script(f"prepare_{name}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drawn_pairs, "TRAIN", train)
        code = module.main(["--source", str(run.source), "--output", str(run.output), "--workers", "1", *options])
    folder = {"swjtu_vl": "SWJTU_VL_split", "yeseg": "YESeg_split"}[name]
    stems = {split: [path[:-4] for path in run.names(f"{folder}/{split}/imgs")] for split in ("train", "val")}
    return code, folder, stems


def places(folder, stems):
    return [(f"{folder}/{split}", stem) for split, names in stems.items() for stem in names]


def test_swjtu_s_fourth_band_becomes_sar_and_seven_becomes_others(script, run, swjtu):
    code, folder, stems = prepared(script, run, "swjtu_vl")
    assert code == 0 and len(stems["train"]) == 3 and sorted(stems["train"] + stems["val"]) == sorted(NAMES)
    for place, stem in places(folder, stems):
        assert np.array_equal(run.pixels(f"{place}/imgs/{stem}.png"), swjtu[stem][..., :3])
        assert np.array_equal(run.pixels(f"{place}/sar/{stem}.png"), swjtu[stem][..., 3])
        assert run.pixels(f"{place}/D2masks/{stem}.png")[0, :8].tolist() == [0, 1, 2, 3, 4, 5, 6, 0]
        text = (run.output / f"{place}/texts/{stem}.txt").read_text()
        assert text == ("\n" if stem == "10" else f"Place {stem}. Houses\n")


def test_yeseg_s_files_are_told_apart_by_their_folders(script, run, yeseg):
    code, folder, stems = prepared(script, run, "yeseg")
    assert code == 0 and sorted(stems["train"] + stems["val"]) == sorted(yeseg)
    for place, stem in places(folder, stems):
        image, sar = yeseg[stem]
        assert np.array_equal(run.pixels(f"{place}/imgs/{stem}.png"), image)
        assert np.array_equal(run.pixels(f"{place}/sar/{stem}.png"), sar)
        assert run.pixels(f"{place}/D2masks/{stem}.png")[0, :8].tolist() == [0, 1, 2, 3, 4, 5, 6, 0]
        said = f"About {stem.rpartition('_')[0]} {stem.rpartition('_')[2]}\n"
        assert (run.output / f"{place}/texts/{stem}.txt").read_text() == said


def test_the_draw_follows_from_the_seed(script, run, yeseg):
    _, _, first = prepared(script, run, "yeseg", train=2)
    draws = set()
    for seed in range(6):
        code, _, stems = prepared(script, run, "yeseg", "--seed", str(seed), "--force", train=2)
        assert code == 0 and len(stems["train"]) == len(stems["val"]) == 2
        assert seed or stems == first
        draws.add(tuple(stems["train"]))
    assert len(draws) > 1


@pytest.mark.parametrize("name", ["swjtu_vl", "yeseg"])
def test_what_was_prepared_is_what_training_reads(script, run, name, swjtu, yeseg, monkeypatch):
    prepared(script, run, name)
    monkeypatch.setenv("DETECTRON2_DATASETS", str(run.output))
    mapper = SegmentationMapper(is_train=False)
    samples = [mapper({**entry, "dataset_name": f"{name}_train"}) for entry in load_split(f"{name}_train")]
    assert len(samples) == 3
    for sample in samples:
        assert sample["sar"].shape == (1, 8, 16) and sample["image"].shape == (3, 8, 16)
    assert any(sample["description"] for sample in samples)


def test_a_lost_partner_is_made_again_and_nothing_else(script, run, yeseg):
    _, folder, stems = prepared(script, run, "yeseg")
    one, other, *_ = stems["train"]
    before = run.written()
    (run.output / f"{folder}/train/sar/{one}.png").unlink()
    (run.output / f"{folder}/train/texts/{other}.txt").unlink()
    assert prepared(script, run, "yeseg")[0] == 0
    after = run.written()
    assert set(before) == set(after)
    changed = {path for path in before if before[path] != after[path]}
    assert {path for path in changed if path.endswith(".png")} == {str(run.output / f"{folder}/train/sar/{one}.png")}


def test_pairs_that_cannot_work_are_named(script, run, make, yeseg, capsys):
    make.files({"sar/1/1.png": make.encode(make.photo(8, 12)[..., 0], "png")})
    module = script("prepare_yeseg")
    assert module.main(["--source", str(run.source), "--output", str(run.output)]) == 2
    assert "are different files of one name" in capsys.readouterr().err
    (run.source / "YESeg-OPT-SAR.zip").unlink()
    make.files({f"{kind}/1/1.png": make.encode(make.photo(8, 16)[..., 0] % 8, "png") for kind in ("optical", "label")})
    assert module.main(["--source", str(run.source), "--output", str(run.output)]) == 2
    assert "sar/1/1.png: is 12 x 8 pixels, its image" in capsys.readouterr().err
    (run.source / "sar/1/1.png").unlink()
    assert module.main(["--source", str(run.source), "--output", str(run.output)]) == 2
    assert "no sar image (sar/1/1.png) found" in capsys.readouterr().err
