"""Processes for tests: forked from one that has imported everything, so that each starts at once and none inherits threads."""

import multiprocessing
import os
import socket
import time
from multiprocessing import forkserver
from pathlib import Path

import pytest

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["toy_training"])
PATIENCE = 120


def started(function, *args, **keys):
    """A process that calls a function of an importable module."""
    with pytest.MonkeyPatch.context() as patch:  # the first call starts the server, which must find what it imports
        patch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
        forkserver.ensure_running()
    process = CONTEXT.Process(target=function, args=args, kwargs=keys)
    process.start()
    return process


def ended(*processes):
    """The exit codes, once all have ended."""
    for process in processes:
        process.join(PATIENCE)
        if process.exitcode is None:
            process.kill()
    return [process.exitcode for process in processes]


def wait_for(condition):
    """Return once it is true."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def losses(folder):
    """The total loss of every step that ended, by iteration; of the last time, where one was repeated."""
    path = Path(folder) / "losses.txt"
    lines = path.read_text().splitlines() if path.exists() else []
    return {int(iteration): float(loss) for iteration, loss in map(str.split, lines)}


def free_port():
    """A port that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
