"""The demo's command line, in process: what it writes, what it prints, how it fails."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from PIL import Image
from rasterio.transform import from_origin

from ovrs.errors import WeightsError
from ovrs.inference.tiles import Tiling
from ovrs.vocabulary import Vocabulary

SCRIPT = Path(__file__).parents[2] / "demo" / "demo.py"
Run = Callable[..., int]
TOWN = ["town.classes.tif", "town.classes.tif.aux.xml", "town.confidence.tif", "town.overlay.png"]


class FakeModel:
    """Class = the brightness in as many steps as there are names; the brighter, the surer."""

    tiling = Tiling(tile=48, overlap=0.25, patch=16, per_patch=16)
    batch = 1

    def score(self, tiles: torch.Tensor, vocabulary: Vocabulary) -> torch.Tensor:
        names = vocabulary.num_classes if vocabulary.background.policy == "threshold" else len(vocabulary)
        brightness = tiles.float().mean(dim=1, keepdim=True) / 256
        steps = (torch.arange(names).view(1, -1, 1, 1) + 0.5) / names
        return brightness * (1 - (brightness - steps).abs())


@pytest.fixture
def demo(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module, with a model that needs no weights."""
    spec = importlib.util.spec_from_file_location("ovrs_demo_script", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def load(args: Any) -> Any:
        from ovrs.inference.segmenter import Segmenter

        return Segmenter(FakeModel())

    module.load_real_segmenter = module.load_segmenter  # type: ignore[attr-defined]
    monkeypatch.setattr(module, "load_segmenter", load)
    return module


@pytest.fixture
def run(demo: ModuleType, tmp_path: Path) -> Run:
    """``run("--input", ...)`` with the output folder ``tmp_path/out``; returns the exit status."""

    def call(*args: object) -> int:
        try:
            return int(demo.main([*map(str, args), "--output", str(tmp_path / "out")]))
        except SystemExit as stop:
            return int(stop.code or 0)

    return call


@pytest.fixture
def town(tmp_path: Path) -> Path:
    """A GeoTIFF in UTM at half a metre: dark, middling and bright thirds, and a black corner."""
    bands = np.repeat(np.array([40, 130, 220], np.uint8), 30)[None, None].repeat(3, axis=0).repeat(60, axis=1)
    bands[:, :20, :20] = 0
    path = tmp_path / "town.tif"
    profile = {"driver": "GTiff", "count": 3, "height": 60, "width": 90, "dtype": "uint8", "crs": "EPSG:32631"}
    with rasterio.open(path, "w", **profile, transform=from_origin(5e5, 4e6, 0.5, 0.5)) as file:
        file.write(bands)
    return path


def out(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "out").glob("*")) if (tmp_path / "out").exists() else []


def test_a_geotiff_becomes_a_map_on_its_grid(run: Run, town: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--input", town, "--vocab", "ship|boat,bridge,water") == 0
    assert out(tmp_path) == TOWN
    with rasterio.open(tmp_path / "out" / "town.classes.tif") as file, rasterio.open(town) as source:
        assert (file.crs, file.transform, file.shape) == (source.crs, source.transform, source.shape)
        values = file.read(1)
    assert (values[:20, :20] == 255).all() and (values[30] == np.repeat([0, 1, 2], 30)).all()
    text = capsys.readouterr()
    # 30 columns of 60 rows are 1,800 pixels of 5,000 valid ones, at a quarter of a square metre each.
    assert "bridge  36.0%  450 m2" in text.out
    assert all(str(tmp_path / "out" / name) in text.out for name in out(tmp_path))
    assert "tile" in text.err


def test_pictures_by_pattern_become_pngs(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a.png", "b.jpg", "c.webp"):
        Image.new("RGB", (20, 20), (99, 99, 99)).save(tmp_path / name)
    assert run("--input", tmp_path / "?.*", tmp_path / "a.png", "--vocab", "ship") == 0
    expected = [f"{stem}.{kind}.png" for stem in "abc" for kind in ("classes", "confidence", "overlay")]
    assert out(tmp_path) == [".records", *expected, "summary.csv"]
    text = capsys.readouterr()
    assert "m2" not in text.out and "3/3" in text.err


def test_vocabulary_file_and_background_policies(run: Run, town: Path, tmp_path: Path) -> None:
    words = tmp_path / "words.txt"
    words.write_text("ship, boat\nbridge\n")

    def tags(*args: object) -> dict[str, str]:
        assert run("--input", town, "--vocab-file", words, *args) == 0
        with rasterio.open(tmp_path / "out" / "town.classes.tif") as file:
            return dict(file.tags())

    assert tags()["CLASS_NAMES"] == '["ship", "bridge"]'
    assert tags("--background", "other,unknown")["BACKGROUND"] == "other, unknown"
    assert tags("--confidence-threshold", 0.4)["BACKGROUND"] == "confidence below 0.4"
    assert tags("--background", "none")["BACKGROUND"] == "none"
    tags("--background", "other", "--confidence-threshold", 0.3)
    with rasterio.open(tmp_path / "out" / "town.classes.tif") as file:
        assert (file.read(1)[30, :30] == 2).all()


def test_without_input_a_synthetic_scene_is_drawn(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--seed", 3) == 0
    assert out(tmp_path) == [
        f"scene_3.{kind}" for kind in ("classes.tif", "classes.tif.aux.xml", "confidence.tif", "overlay.png", "tif")
    ]
    assert "synthetic" in capsys.readouterr().out
    with (
        rasterio.open(tmp_path / "out" / "scene_3.tif") as scene,
        rasterio.open(tmp_path / "out" / "scene_3.classes.tif") as file,
    ):
        assert scene.crs is not None and scene.transform == file.transform and "SYNTHETIC" in scene.tags()


def refused(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], *args: object) -> str:
    """Run, expect exit status 2, one line of error and no output folder; return the line."""
    assert run(*args) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("demo.py: error: ")
    assert not (tmp_path / "out").exists()
    return lines[0]


def test_each_mistake_is_one_line_and_exit_status_2(
    run: Run, town: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty.tif").touch()
    (tmp_path / "note.txt").write_text("words, words, and more words")
    (tmp_path / "cut.tif").write_bytes(town.read_bytes()[:-9000])
    Image.fromarray(np.zeros((9, 9), np.uint16)).save(tmp_path / "deep.png")
    Image.new("RGB", (9, 9)).save(tmp_path / "town.png")
    cases: list[tuple[str, tuple[object, ...]]] = [
        ("no such file", ("--input", tmp_path / "absent.tif")),
        ("no file fits", ("--input", tmp_path / "*.xyz")),
        ("is empty", ("--input", tmp_path / "empty.tif")),
        ("no PNG, JPEG", ("--input", tmp_path / "note.txt")),
        ("truncated or damaged", ("--input", tmp_path / "cut.tif")),
        ("--bands, --stretch", ("--input", tmp_path / "deep.png")),
        ("no band 4", ("--input", town, "--bands", "4,3,2")),
        ("three numbers", ("--input", town, "--bands", "nir")),
        ("--stretch 'strong'", ("--input", town, "--stretch", "strong")),
        ("positive number", ("--input", town, "--gsd", "-1")),
        ("no such file", ("--input", town, tmp_path / "absent.tif")),
        ("two folders", ("--input", town, tmp_path / "town.png")),
        ("more than the 100 allowed", ("--input", town, "--max-pixels", "1e2")),
        ("vocabulary is empty", ("--input", town, "--vocab", "")),
        ("'Ship' is given twice", ("--input", town, "--vocab", "ship,Ship")),
        ("given twice", ("--input", town, "--vocab", "ship", "--background", "ship")),
        ("absent.yaml", ("--input", town, "--vocab-file", tmp_path / "absent.yaml")),
        ("--nodata 'black'", ("--input", town, "--nodata", "black")),
    ]
    for reason, args in cases:
        assert reason in refused(run, tmp_path, capsys, *args)


def test_a_folder_is_not_taken_for_a_file(run: Run, town: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--input", str(town), "--output", str(tmp_path / "map.tif")) == 2
    assert "map.tif is no folder" in capsys.readouterr().err and not (tmp_path / "map.tif").exists()


def test_usage_errors_exit_with_2(run: Run, town: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for args in (
        ("--bogus",),
        ("--vocab", "a", "--vocab-file", "b"),
        ("--confidence-threshold", "2"),
        ("--max-pixels", "many"),
    ):
        assert run("--input", town, *args) == 2
        assert "usage:" in capsys.readouterr().err


def test_an_unwritable_folder_is_found_before_the_model_is_loaded(
    demo: ModuleType, run: Run, town: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "load_segmenter", lambda args: pytest.fail("loaded"))
    (tmp_path / "out").write_text("a file where the folder should be")
    assert run("--input", town) == 2
    assert "cannot write to this folder" in capsys.readouterr().err


def test_weights_that_do_not_fit_leave_nothing(
    demo: ModuleType, run: Run, town: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def misfit(args: Any) -> Any:
        raise WeightsError("w.safetensors: 2 names are missing:\n a, b")

    monkeypatch.setattr(demo, "load_segmenter", misfit)
    assert "missing: a, b" in refused(run, tmp_path, capsys, "--input", town)


def test_an_unknown_configuration_key_is_refused(
    demo: ModuleType, town: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "load_segmenter", demo.load_real_segmenter)
    # --opts swallows the rest of the line, so the fixture's --output would go into it.
    args = ["--output", str(tmp_path / "out"), "--input", str(town), "--opts", "MODEL.NO_SUCH_KEY", "1"]
    assert demo.main(args) == 2
    assert "NO_SUCH_KEY" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_another_system_is_used_by_naming_its_configuration(
    demo: ModuleType, town: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("pyogrio")
    monkeypatch.setattr(demo, "load_segmenter", demo.load_real_segmenter)
    args = ["--input", str(town), "--vocab", "ship|boat,bridge,water", "--background", "land,tree", "--vectors", "gpkg"]
    args += ["--output", str(tmp_path / "out"), "--config-file", "mini/rs_zeroseg", "--weights", "random", "--device", "cpu"]
    assert demo.main([*args, "--opts", "MODEL.GUIDANCE.WEIGHTS", ""]) == 0
    assert out(tmp_path) == sorted([*TOWN, "town.gpkg"])
    assert "the map will mean nothing" in capsys.readouterr().err
    with rasterio.open(tmp_path / "out" / "town.classes.tif") as file:
        tags, values = file.tags(), file.read(1)
    assert (tags["MODEL"], tags["CONFIG"], tags["WEIGHTS"]) == ("RSZeroSeg", "mini/rs_zeroseg", "random")
    assert (values[:20, :20] == 255).all() and set(np.unique(values[20:])) <= {0, 1, 2, 3}


def test_nothing_is_left_when_the_model_fails(run: Run, town: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(FakeModel, "score", fail)
    with pytest.raises(RuntimeError):
        run("--input", town)
    assert out(tmp_path) == []


def test_one_bad_image_of_several_is_reported_and_the_others_finished(
    run: Run, town: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cut.tif").write_bytes(town.read_bytes()[:-9000])
    assert run("--input", tmp_path / "cut.tif", town) == 2
    assert out(tmp_path) == [".records", "summary.csv", *TOWN]
    assert "cut.tif: the TIFF is truncated" in capsys.readouterr().err


def test_a_scene_over_which_the_model_fails_is_reported_and_the_others_finished(
    run: Run, town: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "again.tif").write_bytes(town.read_bytes())
    fail = iter([True])

    def score(self: FakeModel, tiles: torch.Tensor, vocabulary: Vocabulary) -> torch.Tensor:
        if next(fail, False):
            raise RuntimeError("CUDA out of memory")
        return tiles.float()[:, :1].repeat(1, len(vocabulary), 1, 1) / 256

    monkeypatch.setattr(FakeModel, "score", score)
    assert run("--input", tmp_path / "again.tif", town) == 2
    assert out(tmp_path) == [".records", "summary.csv", *TOWN]
    assert "again.tif: CUDA out of memory" in capsys.readouterr().err
    assert "RuntimeError: CUDA out of memory" in (tmp_path / "out" / "summary.csv").read_text()


def test_a_pattern_that_fits_one_image_keeps_its_record(run: Run, town: Path, tmp_path: Path) -> None:
    assert run("--input", tmp_path / "t*n.tif") == 0
    assert out(tmp_path) == [".records", "summary.csv", *TOWN]


def test_missing_packages_for_vectors_are_named_before_the_model_is_loaded(
    run: Run, demo: ModuleType, town: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("ovrs.inference.vectors._PACKAGES", ("shapely", "no_such_package"))
    monkeypatch.setattr(demo, "load_segmenter", lambda _: pytest.fail("loaded"))
    assert run("--input", town, "--vectors", "gpkg") == 2
    assert "vectors need no_such_package: pip install 'ovrs[vector]'" in capsys.readouterr().err


def test_help_teaches_without_importing_torch() -> None:
    code = f"""
import runpy, sys
sys.argv = ["demo.py", "--help"]
try:
    runpy.run_path({str(SCRIPT)!r}, run_name="__main__")
except SystemExit as stop:
    assert stop.code == 0
assert not {{"torch", "detectron2", "rasterio"}} & set(sys.modules), "heavy imports"
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "examples:" in done.stdout and "%(" not in done.stdout
