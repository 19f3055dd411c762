"""Interrupted work goes on from what is finished and gives the same bytes; nothing half-written bears a result's name."""

from __future__ import annotations

import os
import random
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from rasterio.transform import from_origin

from ovrs.errors import OutputError
from ovrs.inference.reading import ReadOptions
from ovrs.inference.segmenter import Segmenter
from ovrs.inference.tiles import Tiling

# Kill a run this often; more by hand: OVRS_KILLS=20 pytest tests/inference/test_resuming.py
KILLS = int(os.environ.get("OVRS_KILLS", "3"))
WORDS = "red, green, blue"
RESULTS = ["map.confidence.tif", "map.overlay.png", "map.probabilities.tif", "map.tif", "map.tif.aux.xml"]


class SlowModel:
    """Scores that depend on the whole tile, after a while."""

    tiling = Tiling(tile=96, overlap=0.25, patch=16, per_patch=4)
    batch = 3

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds, self.tiles = seconds, 0

    def identity(self) -> str:
        return "slow"

    def score(self, tiles: torch.Tensor, vocabulary: object) -> torch.Tensor:
        time.sleep(self.seconds)
        self.tiles += len(tiles)
        cells = torch.nn.functional.avg_pool2d(tiles.float() / 255, 4)
        return cells * (0.5 + cells.mean(dim=(1, 2, 3), keepdim=True) / 2)


def segment(scene: Path, output: Path, model: SlowModel | None = None, words: str = WORDS, **options: object) -> None:
    segmenter = Segmenter(model or SlowModel(), (("MODEL", "slow"),), in_memory=0)
    segmenter.segment(scene, words, output=output, probabilities=True, overlay=True, **options)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scene of six units, a hole among them."""
    path = tmp_path_factory.mktemp("scene") / "scene.tif"
    rgb = np.random.default_rng(0).integers(0, 256, (3, 150, 70), dtype=np.uint8).repeat(20, axis=1).repeat(9, axis=2)
    rgb[:, 600:1100, :400] = 0
    profile = {"driver": "GTiff", "count": 3, "height": 3000, "width": 630, "dtype": "uint8", "nodata": 0, "tiled": True}
    with rasterio.open(path, "w", crs="EPSG:32631", transform=from_origin(5e5, 4e6, 0.5, 0.5), **profile) as file:
        file.write(rgb)
    return path


@pytest.fixture(scope="module")
def uninterrupted(scene: Path) -> dict[str, bytes]:
    folder = scene.parent / "whole"
    segment(scene, folder / "map.tif")
    assert sorted(path.name for path in folder.iterdir()) == RESULTS
    return {name: (folder / name).read_bytes() for name in RESULTS}


def test_killed_at_any_moment_it_goes_on_and_gives_the_same_bytes(
    scene: Path, uninterrupted: dict[str, bytes], tmp_path: Path
) -> None:
    code = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[1]); import test_resuming as t\n"
        "print('ready', flush=True)\n"
        "t.segment(Path(sys.argv[2]), Path(sys.argv[3]), t.SlowModel(0.004), resume=True)"
    )
    command = [sys.executable, "-c", code, str(Path(__file__).parent), str(scene), str(tmp_path / "map.tif")]
    draw = random.Random(0)
    for killed in range(KILLS + 1):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        if killed < KILLS:
            time.sleep(draw.uniform(0, 1.2))
            process.send_signal(signal.SIGKILL)
        status = process.wait()
        if status == 0:
            break
        for path in tmp_path.glob("*"):  # whatever bears a result's name is whole
            assert path.name.startswith(".") or path.read_bytes() == uninterrupted[path.name]
    assert status == 0
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == uninterrupted


def test_finished_units_are_not_computed_again(scene: Path, uninterrupted: dict[str, bytes], tmp_path: Path) -> None:
    class Failing(SlowModel):
        def score(self, tiles: torch.Tensor, vocabulary: object) -> torch.Tensor:
            if self.tiles > 300:
                raise RuntimeError("out of memory")
            return super().score(tiles, vocabulary)

    model = Failing()
    with pytest.raises(RuntimeError):
        segment(scene, tmp_path / "map.tif", model)
    assert [path.name for path in tmp_path.iterdir()] == [".map.tif.work"]
    again, steps = SlowModel(), []
    segment(scene, tmp_path / "map.tif", again, resume=True, progress=lambda *step: steps.append(step))
    whole = SlowModel()
    segment(scene, tmp_path / "other.tif", whole)
    assert again.tiles < whole.tiles - 120 and steps[-1][0] == steps[-1][1]
    assert all((tmp_path / name).read_bytes() == uninterrupted[name] for name in RESULTS)


@pytest.mark.parametrize("harm", ["cut", "empty", "noise"])
def test_a_unit_that_was_damaged_is_computed_again(
    scene: Path, uninterrupted: dict[str, bytes], tmp_path: Path, harm: str
) -> None:
    work = half_done(scene, tmp_path)
    unit = sorted(work.glob("*.npz"))[1]
    unit.write_bytes({"cut": unit.read_bytes()[:1000], "empty": b"", "noise": os.urandom(5000)}[harm])
    segment(scene, tmp_path / "map.tif", resume=True)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == uninterrupted


def half_done(scene: Path, folder: Path) -> Path:
    """The work of a run that failed."""

    def stop(done: int, total: int) -> None:
        if done > total * 0.7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        segment(scene, folder / "map.tif", progress=stop)
    work = folder / ".map.tif.work"
    assert len(list(work.glob("*.npz"))) >= 2
    return work


def test_work_begun_otherwise_is_not_mixed_in(scene: Path, tmp_path: Path) -> None:
    work = half_done(scene, tmp_path)
    with pytest.raises(OutputError, match=r"another vocabulary.*start again without --resume"):
        segment(scene, tmp_path / "map.tif", words="red, green, dark", resume=True)
    with pytest.raises(OutputError, match="another options"):
        segment(scene, tmp_path / "map.tif", options=ReadOptions(bands=(3, 2, 1)), resume=True)
    (work / "identity.json").write_text("{")
    with pytest.raises(OutputError, match="cannot be read"):
        segment(scene, tmp_path / "map.tif", resume=True)
    segment(scene, tmp_path / "map.tif")
    assert sorted(path.name for path in tmp_path.iterdir()) == RESULTS


def test_work_on_another_array_is_not_mixed_in(tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        if done > total * 0.7:
            raise KeyboardInterrupt

    first, second = np.random.default_rng(0).integers(1, 255, (2, 2000, 64, 3), dtype=np.uint8)
    with pytest.raises(KeyboardInterrupt):
        segment(first, tmp_path / "map.tif", progress=stop)
    with pytest.raises(OutputError, match="another image"):
        segment(second, tmp_path / "map.tif", resume=True)


def test_polygons_that_cannot_be_written_leave_the_map_to_go_on_with(
    scene: Path, uninterrupted: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pyogrio")

    def full(*_: object) -> None:
        raise OutputError("map.gpkg: cannot be written: no space left")

    with monkeypatch.context() as disk:
        disk.setattr("ovrs.inference.targets.write_vectors", full)
        with pytest.raises(OutputError, match="no space left; what is finished stays in .*--resume"):
            segment(scene, tmp_path / "map.tif", vectors="gpkg")
    assert [path.name for path in tmp_path.iterdir()] == [".map.tif.work"]
    model = SlowModel()
    segment(scene, tmp_path / "map.tif", model, vectors="gpkg", resume=True)
    assert model.tiles == 0 and sorted(path.name for path in tmp_path.iterdir()) == sorted([*RESULTS, "map.gpkg"])
    assert all((tmp_path / name).read_bytes() == uninterrupted[name] for name in RESULTS)


@pytest.mark.skipif(sys.platform == "win32", reason="limits of file sizes are POSIX")
def test_a_full_disk_is_named_and_what_is_finished_can_be_resumed(
    scene: Path, uninterrupted: dict[str, bytes], tmp_path: Path
) -> None:
    code = (
        "import resource, signal, sys; from pathlib import Path; sys.path.insert(0, sys.argv[1]); import test_resuming as t\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[4]),) * 2)\n"
        "t.segment(Path(sys.argv[2]), Path(sys.argv[3]), resume=True)"
    )
    half_done(scene, tmp_path)
    kept = len(list((tmp_path / ".map.tif.work").iterdir()))
    for limit in (1_000_000, 3_000_000):  # a unit does not fit; units fit, a raster does not
        command = [sys.executable, "-c", code, str(Path(__file__).parent), str(scene), str(tmp_path / "map.tif"), str(limit)]
        failed = subprocess.run(command, capture_output=True, text=True)
        assert failed.returncode and "OutputError" in failed.stderr and "resume" in failed.stderr, failed.stderr[-2000:]
        assert [path.name for path in tmp_path.iterdir()] == [".map.tif.work"]
        assert len(list((tmp_path / ".map.tif.work").iterdir())) >= kept
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 1_000_000
    segment(scene, tmp_path / "map.tif", resume=True)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == uninterrupted
