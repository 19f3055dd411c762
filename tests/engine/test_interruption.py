"""A training that was ended at any point goes on as if it had not been."""

import os
import signal
import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))

from processes import ended, losses, started, wait_for
from toy_training import start

# Random numbers are drawn in the model too, and images are read by processes of their own.
OPTIONS = ["MODEL.META_ARCHITECTURE", "TinyAerOSegWithDropout", "DATALOADER.NUM_WORKERS", "1", "SOLVER.EMA_DECAY", "0.9"]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """A training of five steps that saves every second one."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    assert ended(started(start, folder, OPTIONS)) == [0]
    return folder


def flat(value, name=""):
    """Every value of nested dicts and lists, by a name."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list | tuple) else None
    if items is None:
        return {name: torch.as_tensor(value)} if isinstance(value, int | float | torch.Tensor) else {name: value}
    return {path: leaf for key, item in items for path, leaf in flat(item, f"{name}/{key}").items()}


def check_identical(folder, other):
    """The same losses and the same final state of everything, bit for bit."""
    assert losses(folder) == losses(other)
    mine, theirs = (flat(torch.load(path / "model_final.pth", weights_only=True)) for path in (folder, other))
    assert set(mine) == set(theirs) and any(name.startswith("/trainer/optimizer/state") for name in mine)
    for name, value in mine.items():
        same = torch.equal(value, theirs[name]) if isinstance(value, torch.Tensor) else value == theirs[name]
        assert same, name


def test_the_same_seed_gives_the_same_curve(uninterrupted, tmp_path):
    # Images read by the training process itself, this time.
    assert ended(started(start, tmp_path, [*OPTIONS, "DATALOADER.NUM_WORKERS", "0"])) == [0]
    check_identical(tmp_path, uninterrupted)


@pytest.mark.parametrize(("accident", "saved"), [("step:3", [1]), ("save:3", [1]), ("save:1", [])])
def test_a_killed_training_goes_on_bit_for_bit(accident, saved, uninterrupted, tmp_path):
    assert ended(started(start, tmp_path, OPTIONS, accident=accident)) == [-signal.SIGKILL]
    assert sorted(tmp_path.glob("model_*.pth")) == [tmp_path / f"model_{iteration:07d}.pth" for iteration in saved]
    assert bool(list(tmp_path.glob(".model_*"))) == accident.startswith("save")
    (tmp_path / "losses.txt").unlink()

    assert ended(started(start, tmp_path, ["--resume", *OPTIONS])) == [0]
    repeated = losses(tmp_path)
    assert list(repeated) == list(range(saved[-1] + 1 if saved else 0, 5))
    assert repeated == {iteration: loss for iteration, loss in losses(uninterrupted).items() if iteration in repeated}
    (tmp_path / "losses.txt").write_text((uninterrupted / "losses.txt").read_text())
    check_identical(tmp_path, uninterrupted)
    assert not list(tmp_path.glob(".model_*"))


@pytest.mark.parametrize(
    ("number", "processes"), [(signal.SIGTERM, 2), (signal.SIGINT, 1)], ids=["SIGTERM, two processes", "SIGINT, one"]
)
def test_a_signal_finishes_the_step_and_saves(number, processes, tmp_path):
    endless = ["--num-gpus", "0", "--num-processes", str(processes), *OPTIONS, "SOLVER.MAX_ITER", "100000"]
    quiet = ["SOLVER.CHECKPOINT_PERIOD", "100000", "TEST.EVAL_PERIOD", "0"]
    training = started(start, tmp_path, [*endless, *quiet])
    wait_for(lambda: len(losses(tmp_path)) >= 2 or not training.is_alive())
    os.kill(training.pid, number)
    assert ended(training) == [128 + number]
    last = max(losses(tmp_path))
    assert (tmp_path / "last_checkpoint").read_text() == f"model_{last:07d}.pth"
    assert f"{number.name}: stopped after iteration {last + 1} of 100000" in (tmp_path / "log.txt").read_text()

    assert ended(started(start, tmp_path, ["--resume", *OPTIONS, "SOLVER.MAX_ITER", str(last + 2)])) == [0]
    assert f"Resuming at iteration {last + 1} of {last + 2}" in (tmp_path / "log.txt").read_text()
