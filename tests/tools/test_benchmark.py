"""tools/benchmark.py: what it prints and writes, and that systems take turns."""

import importlib.util
import json
import logging
import sys
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import get_args

import pytest

from ovrs.benchmark import ceilings, processes
from ovrs.benchmark.settings import Mode, Setting
from ovrs.errors import ConfigError

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "tests" / "benchmark"))
from made_up import cost  # noqa: E402 - after the path

spec = importlib.util.spec_from_file_location("benchmark", ROOT / "tools" / "benchmark.py")
benchmark = importlib.util.module_from_spec(spec)
spec.loader.exec_module(benchmark)

MINI = str(ROOT / "configs" / "mini" / "rs_zeroseg.yaml")


@pytest.fixture
def costs(monkeypatch):
    """The groups that measuring gives, instead of measuring."""
    given = []
    monkeypatch.setattr(processes, "measure", lambda groups, runs: iter(given))
    monkeypatch.setattr(benchmark, "settings_of", lambda args: [])
    return given


SIZES = ["--config-file", MINI, "--size", "64", "--classes", "2", "--json"]


def test_a_system_is_measured_in_a_process_of_its_own(tmp_path, capfd):
    assert benchmark.main([*SIZES, "--runs", "0", "--threads", "1", "--output", str(tmp_path)]) == 0
    figures = json.loads(capfd.readouterr().out)
    assert "seconds" not in figures and figures["peak_gib"] > 0.1 and figures["operations"] > 0
    assert {path.name for path in tmp_path.iterdir()} == {"benchmark.json", "table.md"}


class Here(ProcessPoolExecutor):
    """A pool whose jobs are done in this process, when they are submitted."""

    def __init__(self, *args):
        pass

    def submit(self, job, *arguments):
        future = Future()
        future.set_result(job(*arguments))
        return future

    def shutdown(self, *args, **kwargs):
        pass


def test_time_is_shared_among_stages_and_beside_it_stands_what_the_machine_can_do(monkeypatch, tmp_path, capfd):
    monkeypatch.setattr(processes, "ProcessPoolExecutor", Here)
    monkeypatch.setattr(ceilings, "_SIDE", {"cpu": 64})
    monkeypatch.setattr(ceilings, "_COPIED", {"cpu": 4096})
    monkeypatch.setattr(logging, "disable", lambda level: None)
    assert benchmark.main([*SIZES, "--runs", "1", "--output", str(tmp_path)]) == 0
    figures = json.loads(capfd.readouterr().out)
    setting = figures["setting"]
    assert (setting["config_file"], setting["size"], setting["classes"], setting["precision"]) == (MINI, 64, 2, "fp32")
    seconds = {stage: taken["median"] for stage, taken in figures["seconds"].items()}
    assert seconds["whole"] == pytest.approx(sum(taken for stage, taken in seconds.items() if stage != "whole"))
    worked = {stage for stage, products in figures["products"].items() if products}
    assert {"image_encoder", "guidance", "spatial", "decoder"} <= worked and figures["missed"] < 0.01 and figures["uncounted"]
    assert figures["share_of_products"]["image_encoder"] > 0 and figures["share_of_copy"]["decoder"] > 0
    # MiniLM is no part of the state dict, and is counted.
    counted = figures["parameters"]
    assert 22_000_000 < counted["text"] < counted["all"] < 30_000_000 and counted["text_trained"] < counted["trained"]
    assert figures["peak_gib"] > 0.1 and figures["text_once"] > 0 and figures["files"] > 0
    assert {path.name for path in tmp_path.iterdir()} == {"benchmark.json", "table.md", "time_and_memory.png"}


def test_settings_take_turns_with_the_machine_and_are_counted_last(monkeypatch):
    asked = []

    def answer(pool, setting, job, *arguments):
        asked.append((job.__name__, setting.config_file))
        return {"_run": {"whole": len(asked)}, "_size": "size", "_probe": f"ceilings {len(asked)}"}.get(job.__name__)

    monkeypatch.setattr(processes, "_answer", answer)
    pair = [Setting("a", 64, 2), Setting("b", 64, 2)]
    (costs,) = processes.measure([pair], runs=2)
    turn = [("_probe", "a"), ("_run", "a"), ("_run", "b")]
    assert asked == [("_begin", "a"), ("_begin", "b"), ("_begin_probe", "a"), *turn * 3, ("_size", "a"), ("_size", "b")]
    # The first of three runs warms up.
    assert [each.rounds for each in costs] == [[{"whole": 8}, {"whole": 11}], [{"whole": 9}, {"whole": 12}]]
    assert [each.setting for each in costs] == pair and costs[0].ceilings == costs[1].ceilings == ["ceilings 7", "ceilings 10"]
    asked.clear()
    ((untimed,),) = processes.measure([pair[:1]], runs=0)
    assert untimed.rounds == [] and asked == [("_begin", "a"), ("_size", "a")]


def test_figures_of_every_group_are_written_and_shown(costs, tmp_path, capsys):
    costs += [[cost("a.yaml", 1.0), cost("b.yaml", 2.0)], [cost("a.yaml", 3.0, classes=60)]]
    assert benchmark.main(["--output", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    table = (tmp_path / "table.md").read_text()
    assert shown.strip() in table and table.startswith("    python tools/benchmark.py --output")
    results = json.loads((tmp_path / "benchmark.json").read_text())["results"]
    assert [(each["setting"]["config_file"], each["setting"]["classes"]) for each in results] == [
        ("a.yaml", 17),
        ("b.yaml", 17),
        ("a.yaml", 60),
    ]
    assert benchmark.main(["--compare", str(tmp_path / "benchmark.json")]) == 0
    assert "| b | 17 | 1.00 (1.00 to 1.00) |" in capsys.readouterr().out.partition("New to old")[2]


def test_the_command_line_offers_every_mode():
    assert get_args(Mode) == benchmark.MODES


def test_a_count_that_lacks_products_is_said(costs, capsys):
    costs.append([cost("a.yaml", 1.0, missed=0.2)])
    assert benchmark.main(["--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["missed"] == 0.2 and err.startswith("warning: a, ") and "GFLOPs lack 20%" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--config-file", "absent.yaml"], "absent.yaml"),
        (["--config-file", MINI, "--size", "0"], "0 pixels"),
        (["--config-file", MINI, "--runs", "-1"], "-1 runs"),
        (["--config-file", MINI, "--opts", "MODEL.NONE", "1"], "MODEL.NONE"),
        (["--config-file", MINI, "--compare", "absent.json"], "absent.json"),
    ],
)
def test_mistakes_are_said_before_processes_start(monkeypatch, capsys, arguments, said):
    monkeypatch.setattr(processes, "ProcessPoolExecutor", None)
    assert benchmark.main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and said in error


def test_a_process_that_was_killed_is_named():
    class Killed:
        def submit(self, job):
            raise BrokenProcessPool

    with pytest.raises(ConfigError, match="a.yaml: its process was killed"):
        processes._answer(Killed(), Setting("a.yaml", 64, 2), processes._run)
