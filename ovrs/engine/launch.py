"""Starting a job in one process or in several: one for each GPU, or several on CPUs, on one machine or more.

On GPUs this is Detectron2's launch (NCCL). On CPUs, which that refuses, the same is done over gloo. Under torchrun the
processes are there already and only meet.
"""

from __future__ import annotations

import os
import pickle
import signal
import socket
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from detectron2.engine import launch as launch_on_gpus
from detectron2.engine.launch import DEFAULT_TIMEOUT
from detectron2.utils import comm

from ovrs.errors import ConfigError, OvrsError

START_METHOD = "spawn"
# Where one process fails, the others may fail of the same by themselves before they are ended.
STOPPING_SECONDS = 10.0


def launch(
    main: Callable[..., Any],
    num_gpus: int,
    *,
    num_processes: int = 1,
    num_machines: int = 1,
    machine_rank: int = 0,
    dist_url: str = "auto",
    args: Sequence[Any] = (),
) -> Any:
    """Call ``main(*args)`` in every process of a job and return what it returns in the first one of this machine.

    One process alone is this one. Of several, ``main`` and ``args`` must be importable by the others (no lambdas).

    Args:
        num_gpus: GPUs on each machine, a process each; 0 is the CPU, and 1 as well where there is no GPU.
        num_processes: processes on each machine where they run on the CPU.
        num_machines: machines of the job; this must be called on each of them.
        machine_rank: which of them this is, from 0.
        dist_url: where the processes meet, ``tcp://HOST:PORT`` of the first machine; ``auto`` on a single machine.

    Raises:
        ConfigError: more GPUs or processes than can be, or the processes do not meet.
        OvrsError: raised by ``main`` in any process; the others are stopped.
        SystemExit: raised by ``main`` in all processes.
    """
    if under_torchrun(os.environ):
        return _join(main, args, on_gpus=num_gpus > 0 and torch.cuda.is_available())
    on_cpus = num_gpus == 0 or (num_gpus == 1 and not torch.cuda.is_available())
    _check_numbers(num_gpus, num_processes, on_cpus)
    count = num_processes if on_cpus else num_gpus
    if count * num_machines == 1:
        return main(*args)
    url = _meeting_point(dist_url, num_machines, machine_rank)
    with tempfile.TemporaryDirectory(prefix="ovrs-launch-") as folder, _passing_on_signals() as received:
        job = _Job(main, tuple(args), folder, count, machine_rank)
        try:
            if on_cpus:
                processes = mp.start_processes(
                    _process_on_cpu, (job, url, num_machines), nprocs=count, join=False, start_method=START_METHOD
                )
                while not processes.join(grace_period=STOPPING_SECONDS):
                    pass
            else:
                launch_on_gpus(job, count, num_machines, machine_rank, url)
        except (mp.ProcessRaisedException, mp.ProcessExitedException):
            job.raise_error()
            if received:  # before the processes could handle it
                raise SystemExit(128 + received[0]) from None
            raise
        return job.result()


@dataclass(frozen=True)
class _Job:
    """``main`` with its arguments, as a process calls it; what comes of it is left in a folder for the launching process."""

    main: Callable[..., Any]
    args: tuple[Any, ...]
    folder: str
    count: int  # processes on this machine
    machine_rank: int

    def __call__(self) -> None:
        try:
            self._leave("result", self.main(*self.args))
        except SystemExit as stop:
            self._leave("stop", stop.code)
        except OvrsError as error:
            self._leave("error", error)
            raise  # the exit code tells the launcher to stop the others

    def _leave(self, kind: str, value: Any) -> None:
        path = Path(self.folder) / f"{kind}-{comm.get_local_rank()}"
        temporary = path.with_suffix(".part")
        temporary.write_bytes(pickle.dumps(value))
        temporary.replace(path)

    def _left(self, kind: str) -> list[Any]:
        paths = [Path(self.folder) / f"{kind}-{rank}" for rank in range(self.count)]
        return [pickle.loads(path.read_bytes()) for path in paths if path.exists()]

    def raise_error(self) -> None:
        """Raise the error that a process left behind, if one did."""
        for error in self._left("error"):
            raise error

    def result(self) -> Any:
        """What the first process returned; raises SystemExit where ``main`` did."""
        for code in self._left("stop"):
            raise SystemExit(code)
        return self._left("result")[0]


def _process_on_cpu(local_rank: int, job: _Job, url: str, num_machines: int) -> None:
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, torch.get_num_threads() // job.count))
    rank = job.machine_rank * job.count + local_rank
    try:
        _meet("gloo", url, rank, num_machines * job.count, job.count)
    except OvrsError as error:
        (Path(job.folder) / f"error-{local_rank}").write_bytes(pickle.dumps(error))
        raise
    job()
    dist.destroy_process_group()


def under_torchrun(environment: Mapping[str, str]) -> bool:
    """Whether this process was started by torchrun, which says so in the environment."""
    return {"RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"} <= set(environment)


def _join(main: Callable[..., Any], args: Sequence[Any], *, on_gpus: bool) -> Any:
    rank, local_rank, world_size, count = (
        int(os.environ[key]) for key in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE")
    )
    if on_gpus:
        if count > torch.cuda.device_count():
            raise ConfigError(f"torchrun started {count} processes, but this machine has {torch.cuda.device_count()} GPUs")
        torch.cuda.set_device(local_rank)
    _meet("nccl" if on_gpus else "gloo", "env://", rank, world_size, count)
    result = main(*args)
    dist.destroy_process_group()
    return result


def _meet(backend: str, url: str, rank: int, world_size: int, count: int) -> None:
    """Form the group of all processes, and for Detectron2 the one of those on this machine."""
    try:
        dist.init_process_group(backend, init_method=url, world_size=world_size, rank=rank, timeout=DEFAULT_TIMEOUT)
    except (RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"the {world_size} processes did not meet at {url}: {reason}") from error
    warnings.filterwarnings("ignore", "TypedStorage is deprecated")  # Detectron2's, at its first gathering
    for first in range(0, world_size, count):
        group = dist.new_group(list(range(first, first + count)))
        if first <= rank < first + count:
            comm._LOCAL_PROCESS_GROUP = group
    comm.synchronize()


def _check_numbers(num_gpus: int, num_processes: int, on_cpus: bool) -> None:
    available = torch.cuda.device_count()
    if num_gpus > available and not on_cpus:
        raise ConfigError(
            f"--num-gpus is {num_gpus}, but this machine has {available}; without any, --num-gpus 0 runs on the CPU"
        )
    if num_processes < 1 or num_gpus < 0:
        raise ConfigError(f"--num-gpus is {num_gpus} and --num-processes {num_processes}; at least one process is needed")
    if num_processes > 1 and not on_cpus:
        raise ConfigError("--num-processes is for CPUs (--num-gpus 0); on GPUs, --num-gpus says how many processes there are")


def _meeting_point(dist_url: str, num_machines: int, machine_rank: int) -> str:
    if not 0 <= machine_rank < num_machines:
        raise ConfigError(f"--machine-rank is {machine_rank}; of {num_machines} machines the ranks are 0 to {num_machines - 1}")
    if dist_url != "auto":
        return dist_url
    if num_machines > 1:
        raise ConfigError("several machines must know where to meet: give each --dist-url tcp://HOST:PORT of the first one")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"tcp://127.0.0.1:{probe.getsockname()[1]}"


@contextmanager
def _passing_on_signals() -> Iterator[list[int]]:
    """SIGTERM and SIGINT go to the processes that were started, which decide what to do; gives those that came."""
    received: list[int] = []

    def pass_on(number: int, _: FrameType | None) -> None:
        received.append(number)
        for process in mp.active_children():
            if process.pid is not None:
                os.kill(process.pid, number)

    if threading.current_thread() is not threading.main_thread():  # only that one may handle signals
        yield received
        return
    before = {number: signal.signal(number, pass_on) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
