"""Sentences on the demo's command line: masks on the file's grid, what is said about them, and what is refused."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from PIL import Image
from rasterio.transform import from_origin

from ovrs.inference.tiles import Tiling
from ovrs.vocabulary import Vocabulary

SCRIPT = Path(__file__).parents[2] / "demo" / "demo.py"
Run = Callable[..., int]


class Bright:
    """Reads sentences: what is bright, and of a tile the left half where the sentence says so."""

    tiling = Tiling(tile=48, overlap=0.25, patch=16, per_patch=16)
    batch, squeezes, reads_sentences = 1, True, True

    def score(self, tiles: torch.Tensor, vocabulary: Vocabulary) -> torch.Tensor:
        bright = tiles.float().mean(dim=1) / 256
        left = (torch.arange(bright.shape[-1]) < bright.shape[-1] / 2).float()
        found = bright * left if "left" in vocabulary.names[0] else bright
        words = vocabulary.background.policy == "words"
        return torch.stack([found, torch.full_like(found, 0.5)] if words else [found], dim=1)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """``run("--input", ...)`` with the output folder ``tmp_path/out``; returns the exit status."""
    spec = importlib.util.spec_from_file_location("ovrs_demo_of_sentences", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def load(args: Any) -> Any:
        from ovrs.inference.segmenter import Segmenter

        return Segmenter(Bright())

    monkeypatch.setattr(module, "load_segmenter", load)

    def call(*args: object) -> int:
        try:
            return int(module.main([*map(str, args), "--output", str(tmp_path / "out")]))
        except SystemExit as stop:
            return int(stop.code or 0)

    return call


@pytest.fixture
def town(tmp_path: Path) -> Path:
    """A GeoTIFF of 120 x 300 pixels in UTM at half a metre: dark, with two bright squares, and a black corner."""
    bands = np.full((3, 120, 300), 40, np.uint8)
    bands[:, 40:80, 60:100] = bands[:, 40:80, 220:260] = 230
    bands[:, :20, :20] = 0
    path = tmp_path / "town.tif"
    profile = {"driver": "GTiff", "count": 3, "height": 120, "width": 300, "dtype": "uint8", "crs": "EPSG:32631"}
    with rasterio.open(path, "w", **profile, transform=from_origin(5e5, 4e6, 0.5, 0.5)) as file:
        file.write(bands)
    return path


def values_of(tmp_path: Path, name: str) -> tuple[Any, dict[str, str]]:
    with rasterio.open(tmp_path / "out" / name) as file:
        return file.read(1), file.tags()


def test_a_sentence_becomes_a_mask_on_the_file_s_grid(
    run: Run, town: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pyogrio = pytest.importorskip("pyogrio")
    assert run("--input", town, "--expression", "the hall, on the left", "--vectors", "geojson") == 0
    values, tags = values_of(tmp_path, "town.classes.tif")
    assert values[60, [80, 240, 150]].tolist() == [0, 1, 1] and (values[:20, :20] == 255).all()
    assert json.loads(tags["CLASS_NAMES"]) == ["the hall, on the left", "background"]
    with rasterio.open(tmp_path / "out" / "town.classes.tif") as file, rasterio.open(town) as source:
        assert (file.crs, file.transform, file.shape) == (source.crs, source.transform, source.shape)
    found = pyogrio.read_dataframe(tmp_path / "out" / "town.geojson")
    assert (found["class"] == "the hall, on the left").sum() == 1
    with Image.open(tmp_path / "out" / "town.overlay.png") as overlay:
        assert overlay.width == 900 and overlay.height > 360
    text = capsys.readouterr().out
    assert "sentence: the hall, on the left" in text and "read: the whole scene at once, as 48 x 48 pixels" in text
    assert "hint: reduced 6.25 times" in text and "leave out 'left' and give --grounding windows" in text and "m2" in text


def test_several_sentences_are_answered_apart(run: Run, town: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "village.tif").write_bytes(town.read_bytes())
    sentences = ("--expression", "Halls, all of them!", "--expression", "the hall on the left")
    assert run("--input", town, tmp_path / "village.tif", *sentences) == 0
    for name in ("town", "village"):
        both, tags = values_of(tmp_path, f"{name}.halls-all-of-them.classes.tif")
        one, _ = values_of(tmp_path, f"{name}.the-hall-on-the-left.classes.tif")
        assert both[60, [80, 240]].tolist() == [0, 0] and one[60, [80, 240]].tolist() == [0, 1]
        assert "windows of 48 pixels" in tags["GROUNDING"] and "GROUNDING_HINT" not in tags
    assert "4 of 4 images done" in capsys.readouterr().out
    header = (tmp_path / "out" / "summary.csv").read_text().splitlines()[0]
    assert '"share of Halls, all of them!"' in header and "share of the hall on the left" in header
    before = (tmp_path / "out" / "town.the-hall-on-the-left.classes.tif").stat().st_mtime_ns
    assert run("--input", town, tmp_path / "village.tif", *sentences, "--resume") == 0
    assert (tmp_path / "out" / "town.the-hall-on-the-left.classes.tif").stat().st_mtime_ns == before
    assert "town.tif: done before" in capsys.readouterr().out


def test_words_and_a_threshold_stand_beside_a_sentence(run: Run, town: Path, tmp_path: Path) -> None:
    assert run("--input", town, "--expression", "halls", "--confidence-threshold", 0.95) == 0
    assert set(np.unique(values_of(tmp_path, "town.classes.tif")[0])) == {1, 255}
    assert run("--input", town, "--expression", "halls on the left", "--background", "land,water") == 0
    values, tags = values_of(tmp_path, "town.classes.tif")
    assert tags["BACKGROUND"] == "land, water" and values[60, 240] == 1
    assert run("--input", town, "--expression", "halls", "--background", "none") == 0
    assert values_of(tmp_path, "town.classes.tif")[1]["BACKGROUND"] == "confidence below 0.5"


def test_mistakes_are_one_line(run: Run, town: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for says, args in (
        ("holds no word", ("--expression", "")),
        ("600 characters; 500 are allowed", ("--expression", "x" * 600)),
        ("is given twice", ("--expression", "a ship", "--expression", "a ship")),
        ("give one with --expression", ("--vocab", "ship", "--grounding", "whole")),
        ("--synonyms is for words", ("--expression", "a ship", "--synonyms", "mean")),
    ):
        assert run("--input", town, *args) == 2
        lines = capsys.readouterr().err.strip().splitlines()
        assert len(lines) == 1 and says in lines[0] and not (tmp_path / "out").exists()


def test_words_and_sentences_exclude_each_other(run: Run, town: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for other in (("--vocab", "ship"), ("--preset", "harbour"), ("--vocab-file", "words.txt")):
        assert run("--input", town, "--expression", "a ship", *other) == 2
        assert "not allowed with argument" in capsys.readouterr().err
    assert run("--input", town, "--expression", "a ship", "--grounding", "tiles") == 2
    assert "invalid choice: 'tiles'" in capsys.readouterr().err
