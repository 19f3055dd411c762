"""Where images were taken, on the demo's command line: what is printed, written, resumed and refused."""

from __future__ import annotations

import csv
import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import rasterio

sys.path.append(str(Path(__file__).parents[1] / "inference"))

from place_model import UTM40, WORDS, PlaceReader, write_bank, write_image

import ovrs.climate.lookup
from ovrs.climate.bank import NEUTRAL
from ovrs.climate.zones import zone_named
from ovrs.data.scenes import draw_scene
from ovrs.inference import drawing
from ovrs.inference.batch import read_records
from ovrs.inference.segmenter import Segmenter

SCRIPT = Path(__file__).parents[2] / "demo" / "demo.py"
Run = Callable[..., int]


@pytest.fixture(autouse=True)
def desert(monkeypatch: pytest.MonkeyPatch) -> None:
    """All the world is one."""
    monkeypatch.setattr(ovrs.climate.lookup, "zone_at", lambda *_: zone_named("BWh"))


@pytest.fixture
def models() -> list[PlaceReader]:
    """The models that :func:`run` has loaded."""
    return []


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, models: list[PlaceReader]) -> Run:
    """``run("--input", ...)`` with a bank of its own and the output folder ``tmp_path/out``; returns the exit status."""
    spec = importlib.util.spec_from_file_location("ovrs_demo_of_places", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    bank = write_bank(tmp_path)

    def load(args: Any) -> Segmenter:
        model: Any = PlaceReader()
        model.reads_places = model.reads_descriptions = args.config_file != "blind"
        models.append(model)
        return Segmenter(model)

    monkeypatch.setattr(module, "load_segmenter", load)

    def call(*args: object) -> int:
        fixed = ("--vocab", WORDS, "--prompt-bank", bank, "--output", tmp_path / "out")
        try:
            return int(module.main([str(each) for each in (*args, *fixed)]))
        except SystemExit as stop:
            return int(stop.code or 0)

    return call


def test_place_zone_and_prompt_are_printed_and_written(run: Run, tmp_path: Path, capsys: Any) -> None:
    image = write_image(tmp_path / "town.tif", **UTM40)
    assert run("--input", image) == 0
    where = "place: 25.20 N, 55.30 E (the middle of town.tif); zone BWh, hot desert climate"
    assert f"{where}\nprompt: Palms. Flat roofs.\n" in capsys.readouterr().out
    for kind in ("classes", "confidence"):
        with rasterio.open(tmp_path / "out" / f"town.{kind}.tif") as file:
            tags = file.tags()
        assert (tags["CLIMATE_ZONE"], tags["DESCRIPTION"]) == ("BWh", "Palms. Flat roofs.") and "25.20 N" in tags["PLACE"]


def test_an_image_without_a_place_is_told_the_neutral_prompt_or_what_is_named(
    run: Run, tmp_path: Path, models: list[PlaceReader], capsys: Any, caplog: pytest.LogCaptureFixture
) -> None:
    image = write_image(tmp_path / "bare.tif")
    assert run("--input", image) == 0 and run("--input", image, "--zone", "cfb") == 0
    told = capsys.readouterr().out
    assert f"prompt (neutral, for lack of a place): {NEUTRAL}" in told and "place: not known; zone Cfb, temperate" in told
    assert [set(model.told) for model in models] == [{NEUTRAL}, {"Oaks. Red roofs."}]
    assert len([each for each in caplog.records if "hint: " in each.message]) == 1
    assert run("--input", image, "--zone", "Cfb", "--description", "a wood") == 0 and set(models[2].told) == {"a wood"}
    assert "prompt (the description given): a wood" in capsys.readouterr().out


def test_zones_of_many_scenes_stand_in_records_and_summary(run: Run, tmp_path: Path) -> None:
    write_image(tmp_path / "in" / "town.tif", **UTM40), write_image(tmp_path / "in" / "bare.tif")
    assert run("--input", tmp_path / "in" / "*.tif") == 0
    with open(tmp_path / "out" / "summary.csv", newline="", encoding="utf-8") as file:
        assert {Path(row["scene"]).stem: row["zone"] for row in csv.DictReader(file)} == {"town": "BWh", "bare": ""}
    (record,) = [each for each in read_records(tmp_path / "out") if each.scene.endswith("town.tif")]
    assert record.zone == "BWh"
    path = tmp_path / "out" / ".records" / "town.json"
    entries = json.loads(path.read_text())
    del entries["zone"]
    path.write_text(json.dumps(entries))  # of an earlier version
    assert len(read_records(tmp_path / "out")) == 2


def test_resume_keeps_what_was_made_under_the_same_zone(run: Run, tmp_path: Path, models: list[PlaceReader]) -> None:
    for name in ("town", "port"):
        write_image(tmp_path / "in" / f"{name}.tif", **UTM40)
    call = ("--input", tmp_path / "in" / "*.tif", "--resume")
    cfb = ("--zone", "Cfb")
    for more, again in (((), True), ((), False), (cfb, True), (("--zone", "cFB"), False), (("--season", "dry"), True)):
        assert run(*call, *more) == 0
        assert bool(models[-1].told) == again, more
    bank = tmp_path / "bank.json"
    bank.write_text(bank.read_text(encoding="utf-8").replace("Palms.", "Tall palms."), encoding="utf-8")
    assert run(*call, "--season", "dry") == 0 and "Tall palms." in models[-1].told[0]


def write_config(folder: Path, climate: str, system: str = "MetaSegNet") -> Path:
    """The file of a configuration with these keys of ``DATASETS.CLIMATE``."""
    text = f"MODEL: {{META_ARCHITECTURE: {system}, TEXT: {{MAX_TOKENS: 250}}}}\nDATASETS: {{CLIMATE: {{{climate}}}}}\n"
    (folder / "model.yaml").write_text(text, encoding="utf-8")
    return folder / "model.yaml"


def test_show_prompt_prints_and_stops_without_a_model(run: Run, tmp_path: Path, models: list[PlaceReader], capsys: Any) -> None:
    write_image(tmp_path / "in" / "town.tif", **UTM40), write_image(tmp_path / "in" / "bare.tif")
    run = partial(run, "--config-file", write_config(tmp_path, "PROMPTS: bank"))
    assert run("--input", tmp_path / "in" / "*.tif", "--show-prompt") == 0
    told = capsys.readouterr().out
    assert "bare.tif\nplace: not known" in told and "town.tif\nplace: 25.20 N, 55.30 E" in told and "prompt: Palms." in told
    assert run("--zone", "BWh", "--show-prompt", "--season", "dry") == 0
    assert capsys.readouterr().out == (
        "place: not known; zone BWh, hot desert climate (as named)\n"
        "prompt: Palms. Flat roofs. It was taken in the dry season.\n"
    )
    assert run("--region", "Dubai", "--show-prompt") == 0 and "(region Dubai); zone BWh" in capsys.readouterr().out
    assert run("--show-prompt", "--seed", 3) == 0
    assert f"(the middle of scene_3.tif); zone {draw_scene(3, size=640).setting.climate}," in capsys.readouterr().out
    (tmp_path / "in" / "empty.tif").touch()
    assert run("--input", tmp_path / "in" / "*.tif", "--show-prompt") == 2
    said = capsys.readouterr()
    assert "empty.tif: the file is empty" in said.err and "prompt: Palms." in said.out
    assert not models and not (tmp_path / "out").exists()


def test_show_prompt_prints_what_the_model_of_the_configuration_is_told(run: Run, tmp_path: Path, capsys: Any) -> None:
    def shown(*args: object) -> str:
        assert run("--zone", "BWh", "--show-prompt", *args) == 0
        return str(capsys.readouterr().out)

    classes = write_config(tmp_path, 'PROMPTS: bank, CLASSES: ("building", "tree")'.replace("(", "[").replace(")", "]"))
    assert "prompt (on the classes of its training): Flat roofs. Palms.\n" in shown("--config-file", classes)
    assert "(on the classes of its training): Palms. Flat roofs.\n" in shown("--config-file", "mini/metasegnet")
    assert "of its classes: Palms. Flat roofs.\n" in shown("--config-file", "mini/climate/aeroseg_climate")
    for blind in ("mini", "mini/climate/none", "mini/tsmnet"):
        told = shown("--config-file", blind)
        assert told.startswith(f"the model of {blind} (") and "is told no prompt" in told and "Palms" not in told
    assert run("--show-prompt", "--config-file", "no_such") == 2 and "'no_such' not found" in capsys.readouterr().err


def test_show_prompt_imports_no_torch() -> None:
    script = f"""
import runpy, sys
sys.argv = ["demo.py", "--zone", "BWh", "--show-prompt", "--vocab", "tree", "--config-file", "mini/metasegnet"]
try:
    runpy.run_path({str(SCRIPT)!r}, run_name="__main__")
except SystemExit as stop:
    assert not stop.code
assert "torch" not in sys.modules and "pandas" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=SCRIPT.parents[1])
    assert "zone BWh" in done.stdout


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("--zone", "BWx"), "no climate zone 'BWx' on the maps of Köppen and Geiger; near: BW"),
        (("--region", "Dubay"), "near: Dubai"),
        (("--location", "125.2,55.3"), "no place on Earth"),
        (("--location", "1,2", "--region", "Dubai"), "--location and --region: each says where"),
        (("--climate-raster", "absent.tif"), "--climate-raster absent.tif: there is no such file"),
        (("--season", "wet"), "invalid choice"),
    ],
)
def test_mistakes_are_named_before_the_model_is_loaded(
    run: Run, tmp_path: Path, models: list[PlaceReader], capsys: Any, args: tuple[str, ...], says: str
) -> None:
    assert run("--input", write_image(tmp_path / "town.tif", **UTM40), *args) == 2
    told = capsys.readouterr().err
    assert says in told and "Traceback" not in told and not models and not (tmp_path / "out").exists()


def test_a_bank_that_cannot_be_read_is_named(run: Run, tmp_path: Path, models: list[PlaceReader], capsys: Any) -> None:
    (tmp_path / "bank.json").write_text("[]")
    assert run("--zone", "BWh") == 2 and "bank.json" in capsys.readouterr().err and not models


def test_a_model_that_reads_no_place_takes_them_with_a_hint(run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert run("--input", write_image(tmp_path / "a.tif", **UTM40), "--zone", "BWh", "--config-file", "blind") == 0
    assert any("reads no descriptions of places" in each.message for each in caplog.records)


def test_a_drawn_scene_looks_like_its_place_and_is_told_of_its_zone(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr(drawing, "_SIZE", 96)
    scene = draw_scene(3, size=96, regional=True)
    assert run("--seed", 3) == 0
    told = capsys.readouterr().out
    assert f"zone {scene.setting.climate}, " in told and "(as drawn)" in told and "description:" not in told
    with rasterio.open(tmp_path / "out" / "scene_3.tif") as file:
        assert (file.read() == scene.image.transpose(2, 0, 1)).all()
    with rasterio.open(tmp_path / "out" / "scene_3.classes.tif") as file:
        assert file.tags()["CLIMATE_ZONE"] == scene.setting.climate
