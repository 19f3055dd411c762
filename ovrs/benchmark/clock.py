"""Seconds and memory of this process."""

from __future__ import annotations

import contextlib
import platform
import resource
import time
from collections.abc import Callable, Iterator

import torch


def clock() -> float:
    """Seconds, when all that was asked of a GPU is done."""
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
    return time.perf_counter()


@contextlib.contextmanager
def timed(module: object, method: str, seconds: list[float]) -> Iterator[None]:
    """Note how long each call of ``module.method`` takes while the context lasts."""
    original: Callable[..., object] = getattr(module, method)

    def measured(*args: object, **kwargs: object) -> object:
        start = clock()
        result = original(*args, **kwargs)
        seconds.append(clock() - start)
        return result

    setattr(module, method, measured)
    try:
        yield
    finally:
        delattr(module, method)


def peak_gib() -> float:
    """The process's peak resident memory."""
    unit = 1 if platform.system() == "Darwin" else 1024  # bytes there, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30
