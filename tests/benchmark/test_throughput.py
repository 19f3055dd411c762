"""Images a second: batches are read, segmented and kept in order; what needs a GPU says so where there is none."""

import importlib.util
import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from ovrs.benchmark import ceilings, throughput

ROOT = Path(__file__).parents[2]
spec = importlib.util.spec_from_file_location("benchmark_throughput", ROOT / "tools" / "benchmark_throughput.py")
command = importlib.util.module_from_spec(spec)
spec.loader.exec_module(command)

CPU = torch.device("cpu")
TINY = ["--config-file", str(ROOT / "configs" / "mini" / "rs_zeroseg.yaml"), "--precision", "fp32", "--workers", "0"]
TINY += ["--size", "32", "--batch", "2", "--batches", "2", "--classes", "3"]


@pytest.fixture(autouse=True)
def small_ceiling(monkeypatch):
    monkeypatch.setattr(ceilings, "_SIDE", {"cpu": 256, "cuda": 256})


@pytest.fixture
def files(tmp_path):
    """Three images of one colour each."""
    paths = [tmp_path / f"{value}.png" for value in (10, 20, 30)]
    for path in paths:
        Image.new("RGB", (32, 32), (int(path.stem), 0, 0)).save(path)
    return paths


def test_whole_batches_are_read_over_and_over_and_their_maps_kept_in_order(files):
    maps = []
    batches = throughput.reader(files, 11, 2, 0, CPU)
    loop = throughput.segment_all(lambda images: images[:, 0, :2, :2], batches, CPU, maps.append)
    assert [batch[:, 0, 0].tolist() for batch in maps] == [[10, 20], [30, 10], [20, 30], [10, 20], [30, 10]]
    assert loop.images == 10 and loop.per_second == 10 / loop.seconds


def test_images_are_drawn_once(tmp_path):
    first = throughput.draw_images(tmp_path, 32)
    written = [path.stat().st_mtime_ns for path in first]
    assert throughput.draw_images(tmp_path, 32) == first and [path.stat().st_mtime_ns for path in first] == written
    with Image.open(first[0]) as image:
        assert image.size == (32, 32)


def test_the_command_measures_on_a_cpu_as_far_as_it_goes(files, tmp_path, capsys):
    assert command.main([*TINY, "--images", *map(str, files), "--channels-last", "--profile", str(tmp_path / "profile")]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["images_per_second"] > 0 and figures["without_reading"] > 0 and figures["peak_gpu_gib"] is None
    assert {"encoders", "image_encoder", "guidance", "decoder"} <= {*figures["stages"]}
    stages = figures["stages"]
    assert stages["encoders"]["seconds"] == pytest.approx(
        stages["image_encoder"]["seconds"] + stages["guidance"]["seconds"], abs=2e-4
    )
    assert stages["encoders"]["share_of_ceiling"] > 0 and figures["share_of_ceiling"] > 0
    assert {path.name for path in (tmp_path / "profile").iterdir()} == {"trace.json", "profile.txt"}
    assert "aten::" in (tmp_path / "profile" / "profile.txt").read_text()


def test_compiling_is_asked_of_the_network_alone(files, monkeypatch, capsys):
    asked = []

    def compiled(function, mode):
        asked.append((function.__name__, mode))
        return function

    monkeypatch.setattr(torch, "compile", compiled)
    assert command.main([*TINY, "--images", *map(str, files), "--compile"]) == 0
    assert asked == [("logits", "default")] and json.loads(capsys.readouterr().out)["compile"] == "default"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("option", ["--cuda-graphs", "--check-synchronisation"])
def test_what_needs_a_gpu_says_so(option, capsys):
    assert command.main([*TINY, option]) == 2
    assert capsys.readouterr().err == f"error: no GPU is here; leave out {option}\n"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("options", [["--check-synchronisation"], ["--cuda-graphs", "--check-synchronisation"]])
def test_nothing_waits_for_the_gpu(files, capsys, options):
    assert command.main([*TINY, "--images", *map(str, files), *options]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["synchronises"] is False and figures["peak_gpu_gib"] > 0
