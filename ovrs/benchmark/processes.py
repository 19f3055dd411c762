"""Each setting in a process of its own, by turns, so that what slows the computer slows all that are compared."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ovrs.benchmark.probe import Ceilings, Probe
from ovrs.benchmark.settings import Setting
from ovrs.benchmark.system import MeasuredSystem, Size
from ovrs.errors import ConfigError


@dataclass(frozen=True)
class Cost:
    """What a setting costs.

    Attributes:
        setting: what was measured.
        size: parameters, work, memory.
        rounds: seconds of each counted run by stages, and its ``whole``.
        ceilings: what the machine did at most in each of the rounds.
    """

    setting: Setting
    size: Size
    rounds: list[dict[str, float]]
    ceilings: list[Ceilings]


def measure(groups: Sequence[Sequence[Setting]], runs: int) -> Iterator[list[Cost]]:
    """Measure group by group; the settings of a group run in processes that all stay until its last one is done.

    Only one process computes at a time. After a run each to warm up, every round runs each setting once, and what the machine
    can do at most, so that ratios can be taken round by round.

    Args:
        groups: of :func:`~ovrs.benchmark.settings.groups`.
        runs: counted rounds; 0 counts parameters and operations and times nothing.

    Raises:
        OvrsError: a system cannot be built or run, or a process was killed.
    """
    if runs < 0:
        raise ConfigError(f"{runs} runs: at least 0 are needed")
    passes = runs + 1 if runs else 0
    steps = sum(len(group) * (passes + 2) for group in groups)
    with tqdm(total=steps, unit="step", disable=None) as bar, tempfile.TemporaryDirectory(prefix="ovrs-benchmark-") as folder:
        for group in groups:
            yield _measure(group, passes, Path(folder), bar)


def _measure(group: Sequence[Setting], passes: int, folder: Path, bar: tqdm[Any]) -> list[Cost]:
    processes = multiprocessing.get_context("spawn")
    with contextlib.ExitStack() as stack:
        pools = [stack.enter_context(ProcessPoolExecutor(1, processes)) for _ in range(len(group) + 1)]
        *own, beside = pools

        def in_turn(job: Callable[..., Any], *arguments: Sequence[Any]) -> list[Any]:
            answers = []
            for pool, setting, *given in zip(own, group, *arguments, strict=True):
                bar.set_postfix_str(f"{setting.config_file} {setting.form} {setting.precision} {setting.classes}")
                answers.append(_answer(pool, setting, job, *given))
                bar.update()
            return answers

        in_turn(_begin, group)
        if passes:
            _answer(beside, group[0], _begin_probe, group, folder)
        rounds, ceilings = [], []
        for _ in range(passes):
            ceilings.append(_answer(beside, group[0], _probe))
            rounds.append(in_turn(_run))
        sizes = in_turn(_size)
    counted = list(zip(*rounds[1:], strict=True)) or [()] * len(group)
    return [
        Cost(setting, size, list(own_rounds), ceilings[1:])
        for setting, size, own_rounds in zip(group, sizes, counted, strict=True)
    ]


def _answer(pool: ProcessPoolExecutor, setting: Setting, job: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return pool.submit(job, *arguments).result()
    except BrokenProcessPool as error:
        raise ConfigError(
            f"{setting.config_file}: its process was killed, which happens where memory runs out; measure fewer systems at once"
        ) from error


# ------------------------------------------------------------------- in the process

_system: MeasuredSystem
_beside: Probe


def _begin(setting: Setting) -> None:
    global _system
    logging.disable(logging.WARNING)  # that weights are random is no news here
    _system = MeasuredSystem(setting)


def _run() -> dict[str, float]:
    return _system.run()


def _size() -> Size:
    return _system.size()


def _begin_probe(settings: Sequence[Setting], folder: Path) -> None:
    global _beside
    logging.disable(logging.WARNING)
    _beside = Probe(settings, folder)


def _probe() -> Ceilings:
    return _beside.run()
