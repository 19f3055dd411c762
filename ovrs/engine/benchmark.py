"""What systems cost to run: each in a process of its own, by turns, so that what slows the computer slows all of them."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import platform
import resource
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any

import torch
from detectron2.modeling import build_model
from tqdm import tqdm

import ovrs.modeling.systems  # noqa: F401 - registers them with Detectron2
from ovrs.config import load_config
from ovrs.errors import ConfigError
from ovrs.modeling.complexity import STAGES, Operations, Parameters, count_image, count_parameters
from ovrs.vocabulary import Vocabulary


@dataclass(frozen=True)
class Setting:
    """What is measured: one pass over one square image.

    Attributes:
        config_file: the system.
        size: the image's side in pixels.
        classes: names in the vocabulary.
        precision: of the forward pass, fp32, bf16 or fp16.
        threads: CPU threads; 0 leaves PyTorch's choice.
        options: KEY VALUE pairs that override the configuration.
    """

    config_file: str
    size: int
    classes: int
    precision: str = "fp32"
    threads: int = 0
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Cost:
    """What a system costs.

    Attributes:
        parameters, operations: how large it is, and how much it computes.
        rounds: seconds of each counted pass: ``whole``, its encoders, and as ``head`` all the rest.
        text_once: seconds to embed the vocabulary; None where nothing was timed.
        peak_gib: peak resident memory of its process, the libraries and the model included.
        peak_gpu_gib: the most that PyTorch held on the GPU; None on a CPU.
    """

    parameters: Parameters
    operations: Operations
    rounds: list[dict[str, float]]
    text_once: float | None
    peak_gib: float
    peak_gpu_gib: float | None


def measure(settings: Sequence[Setting], runs: int) -> list[Cost]:
    """Measure each setting in a process of its own, all of which stay until the last one is done.

    Only one process computes at a time. After a run each to warm up, every round runs each system once, so that the ratio of
    two systems can be taken round by round.

    Args:
        runs: counted rounds; 0 counts parameters and operations and times nothing.

    Raises:
        OvrsError: a configuration cannot be read or built, a number makes no sense, or a process was killed.
    """
    for setting in settings:
        _check(setting, runs)
    processes = multiprocessing.get_context("spawn")
    passes = runs + 1 if runs else 0
    with contextlib.ExitStack() as stack:
        pools = [stack.enter_context(ProcessPoolExecutor(1, processes)) for _ in settings]
        bar = stack.enter_context(tqdm(total=len(settings) * (passes + 2), unit="step", disable=None))

        def in_turn(job: Callable[..., Any], *arguments: Sequence[Any]) -> list[Any]:
            answers = []
            for pool, setting, *own in zip(pools, settings, *arguments, strict=True):
                bar.set_postfix_str(setting.config_file)
                answers.append(_answer(pool, setting, job, *own))
                bar.update()
            return answers

        in_turn(_begin, settings)
        rounds = [in_turn(_run) for _ in range(passes)][1:]
        # Last, for counting takes memory that running does not.
        costs = in_turn(_cost, [[turn[number] for turn in rounds] for number in range(len(settings))])
    return costs


def _check(setting: Setting, runs: int) -> None:
    """What can be said before processes start."""
    load_config(setting.config_file, setting.options)
    if setting.size < 1 or setting.classes < 1 or runs < 0:
        raise ConfigError(f"{setting.size} pixels, {setting.classes} classes, {runs} runs: at least 1, 1 and 0 are needed")


def _answer(pool: ProcessPoolExecutor, setting: Setting, job: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return pool.submit(job, *arguments).result()
    except BrokenProcessPool as error:
        raise ConfigError(
            f"{setting.config_file}: its process was killed, which happens where memory runs out; measure fewer systems at once"
        ) from error


class _System:
    """A built system and what it is given, in the process that measures it."""

    def __init__(self, setting: Setting) -> None:
        if setting.threads:
            torch.set_num_threads(setting.threads)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        overrides = ["MODEL.DEVICE", device, "MODEL.PRECISION", setting.precision, "MODEL.GUIDANCE.CACHE", ""]
        self.size = setting.size
        self.model = build_model(load_config(setting.config_file, [*overrides, *setting.options])).eval()
        self.vocabulary = Vocabulary.from_names(f"thing {number}" for number in range(setting.classes))
        self.image = torch.rand(1, 3, setting.size, setting.size) * 255
        self.text_once: float | None = None

    @torch.no_grad()
    def run(self) -> dict[str, float]:
        """One pass; before the first one, the words."""
        if self.text_once is None:
            start = _clock()
            with self.model.autocast():
                self.model.text_features(self.vocabulary.rows)
            self.text_once = _clock() - start
        stages: dict[str, list[float]] = {name: [] for name in STAGES}
        with contextlib.ExitStack() as stack:
            for name, seconds in stages.items():
                part = getattr(self.model, name, None)
                for method in STAGES[name] if part is not None else ():
                    stack.enter_context(timed(part, method, seconds))
            start = _clock()
            self.model.scores(self.image, self.vocabulary)
            whole = _clock() - start
        parts = {name: sum(seconds) for name, seconds in stages.items() if seconds}
        return {"whole": whole, **parts, "head": whole - sum(parts.values())}

    def cost(self, rounds: list[dict[str, float]]) -> Cost:
        """What was measured, with what is left to count."""
        memory = peak_gib()
        on_gpu = torch.cuda.max_memory_allocated() / 2**30 if torch.cuda.is_initialized() else None
        operations = count_image(self.model, self.size, self.vocabulary)
        return Cost(count_parameters(self.model), operations, rounds, self.text_once, memory, on_gpu)


_system: _System  # that of this process


def _begin(setting: Setting) -> None:
    global _system
    logging.disable(logging.WARNING)  # that weights are random is no news here
    _system = _System(setting)


def _run() -> dict[str, float]:
    return _system.run()


def _cost(rounds: list[dict[str, float]]) -> Cost:
    return _system.cost(rounds)


@contextlib.contextmanager
def timed(module: object, method: str, seconds: list[float]) -> Iterator[None]:
    """Note how long each call of ``module.method`` takes while the context lasts."""
    original: Callable[..., object] = getattr(module, method)

    def measured(*args: object, **kwargs: object) -> object:
        start = _clock()
        result = original(*args, **kwargs)
        seconds.append(_clock() - start)
        return result

    setattr(module, method, measured)
    try:
        yield
    finally:
        delattr(module, method)


def _clock() -> float:
    """Seconds, when all that was asked of a GPU is done."""
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
    return time.perf_counter()


def peak_gib() -> float:
    """The process's peak resident memory."""
    unit = 1 if platform.system() == "Darwin" else 1024  # bytes there, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30
