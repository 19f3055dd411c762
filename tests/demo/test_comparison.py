"""The comparison of an image, its SAR partner and both: whose files are written, what is recorded, and what shares are of."""

from __future__ import annotations

import argparse
import csv
import importlib.util
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parents[1] / "inference"))

from pair_model import Pairs, decibels, optical, pair, write

from ovrs.errors import InputError, OutputError
from ovrs.inference.batch import Job, segment_scene
from ovrs.inference.modalities import compare_modalities, draw_from_results
from ovrs.inference.segmenter import Segmenter
from ovrs.inference.sources import Source
from ovrs.pictures import _legend_of
from ovrs.vocabulary import Vocabulary

SCRIPT = Path(__file__).parents[2] / "demo" / "demo.py"
WORDS = ("--vocab", "water, land")
Run = Callable[..., int]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """``run("--input", ...)`` with the output folder ``tmp_path/out``; returns the exit status."""
    spec = importlib.util.spec_from_file_location("ovrs_demo_of_comparisons", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def load(args: argparse.Namespace) -> Segmenter:
        model = Pairs()
        model.reads_sar = args.config_file != "blind"
        return Segmenter(model)

    monkeypatch.setattr(module, "load_segmenter", load)
    return lambda *args: int(module.main([*map(str, args), "--output", str(tmp_path / "out")]))


def test_no_map_of_one_image_is_written_over_anothers(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("town", "town.sar"):
        pair(tmp_path, name)
    call = ("--input", tmp_path / "*.tif", "--sar", tmp_path / "sar", *WORDS)
    assert run(*call, "--compare-modalities") == 2
    assert "town.sar.tif would both be written as 'town.sar.*'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert run(*call) == 0


def test_the_summary_says_what_each_line_was_made_from(run: Run, tmp_path: Path) -> None:
    for name in ("port", "town"):
        pair(tmp_path, name)
    call = ("--input", tmp_path / "*.tif", "--sar", tmp_path / "sar")
    assert run(*call, "--compare-modalities", *WORDS) == 0
    assert run(*call[:2], "--expression", "the river", "--expression", "the houses") == 0
    with open(tmp_path / "out" / "summary.csv", newline="", encoding="utf-8") as file:
        rows = [(Path(row["scene"]).stem, row["sentence"], row["modalities"]) for row in csv.DictReader(file)]
    assert rows == [
        (name, *of)
        for name in ("port", "town")
        for of in (("", "both"), ("", "optical"), ("", "sar"), ("the houses", ""), ("the river", ""))
    ]


def test_a_model_that_reads_none_is_told_before_a_cluster_is_asked(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image, sar = pair(tmp_path)
    call = ("--input", image, "--sar", sar, *WORDS, "--config-file", "blind")
    assert run(*call, "--compare-modalities", "--engine", "ray") == 2
    assert "the model of blind reads no SAR" in capsys.readouterr().err
    assert run(*call, "--sar-bands", "3", "--sar-scale", "db") == 2
    assert "has no band 3" in capsys.readouterr().err


def test_shares_are_of_the_same_ground(tmp_path: Path) -> None:
    image, sar = write(tmp_path / "town.tif", optical(cloud=False)), decibels()
    sar[:, :, :40] = np.nan  # half of the water lies beyond the swath
    found = compare_modalities(Segmenter(Pairs()), image, "water, land", sar=sar)
    assert [found.maps[how].shares()["water"] for how in ("optical", "sar", "both")] == pytest.approx([1 / 2, 1 / 3, 1 / 2])
    assert {how: shares["water"] for how, shares in found.shares().items()} == pytest.approx(
        {"optical only": 1 / 3, "SAR only": 1 / 3, "both": 1 / 3}
    )
    labels = [result.preview[1] for result in found.maps.values()]
    counted = np.logical_and.reduce([each < 2 for each in labels])
    maps = dict(zip(found.maps, labels, strict=True))
    legend = _legend_of(maps, found.maps["both"].vocabulary, "", 14, counted)
    assert [(entry.name, entry.note) for entry in legend.entries] == [
        ("water", "33% / 33% / 33%"),
        ("land", "67% / 67% / 67%"),
        ("no class", ""),
    ]
    assert legend.remark == "shares are of what all maps show"
    sar[:] = np.nan
    assert set(compare_modalities(Segmenter(Pairs()), image, "water, land", sar=sar).shares()["both"].values()) == {0.0}


def test_a_target_that_is_an_input_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    image = write(tmp_path / "town_s2.tif", optical())
    for name in ("town.sar.tif", "town.optical.confidence.tif"):
        sar = write(tmp_path / name, decibels())
        before, model = sar.read_bytes(), Pairs()
        with pytest.raises(OutputError, match="is an input and would be overwritten"):
            compare_modalities(Segmenter(model), image, "water, land", sar=sar, output=tmp_path / "town.tif")
        assert not model.tiles and not (tmp_path / "town.tif").exists() and sar.read_bytes() == before


def test_a_model_without_sar_compares_nothing(tmp_path: Path) -> None:
    image, sar = pair(tmp_path)
    model = Pairs()
    model.reads_sar = False  # type: ignore[misc]
    with pytest.raises(InputError, match="reads no SAR"):
        compare_modalities(Segmenter(model), image, "water, land", sar=sar)
    assert not model.tiles


def test_maps_that_are_damaged_or_of_an_earlier_run_are_not_compared(tmp_path: Path) -> None:
    image, sar = pair(tmp_path)
    out, source = tmp_path / "out", Source(image, "town", has_crs=False, sar=sar)
    job = Job(out, Vocabulary.parse("water, land"))
    for how in ("both", "optical", "sar"):
        segment_scene(Segmenter(Pairs()), source.with_ending("" if how == "both" else f".{how}"), replace(job, modalities=how))
    assert draw_from_results(source, job) == out / "town.modalities.png"
    whole = (out / "town.sar.classes.png").read_bytes()
    (out / "town.sar.classes.png").write_bytes(whole[:40])
    with pytest.raises(InputError, match="town.sar.classes.png: this map is damaged"):
        draw_from_results(source, job)
    (out / "town.sar.classes.png").write_bytes(whole)
    with pytest.raises(InputError):
        segment_scene(Segmenter(Pairs()), replace(source.with_ending(".sar"), refused="gone"), replace(job, modalities="sar"))
    assert draw_from_results(source, job) is None
