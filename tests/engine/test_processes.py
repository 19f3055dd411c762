"""Several processes do what one does."""

import json
import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))

from processes import ended, free_port, losses, started
from toy_training import start


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """A training in one process."""
    folder = tmp_path_factory.mktemp("alone")
    assert ended(started(start, folder)) == [0]
    return folder


def report(folder):
    return json.loads((folder / "inference/toy_val/report.json").read_text())


def check_equal(folder, other):
    assert list(losses(folder)) == list(losses(other)) == list(range(5))
    assert list(losses(folder).values()) == pytest.approx(list(losses(other).values()), abs=1e-5)
    mine, theirs = (torch.load(path / "model_final.pth", weights_only=True)["model"] for path in (folder, other))
    for name, value in mine.items():
        assert torch.allclose(value, theirs[name], atol=1e-3), name  # AdamW makes steps of what is but rounding
    assert report(folder)["summary"] == pytest.approx(report(other)["summary"], abs=0.5, nan_ok=True)


def test_two_processes_train_as_one(alone, tmp_path):
    assert ended(started(start, tmp_path, ["--num-gpus", "0", "--num-processes", "2"])) == [0]
    check_equal(tmp_path, alone)


def test_two_machines_of_one_process_train_as_one(alone, tmp_path):
    url = ["--num-gpus", "0", "--num-machines", "2", "--dist-url", f"tcp://127.0.0.1:{free_port()}", "--machine-rank"]
    assert ended(*(started(start, tmp_path, [*url, rank]) for rank in "01")) == [0, 0]
    check_equal(tmp_path, alone)


def test_processes_of_torchrun_train_as_one_in_parts_of_a_batch(tmp_path):
    meeting = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    options = ["SOLVER.ACCUMULATION_STEPS", "2"]
    processes = [
        started(start, tmp_path / "two", options, environment={**meeting, "RANK": rank, "LOCAL_RANK": rank}) for rank in "01"
    ]
    assert ended(started(start, tmp_path / "one", options), *processes) == [0, 0, 0]
    check_equal(tmp_path / "two", tmp_path / "one")


def test_two_processes_evaluate_as_one(alone, tmp_path):
    options = ["--eval-only", "--num-gpus", "0", "--num-processes", "2", "MODEL.WEIGHTS", str(alone / "model_final.pth")]
    assert ended(started(start, tmp_path, options)) == [0]
    assert report(tmp_path) == report(alone)


def test_an_error_in_the_processes_is_one_line_and_exit_code_2(tmp_path):
    options = ["--num-gpus", "0", "--num-processes", "2", "SOLVER.IMS_PER_BATCH", "3"]
    assert ended(started(start, tmp_path, options)) == [2]
    errors = [line for line in (tmp_path / "printed.txt").read_text().splitlines() if line.startswith("train_net.py: error:")]
    assert len(errors) == 1 and "SOLVER.IMS_PER_BATCH is 3" in errors[0]
