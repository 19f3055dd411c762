"""What comes of processes reaches who started them; and what cannot work is said before they start."""

import os
import signal
import sys
from pathlib import Path

import pytest
import torch
from detectron2.utils import comm

sys.path.insert(0, str(Path(__file__).parent))

from processes import ended, started

from ovrs.engine import launch as launching
from ovrs.engine.launch import launch, under_torchrun
from ovrs.errors import ConfigError, DataError


def answers(job, folder):
    """Launch ``job`` in two processes and leave what comes of it in a file."""
    launching.START_METHOD = "fork"
    try:
        answer = launch(job, 0, num_processes=2, args=(3,))
    except (DataError, SystemExit, Exception) as error:
        answer = f"{type(error).__name__}: {error}"
    (folder / "answer").write_text(str(answer))


def describe(number):
    assert comm.get_local_size() == comm.get_world_size() == 2
    return number + comm.get_rank(), comm.all_gather(comm.get_local_rank())


def fail_in_the_second(number):
    if comm.get_rank() == 1:
        raise DataError(f"image {number} is broken")
    comm.synchronize()


def crash(number):
    raise ZeroDivisionError(f"divided {number}")


def stop(number):
    raise SystemExit(128 + number)


def be_killed(number):
    comm.synchronize()
    if comm.get_rank() == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    comm.synchronize()


@pytest.mark.parametrize(
    ("job", "answer"),
    [
        (describe, "(3, [0, 1])"),
        (fail_in_the_second, "DataError: image 3 is broken"),
        (stop, "SystemExit: 131"),
        (crash, "ZeroDivisionError: divided 3"),
        (be_killed, "ProcessE"),
    ],
)
def test_what_comes_of_two_processes(job, answer, tmp_path):
    assert ended(started(answers, job, tmp_path)) == [0]
    assert answer in (tmp_path / "answer").read_text()


def test_one_process_is_this_one():
    assert launch(lambda a, b: a + b, 1, args=(2, 3)) == 5
    assert launch(os.getpid, 0) == os.getpid()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_gpus": 99}, "--num-gpus is 99, but this machine has"),
        ({"num_gpus": 0, "num_processes": 0}, "at least one process"),
        ({"num_gpus": 0, "num_machines": 2}, "--dist-url tcp://HOST:PORT"),
        ({"num_gpus": 0, "num_machines": 2, "machine_rank": 2, "dist_url": "tcp://h:1"}, "--machine-rank is 2.*0 to 1"),
    ],
)
def test_what_cannot_work_is_refused(arguments, message):
    with pytest.raises(ConfigError, match=message):
        launch(print, **arguments)


def test_gpus_have_a_process_each_and_no_more(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    with pytest.raises(ConfigError, match="--num-processes is for CPUs"):
        launch(print, 1, num_processes=2)
    calls = []

    def launched(job, *arguments):  # Detectron2's own, which needs GPUs
        calls.append(arguments)
        job()

    monkeypatch.setattr(launching, "launch_on_gpus", launched)
    assert launch(divmod, 4, num_machines=2, machine_rank=1, dist_url="tcp://first:29500", args=(7, 2)) == (3, 1)
    assert calls == [(4, 2, 1, "tcp://first:29500")]


def test_torchrun_is_known_by_what_it_says():
    said = dict.fromkeys(("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"), "1")
    assert under_torchrun(said) and not under_torchrun({}) and not under_torchrun({"RANK": "0", "WORLD_SIZE": "1"})
