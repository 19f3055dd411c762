"""Images and their SAR partners on the demo's command line: one, many matched by name, what is refused, and the comparison."""

from __future__ import annotations

import importlib.util
import json
import sys
from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from PIL import Image

sys.path.append(str(Path(__file__).parents[1] / "inference"))

from pair_model import PLACE, Pairs, decibels, optical, pair, write

from ovrs.data.sar.encoding import SCALES
from ovrs.data.sar.speckle import SPECKLE_FILTERS
from ovrs.data.scenes import draw_scene
from ovrs.inference import drawing
from ovrs.inference.drawing import draw_for
from ovrs.inference.modalities import compare_modalities
from ovrs.inference.pair_arguments import add_pair_arguments
from ovrs.inference.segmenter import Segmenter

SCRIPT = Path(__file__).parents[2] / "demo" / "demo.py"
WORDS = ("--vocab", "water, land")
Run = Callable[..., int]


@pytest.fixture
def models() -> list[Pairs]:
    """The models that :func:`run` has loaded."""
    return []


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, models: list[Pairs]) -> Run:
    """``run("--input", ...)`` with the output folder ``tmp_path/out``; returns the exit status."""
    spec = importlib.util.spec_from_file_location("ovrs_demo_of_pairs", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def load(args: Any) -> Segmenter:
        model = Pairs()
        model.reads_sar = args.config_file != "blind"
        models.append(model)
        return Segmenter(model)

    monkeypatch.setattr(module, "load_segmenter", load)

    def call(*args: object) -> int:
        try:
            return int(module.main([*map(str, args), "--output", str(tmp_path / "out")]))
        except SystemExit as stop:
            return int(stop.code or 0)

    return call


def labels(path: Path) -> Any:
    with rasterio.open(path) as file:
        return file.read(1)


def test_one_pair_and_what_is_said_of_it(run: Run, tmp_path: Path) -> None:
    image, sar = pair(tmp_path)
    sar = sar.rename(tmp_path / "radar.tif")  # one file needs no name in common
    assert run("--input", image, "--sar", sar, "--description", "a river town", *WORDS) == 0
    assert (labels(tmp_path / "out" / "town.classes.tif")[:, :80] == 0).all()
    with rasterio.open(tmp_path / "out" / "town.confidence.tif") as file:
        tags = file.tags()
    assert tags["SAR"].startswith("radar.tif, band 1, db") and tags["DESCRIPTION"] == "a river town"
    assert run("--input", image, "--sar", sar, "--description", "a town after a flood", *WORDS) == 0
    assert (labels(tmp_path / "out" / "town.classes.tif") == 0).all()


def test_without_a_partner_it_answers_and_says_what_it_lacked(
    run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    image, _ = pair(tmp_path)
    assert run("--input", image, *WORDS) == 0
    assert [record.message[:46] for record in caplog.records] == [
        "hint: this model also reads SAR, and none was ",
        "hint: this model also reads what is said of th",
    ]


def test_how_sar_is_read(run: Run, tmp_path: Path) -> None:
    image, _ = pair(tmp_path)
    power = np.concatenate([np.full((1, 96, 160), 0.3, np.float32), 10 ** (decibels() / 10)])
    sar = write(tmp_path / "two.tif", power)
    say = ("--sar-scale", "intensity", "--sar-bands", "2", "--speckle", "lee", "--looks", "4", "--sar-nodata", "0")
    assert run("--input", image, "--sar", sar, *say, *WORDS) == 0
    with rasterio.open(tmp_path / "out" / "town.classes.tif") as file:
        assert file.tags()["SAR"] == "two.tif, band 2, intensity, nodata 0, speckle filter lee of 5 pixels for 4 looks"
        assert (file.read(1)[:, :78] == 0).all() and (file.read(1)[:, 82:] == 1).all()


@pytest.mark.parametrize("names", ["{}.tif", "{}_s1.tif", "{}-SAR.tif"])
@pytest.mark.parametrize("how", ["folder", "pattern", "files"])
def test_many_are_matched_by_name(run: Run, tmp_path: Path, models: list[Pairs], names: str, how: str) -> None:
    images, partners = [], []
    for number, name in enumerate(("port", "town", "wood")):
        images.append(write(tmp_path / "images" / f"{name}.tif", optical(cloud=False)))
        partners.append(write(tmp_path / "radar" / names.format(name), decibels() + 7.0 * (number == 1)))
    asked = {"folder": [tmp_path / "radar"], "pattern": [tmp_path / "radar" / "*.tif"], "files": partners[::-1]}[how]
    assert run("--input", tmp_path / "images" / "*.tif", "--sar", *asked, *WORDS) == 0
    covered = [int((labels(tmp_path / "out" / f"{name}.classes.tif") == 0).sum()) for name in ("port", "town", "wood")]
    assert covered[0] == covered[2] == 96 * 80 and covered[1] == 0, "of the second SAR says land"
    assert models[0].shapes.pop()[0] == 4


def test_an_image_without_a_partner_fails_and_others_do_not(run: Run, tmp_path: Path, capsys: Any) -> None:
    pair(tmp_path), pair(tmp_path, "port")
    write(tmp_path / "lone.tif", optical())
    write(tmp_path / "sar" / "port.tif", decibels(), transform=PLACE @ PLACE.translation(5, 0))
    assert run("--input", tmp_path / "*.tif", "--sar", tmp_path / "sar", *WORDS) == 2
    told = capsys.readouterr()
    assert "no SAR partner called 'lone' among 2 files" in told.err and "1 of 3 images done" in told.out
    assert "do not lie on one grid" in told.err and "up to 5 pixels apart" in told.err
    records = {path.stem: json.loads(path.read_text()) for path in (tmp_path / "out" / ".records").glob("*.json")}
    assert {name: record["status"] for name, record in records.items()} == {"lone": "failed", "port": "failed", "town": "done"}


def test_mistakes_are_named_before_the_model_is_loaded(run: Run, tmp_path: Path, models: list[Pairs], capsys: Any) -> None:
    image, sar = pair(tmp_path)
    other = write(tmp_path / "small.tif", decibels(90))
    write(tmp_path / "both" / "town_s1.tif", decibels()), write(tmp_path / "both" / "town_sar.tif", decibels())
    (tmp_path / "empty").mkdir()
    for args, says in (
        (["--input", image, "--sar", other], "size: 160 x 96 pixels against 160 x 90"),
        (["--input", image, "--sar", tmp_path / "absent.tif"], "absent.tif: no such file"),
        (["--input", image, "--sar", tmp_path / "empty"], "no raster in this folder"),
        (["--input", image, "--sar", tmp_path / "both"], "may both be its SAR partner"),
        (["--sar", sar], "--sar is the partner of an image"),
        (["--input", image, "--sar-scale", "db"], "--sar-scale is about the SAR partner"),
        (["--input", image, "--compare-modalities"], "--compare-modalities is about the SAR partner"),
        (["--input", image, "--sar", sar, "--sar-bands", "VV"], "--sar-bands 'VV'"),
        (["--input", image, "--sar", sar, "--speckle-window", "4"], "--speckle-window 4"),
        (["--input", image, "--sar", sar, "--looks", "0"], "--looks 0"),
        (["--input", image, "--sar", sar, "--sar-scale", "8bit", "--speckle", "lee"], "choose none or boxcar"),
        (["--input", image, "--sar", sar, "--sar-scale", "dB"], "invalid choice"),
        (["--input", image, "--description", "a town " * 2000], "characters"),
    ):
        assert run(*args, *WORDS) == 2, says
        told = capsys.readouterr().err
        assert says in told and "Traceback" not in told, told
    assert not models
    assert run("--input", image, "--sar", sar, "--compare-modalities", "--config-file", "blind", *WORDS) == 2
    assert "the model of blind reads no SAR" in capsys.readouterr().err
    assert not list((tmp_path / "out").glob("*"))


def test_choices_are_those_that_there_are() -> None:
    parser = ArgumentParser()
    add_pair_arguments(parser)
    choices = {action.dest: action.choices for action in parser._actions}
    assert choices["sar_scale"] == SCALES and choices["speckle"] == SPECKLE_FILTERS


def test_resume_tells_pairs_and_descriptions_apart(run: Run, tmp_path: Path, models: list[Pairs]) -> None:
    for name in ("port", "town"):
        pair(tmp_path, name)
    call = ("--input", tmp_path / "*.tif", "--sar", tmp_path / "sar", "--resume", *WORDS)
    assert run(*call) == 0 and run(*call) == 0
    assert models[0].tiles > 0 == models[1].tiles
    write(tmp_path / "sar" / "town.tif", decibels() + 1)
    assert run(*call) == 0 and models[2].tiles == models[0].tiles / 2
    assert run(*call, "--description", "a town") == 0 and models[3].tiles == models[0].tiles
    assert run(*call[:2], *call[4:]) == 0 and models[4].tiles == models[0].tiles


# ---------------------------------------------------------------- drawn pairs


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scenes are drawn small."""
    monkeypatch.setattr(drawing, "_SIZE", 96)


@pytest.mark.usefixtures("small")
def test_without_input_a_pair_under_clouds_is_drawn_and_described(run: Run, tmp_path: Path, capsys: Any, caplog: Any) -> None:
    assert run("--seed", 3, "--clouds", 0.5, "--compare-modalities", *WORDS) == 0
    out, scene = tmp_path / "out", draw_scene(3, size=96, clouds=0.5)
    with rasterio.open(out / "scene_3_cloudy.tif") as image, rasterio.open(out / "scene_3_cloudy_sar.tif") as sar:
        assert np.array_equal(image.read(), scene.cloudy.transpose(2, 0, 1)) and np.array_equal(sar.read(1), scene.sar_view)
        assert (sar.crs, sar.transform) == (image.crs, image.transform)
        assert "SYNTHETIC" in image.tags() and "SYNTHETIC" in sar.tags()
    with rasterio.open(out / "scene_3_cloudy.confidence.tif") as file:
        tags = file.tags()
    assert tags["SAR"] == "scene_3_cloudy_sar.tif, band 1, 8bit" and tags["DESCRIPTION"] == scene.summary
    told = capsys.readouterr().out
    assert told.count(f"description: {scene.summary}") == 1 and "and its SAR partner are drawn from seed 3" in told
    assert (out / "scene_3_cloudy.modalities.png").is_file() and not any("hint:" in r.message for r in caplog.records)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    ("model", "sar", "description"),
    [
        ({"sar_scale": "db"}, "float32", True),
        ({"sar_bands": 2}, None, True),
        ({"reads_sar": False}, None, True),
        ({"reads_descriptions": False}, "uint8", False),
    ],
)
def test_what_is_drawn_is_what_the_model_reads(tmp_path: Path, model: Any, sar: str | None, description: bool) -> None:
    read = Pairs()
    vars(read).update(model)
    drawn = draw_for(Segmenter(read), 3, tmp_path)
    assert (drawn.description == draw_scene(3, size=96).summary) == description == bool(drawn.description)
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["scene_3.tif", *(["scene_3_sar.tif"] if sar else [])]
    if sar is not None:
        with rasterio.open(drawn.source.sar) as file:
            assert file.dtypes == (sar,)
    assert (drawn.source.sar is None) == (sar is None)


@pytest.mark.usefixtures("small")
def test_the_users_words_on_a_drawn_scene_stand(run: Run, tmp_path: Path) -> None:
    assert run("--seed", 3, "--description", "a flood", *WORDS) == 0
    assert (labels(tmp_path / "out" / "scene_3.classes.tif") == 0).all()
    (tmp_path / "words.yaml").write_text("classes: [water, land]\ndescription: a flood\n")
    assert run("--seed", 4, "--vocab-file", tmp_path / "words.yaml") == 0
    assert (labels(tmp_path / "out" / "scene_4.classes.tif") == 0).all()
    assert run("--seed", 4, *WORDS) == 0 and not (labels(tmp_path / "out" / "scene_4.classes.tif") == 0).all()


def test_clouds_are_for_what_is_drawn(run: Run, tmp_path: Path, models: list[Pairs], capsys: Any) -> None:
    image, _ = pair(tmp_path)
    assert run("--input", image, "--clouds", "0.5", *WORDS) == 2 and "--clouds are drawn over" in capsys.readouterr().err
    assert run("--clouds", "1.5", *WORDS) == 2 and "outside 0..1" in capsys.readouterr().err
    assert not models
    assert run("--compare-modalities", "--config-file", "blind", *WORDS) == 2 and "reads no SAR" in capsys.readouterr().err


# ----------------------------------------------------------------- comparison


def test_three_maps_and_the_image_side_by_side(run: Run, tmp_path: Path, capsys: Any) -> None:
    image, sar = pair(tmp_path)
    assert run("--input", image, "--sar", sar, "--compare-modalities", *WORDS) == 0
    out = tmp_path / "out"
    assert {path.name for path in out.glob("*.classes.tif")} == {
        "town.classes.tif",
        "town.optical.classes.tif",
        "town.sar.classes.tif",
    }
    assert "(optical only)" in (told := capsys.readouterr().out) and f"compared: {out / 'town.modalities.png'}" in told
    alone, both = labels(out / "town.optical.classes.tif"), labels(out / "town.classes.tif")
    assert len(set(alone[:48].ravel())) == 1 and (both[:, :80] == 0).all(), "the cloud hides the river from the image alone"
    with Image.open(out / "town.modalities.png") as picture:
        width, height = picture.size
    assert width >= 5 * 160 and height > 96, "the image, SAR and three maps"


def test_comparisons_go_on_where_they_were_interrupted(run: Run, tmp_path: Path, models: list[Pairs]) -> None:
    for name in ("port", "town"):
        pair(tmp_path, name)
    call = ("--input", tmp_path / "*.tif", "--sar", tmp_path / "sar", "--compare-modalities", "--resume", *WORDS)
    assert run(*call) == 0
    pictures = [tmp_path / "out" / f"{name}.modalities.png" for name in ("port", "town")]
    before = [path.read_bytes() for path in pictures]
    (tmp_path / "out" / "town.sar.classes.tif").unlink()
    pictures[1].unlink()
    assert run(*call) == 0 and [path.read_bytes() for path in pictures] == before
    assert models[1].tiles == models[0].tiles / 6


def test_the_comparison_in_python(tmp_path: Path) -> None:
    image, sar = pair(tmp_path)
    found = compare_modalities(Segmenter(Pairs()), image, "water, land", sar=sar, output=tmp_path / "maps" / "town.classes.tif")
    shares = found.shares()
    assert list(shares) == ["optical only", "SAR only", "both"]
    assert shares["both"]["water"] == pytest.approx(0.5) == shares["SAR only"]["water"] != shares["optical only"]["water"]
    names = {path.name for path in (tmp_path / "maps").iterdir()}
    assert {"town.classes.tif", "town.optical.classes.tif", "town.sar.classes.tif", "town.modalities.png"} <= names
    assert found.sar.shape == (96, 160, 3) and found.sar[50, 20].max() < found.sar[50, 140].min(), "water is dark in SAR"
    without = compare_modalities(Segmenter(Pairs()), image, "water, land", sar=decibels())
    assert without.plot().size == found.plot().size
