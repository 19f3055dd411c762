"""Many scenes: what is recorded, what a second run leaves out, how processes share, and that a bad scene harms no other."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ovrs.errors import InputError
from ovrs.inference.batch import Job, read_records, segment_scene, write_summary
from ovrs.inference.processes import Processes
from ovrs.inference.segmenter import Segmenter
from ovrs.inference.sources import list_sources
from ovrs.inference.tiles import Tiling
from ovrs.vocabulary import Vocabulary

WORDS = Vocabulary.parse("red,green,blue")
KINDS = ("classes.tif", "confidence.tif", "classes.tif.aux.xml", "overlay.png")
DEMO = Path(__file__).resolve().parents[2] / "demo" / "demo.py"


class CountingModel:
    """The score of a class is its channel's value / 255."""

    tiling = Tiling(tile=64, overlap=0.25, patch=16, per_patch=16)
    batch = 1

    def __init__(self) -> None:
        self.tiles = 0

    def score(self, tiles: torch.Tensor, vocabulary: object) -> torch.Tensor:
        self.tiles += len(tiles)
        return tiles.float() / 255


@pytest.fixture
def archive(tmp_path: Path, write_tiff: Callable[..., Path]) -> Path:
    """Three scenes in two folders, two of them of the same name."""
    for number, name in enumerate(("north/a.tif", "north/b.tif", "south/a.tif")):
        (tmp_path / "archive" / name).parent.mkdir(parents=True, exist_ok=True)
        bands = np.random.default_rng(number).integers(1, 255, (3, 40, 50), dtype=np.uint8)
        write_tiff(bands, f"archive/{name}")
    return tmp_path / "archive"


def run(archive: Path, job: Job, model: CountingModel | None = None) -> tuple[list[str], int]:
    """Statuses in order, and how many tiles were scored."""
    model = model or CountingModel()
    statuses = []
    for source in list_sources([str(archive / "**" / "*.tif")]):
        try:
            statuses.append(segment_scene(Segmenter(model), source, job)[0].status)
        except InputError:
            statuses.append("failed")
    return statuses, model.tiles


def test_results_stand_in_folders_like_the_scenes(archive: Path, tmp_path: Path) -> None:
    job = Job(tmp_path / "out", WORDS)
    assert run(archive, job) == (["done"] * 3, 3)
    found = sorted(path.relative_to(job.output).as_posix() for path in job.output.rglob("*") if path.is_file())
    stems = ("north/a", "north/b", "south/a")
    assert found == sorted([f".records/{stem}.json" for stem in stems] + [f"{stem}.{kind}" for stem in stems for kind in KINDS])
    record = json.loads((job.output / ".records" / "south" / "a.json").read_text())
    assert record["files"] == [f"south/a.{kind}" for kind in KINDS]
    assert record["pixels"] == 2000 and sum(record["areas"].values()) == pytest.approx(500)


def test_a_second_run_leaves_out_what_is_done_and_nothing_else(archive: Path, tmp_path: Path) -> None:
    job = Job(tmp_path / "out", WORDS, resume=True)
    run(archive, job)
    assert run(archive, job) == (["kept"] * 3, 0)
    (job.output / "north" / "b.confidence.tif").unlink()
    assert run(archive, job) == (["kept", "done", "kept"], 1)
    os.utime(archive / "south" / "a.tif", (1, 1))
    assert run(archive, job) == (["kept", "kept", "done"], 1)
    (job.output / ".records" / "north" / "a.json").write_text("{")
    assert run(archive, job) == (["done", "kept", "kept"], 1)
    assert run(archive, replace(job, vocabulary=Vocabulary.parse("red,green,dark"))) == (["done"] * 3, 3)
    assert run(archive, replace(job, resume=False)) == (["done"] * 3, 3)


def test_a_bad_scene_is_recorded_and_tried_again(archive: Path, tmp_path: Path) -> None:
    job = Job(tmp_path / "out", WORDS, resume=True)
    whole = (archive / "north" / "b.tif").read_bytes()
    (archive / "north" / "b.tif").write_bytes(whole[:-2000])
    assert run(archive, job)[0] == ["done", "failed", "done"]
    records = {Path(record.scene).name: record for record in read_records(job.output)}
    assert records["b.tif"].status == "failed" and "truncated" in records["b.tif"].error
    with open(write_summary(job.output, WORDS.names), newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["status"] for row in rows] == ["done", "failed", "done"] and "truncated" in rows[1]["error"]
    assert sum(float(rows[0][f"share of {name}"]) for name in WORDS.names) == pytest.approx(1)
    (archive / "north" / "b.tif").write_bytes(whole)
    assert run(archive, job) == (["kept", "done", "kept"], 1)


def test_a_scene_whose_header_is_refused_stops_no_other(archive: Path, tmp_path: Path) -> None:
    (archive / "north" / "b.tif").write_bytes(b"II*\0" + bytes(20))
    job = Job(tmp_path / "out", WORDS)
    assert run(archive, job) == (["done", "failed", "done"], 2)
    assert "truncated" in next(record.error for record in read_records(job.output) if record.status == "failed")
    for path in archive.glob("*/a.tif"):
        path.write_bytes(b"")
    with pytest.raises(InputError, match="the file is empty"):  # where none is left, before a model is loaded
        list_sources([str(archive / "**" / "*.tif")])


def test_results_beside_the_scenes_are_no_scenes(archive: Path) -> None:
    job = Job(archive, WORDS, probabilities=True, resume=True)
    assert run(archive, job) == (["done"] * 3, 3)
    assert run(archive, job) == (["kept"] * 3, 0)


def test_processes_share_the_scenes_among_them(archive: Path) -> None:
    sources = list_sources([str(archive / "**" / "*.tif")])
    assert Processes.of({}).own_part(sources) == sources
    parts = [Processes.of({"RANK": str(rank), "WORLD_SIZE": "2"}).own_part(sources) for rank in range(2)]
    assert [len(part) for part in parts] == [2, 1] and not set(parts[0]) & set(parts[1])


@pytest.mark.slow
def test_under_torchrun_a_bad_scene_stops_no_process(archive: Path, tmp_path: Path) -> None:
    whole = (archive / "north" / "a.tif").read_bytes()
    (archive / "north" / "a.tif").write_bytes(whole[: len(whole) // 2])  # the first process meets it first
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(DEMO)]
    options = ["--input", str(archive / "**" / "*.tif"), "--output", str(tmp_path / "maps"), "--vocab", "red,green"]
    ended = subprocess.run([*command, *options], capture_output=True, text=True, timeout=280)
    assert ended.returncode != 0
    found = {Path(record.scene).relative_to(archive).as_posix(): record.status for record in read_records(tmp_path / "maps")}
    assert found == {"north/a.tif": "failed", "north/b.tif": "done", "south/a.tif": "done"}, ended.stderr
    assert "2 of 3 images done" in ended.stdout and (tmp_path / "maps" / "south" / "a.classes.tif").is_file()


def test_two_scenes_for_one_name_are_refused(archive: Path) -> None:
    with pytest.raises(InputError, match="would both be written as 'a"):
        list_sources([str(archive / "north" / "a.tif"), str(archive / "south" / "a.tif")])
