"""Starting a job in one process or in several."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from detectron2.engine import launch as launch_processes

from ovrs.errors import ConfigError


def launch(
    main: Callable[..., Any],
    num_gpus: int,
    *,
    num_machines: int = 1,
    machine_rank: int = 0,
    dist_url: str = "auto",
    args: Sequence[Any] = (),
) -> Any:
    """Call ``main(*args)``: directly in this process, or in one process for each of ``num_gpus`` GPUs a machine.

    Returns what ``main`` returns where there is one process, otherwise None.

    Raises:
        ConfigError: more GPUs are asked for than there are. Several processes on CPUs are not offered yet.
    """
    if num_gpus * num_machines <= 1:
        return main(*args)
    available = torch.cuda.device_count()
    if num_gpus > available:
        raise ConfigError(
            f"--num-gpus is {num_gpus}, but this machine has {available}; without any, --num-gpus 1 runs on the CPU"
        )
    launch_processes(main, num_gpus, num_machines, machine_rank, dist_url, tuple(args))
    return None
