"""tools/benchmark.py: what it prints, and that systems take turns."""

import importlib.util
import json
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest

from ovrs.engine import benchmark as engine
from ovrs.engine.benchmark import Cost, Setting
from ovrs.errors import ConfigError
from ovrs.modeling.complexity import Operations, Parameters

path = Path(__file__).parents[2] / "tools" / "benchmark.py"
spec = importlib.util.spec_from_file_location("benchmark", path)
benchmark = importlib.util.module_from_spec(spec)
spec.loader.exec_module(benchmark)

MINI = str(path.parents[1] / "configs" / "mini" / "rs_zeroseg.yaml")


def cost(*whole, missed=0.0):
    rounds = [{"whole": seconds, "vision_language": seconds / 4, "head": seconds * 3 / 4} for seconds in whole]
    operations = Operations(2_000_000_000, {"vision_language": 500_000_000, "head": 1_500_000_000}, {"add": 3}, missed)
    return Cost(Parameters(30_000_000, 1_500_000, 20_000_000, 0), operations, rounds, 0.5 if whole else None, 1.25, None)


@pytest.fixture
def costs(monkeypatch):
    """What measuring gives, instead of measuring."""
    given = []
    monkeypatch.setattr(benchmark, "measure", lambda settings, runs: given)
    return given


def test_a_system_is_measured_in_a_process_of_its_own(capfd):
    sizes = ["--size", "64", "--classes", "2", "--runs", "1", "--threads", "1"]
    assert benchmark.main(["--config-file", MINI, *sizes, "--opts", "MODEL.GUIDANCE.WEIGHTS", ""]) == 0
    figures = json.loads(capfd.readouterr().out)
    assert (figures["config"], figures["size"], figures["classes"], figures["precision"]) == (MINI, 64, 2, "fp32")
    stages = ("vision_language", "guidance_encoder", "head")
    assert sum(figures[stage] for stage in stages) == pytest.approx(figures["whole"], abs=2e-4)
    assert sum(figures["gflops"][stage] for stage in stages) == pytest.approx(figures["gflops"]["whole"], abs=2e-4)
    assert all(figures["gflops"][stage] > 0 for stage in stages) and figures["missed"] < 0.01 and figures["uncounted"]
    # MiniLM is no part of the state dict, and is counted.
    counted = figures["parameters"]
    assert 22_000_000 < counted["text"] < counted["all"] < 30_000_000 and counted["text_trained"] < counted["trained"]
    assert figures["peak_gib"] > 0.1 and figures["text_once"] > 0 and figures["to_first"] == 1


def test_systems_take_turns_and_are_counted_last(monkeypatch):
    asked = []

    def answer(pool, setting, job, *arguments):
        asked.append((job.__name__, setting.config_file))
        return {"_run": {"whole": len(asked)}, "_cost": arguments}.get(job.__name__)

    monkeypatch.setattr(engine, "_answer", answer)
    monkeypatch.setattr(engine, "_check", lambda setting, runs: None)
    costs = engine.measure([Setting("a", 64, 2), Setting("b", 64, 2)], runs=2)
    jobs = ["_begin", "_run", "_run", "_run", "_cost"]
    assert asked == [(job, name) for job in jobs for name in "ab"]
    # The first of three runs warms up.
    assert costs == [([{"whole": 5}, {"whole": 7}],), ([{"whole": 6}, {"whole": 8}],)]
    asked.clear()
    assert engine.measure([Setting("a", 64, 2)], runs=0) == [([],)] and asked == [("_begin", "a"), ("_cost", "a")]


def test_times_are_medians_and_ratios_are_of_the_same_round(costs, capsys):
    costs += [cost(1.0, 2.0, 6.0), cost(3.0, 3.0, 3.0)]
    assert benchmark.main(["--config-file", "a.yaml", "b.yaml"]) == 0
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert (first["whole"], first["whole_range"], first["vision_language"], first["head_share"]) == (2.0, [1.0, 6.0], 0.5, 0.75)
    assert (second["to_first"], second["to_first_range"]) == (1.5, [0.5, 3.0])
    assert first["parameters"] == {"all": 30_000_000, "trained": 1_500_000, "text": 20_000_000, "text_trained": 0}
    assert first["gflops"] == {"whole": 2.0, "vision_language": 0.5, "head": 1.5} and first["uncounted"] == {"add": 3}


def test_the_table_has_a_row_a_system(costs, capsys):
    costs += [cost(1.0, 2.0, 6.0), cost()]
    assert benchmark.main(["--config-file", "a.yaml", "b.yaml", "--markdown"]) == 0
    header, line, first, second = ([cell.strip() for cell in row.split("|")] for row in capsys.readouterr().out.splitlines())
    assert len(header) == len(line) == len(first) == len(second)
    assert first[1:-1] == [
        *("a.yaml", "30.00 M", "20.00 M", "1.50 M", "2.0"),
        *("2.000 (1.000 to 6.000)", "1.00 (1.00 to 1.00)", "1.25 GiB"),
    ]
    assert second[1:-1] == ["b.yaml", "30.00 M", "20.00 M", "1.50 M", "2.0", "-", "-", "1.25 GiB"]


def test_a_count_that_lacks_products_is_said(costs, capsys):
    costs += [cost(1.0, missed=0.2)]
    assert benchmark.main(["--config-file", "a.yaml"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["missed"] == 0.2 and "a.yaml: gflops lack 20%" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--config-file", "absent.yaml"], "absent.yaml"),
        (["--config-file", MINI, "--size", "0"], "0 pixels"),
        (["--config-file", MINI, "--opts", "MODEL.NONE", "1"], "MODEL.NONE"),
    ],
)
def test_mistakes_are_said_before_processes_start(monkeypatch, capsys, arguments, said):
    monkeypatch.setattr(engine, "ProcessPoolExecutor", None)
    assert benchmark.main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and said in error


def test_a_process_that_was_killed_is_named():
    class Killed:
        def submit(self, job):
            raise BrokenProcessPool

    with pytest.raises(ConfigError, match="a.yaml: its process was killed"):
        engine._answer(Killed(), Setting("a.yaml", 64, 2), engine._run)
