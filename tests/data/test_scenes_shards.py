"""Scenes in quantity: every worker's share, files that can be written again, and a series that stays what it is."""

import json
import sys

import cv2
import numpy as np
import pytest

from ovrs.data.scenes import SCENE_CLASSES, draw_scene, scene_shard, write_scenes
from ovrs.data.scenes import __main__ as command
from ovrs.errors import OutputError


def test_workers_together_draw_what_one_draws():
    alone = {scene.index: scene.image for scene in scene_shard(5, 3, 10, size=32)}
    assert sorted(alone) == list(range(3, 10))
    shares = [list(scene_shard(5, 3, 10, worker=worker, workers=3, size=32)) for worker in range(3)]
    assert [len(share) for share in shares] == [3, 2, 2]
    for scene in (scene for share in shares for scene in share):
        assert (scene.image == alone[scene.index]).all()


@pytest.mark.parametrize(("worker", "workers"), [(-1, 2), (2, 2), (0, 0)])
def test_a_worker_outside_its_range_is_refused(worker, workers):
    with pytest.raises(ValueError, match="worker"):
        next(scene_shard(0, 0, 4, worker=worker, workers=workers, size=32))


def test_files_hold_what_the_scenes_hold(tmp_path):
    lines = write_scenes(tmp_path, 5, 0, 3, size=64, clouds=0.3).read_text().splitlines()
    assert len(lines) == 3
    for index, line in enumerate(lines):
        scene, record = draw_scene(5, index, size=64, clouds=0.3), json.loads(line)
        read = {name: cv2.imread(str(tmp_path / name / f"{index:06d}.png"), cv2.IMREAD_UNCHANGED)
                for name in ("images", "labels", "sar", "instances", "cloudy")}  # fmt: skip
        assert (read["images"][..., ::-1] == scene.image).all() and (read["cloudy"][..., ::-1] == scene.cloudy).all()
        assert (read["labels"] == scene.labels).all() and (read["sar"] == scene.sar_view).all()
        assert read["instances"].dtype == np.uint16 and (read["instances"] == scene.instances).all()
        assert record["description"] == scene.description and record["synthetic"] is True
        assert [e["sentence"] for e in record["expressions"]] == [e.sentence for e in scene.expressions]
        assert record["transform"] == list(scene.transform) and record["season"] == scene.setting.season
    assert json.loads((tmp_path / "series.json").read_text())["classes"] == [cls.name for cls in SCENE_CLASSES]


def test_writing_again_adds_what_is_missing_and_touches_nothing_else(tmp_path):
    write_scenes(tmp_path, 5, 0, 2, size=32)
    (tmp_path / "records" / "000001.json").unlink()  # as if interrupted within the second scene
    kept = tmp_path / "images" / "000000.png"
    before = kept.stat().st_mtime_ns
    lines = write_scenes(tmp_path, 5, 0, 3, size=32).read_text().splitlines()
    assert kept.stat().st_mtime_ns == before
    assert [json.loads(line)["index"] for line in lines] == [0, 1, 2]
    assert not list(tmp_path.rglob(".*")), "no temporary file is left"


def test_another_series_is_not_mixed_in(tmp_path):
    write_scenes(tmp_path, 5, 0, 1, size=32)
    with pytest.raises(OutputError, match=r"series\.json names another series .* choose another folder"):
        write_scenes(tmp_path, 6, 0, 1, size=32)


def test_the_command_writes_files(tmp_path, monkeypatch, capsys):
    arguments = ["scenes", "--seed", "4", "--count", "2", "--size", "48", "--output", str(tmp_path), "--files"]
    monkeypatch.setattr(sys, "argv", arguments)
    command.main()
    assert len((tmp_path / "scenes.jsonl").read_text().splitlines()) == 2
    assert "2 synthetic scenes" in capsys.readouterr().out


def test_the_command_says_what_is_wrong_in_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["scenes", "--size", "4", "--count", "1", "--output", str(tmp_path)])
    with pytest.raises(SystemExit) as stopped:
        command.main()
    assert stopped.value.code == 2 and capsys.readouterr().err.startswith("error: no scene for seed 0")
