"""The stages of a system, and what each of them takes of anything that a meter shows: seconds, operations, bytes."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

from torch import nn

from ovrs.errors import ConfigError
from ovrs.modeling.segmentation_model import SegmentationModel

# The names that systems may give to their stages (SegmentationModel.stages), in the order in which tables show them.
STAGES = ("text", "image_encoder", "guidance", "cost_volume", "spatial", "class", "decoder", "backward")
REST = "rest"
# What a pass spends before any class is looked at; all else is the head.
ENCODERS = ("text", "image_encoder", "guidance")
ALL = "*"

# A float, or an array of floats.
Amount = Any


class StageMeter:
    """Shares what a meter shows among the stages of a system, while the context lasts.

    Stages may call each other: what the meter moves belongs to the innermost one, so that all stages together are the whole,
    whatever is measured. What belongs to none is the ``rest``.

    Example:
        >>> with StageMeter(model, time.perf_counter) as parts:
        ...     model.scores(images, vocabulary)
        >>> parts.amounts["decoder"], parts.whole

    Args:
        model: its stages are ``model.stages``; a module without any is one ``rest``.
        meter: shows a number that grows, or an array of such.
    """

    def __init__(self, model: nn.Module, meter: Callable[[], Amount]) -> None:
        self._model = model
        self._meter = meter
        self._running: list[str] = []
        self._methods = list(stage_methods(model))
        self._shown = meter()
        nothing = self._shown - self._shown
        self.amounts: dict[str, Amount] = {
            stage: nothing for stage in (*STAGES, REST) if stage == REST or any(stage == name for name, *_ in self._methods)
        }

    @property
    def whole(self) -> Amount:
        """All stages together."""
        first, *others = self.amounts.values()
        return sum(others, start=first)

    @contextlib.contextmanager
    def during(self, stage: str) -> Iterator[None]:
        """Give to ``stage`` what the meter moves in this context, as far as no stage inside takes it."""
        self._settle()
        self._running.append(stage)
        try:
            yield
        finally:
            self._settle()
            self._running.pop()

    def _settle(self) -> None:
        shown = self._meter()
        if self._running:
            stage = self._running[-1]
            moved = shown - self._shown
            self.amounts[stage] = self.amounts[stage] + moved if stage in self.amounts else moved
        self._shown = shown

    def __enter__(self) -> StageMeter:
        with contextlib.ExitStack() as stack:
            for stage, module, method in self._methods:
                stack.enter_context(self._watched(stage, module, method))
            stack.enter_context(self.during(REST))
            self._opened = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._opened.close()

    @contextlib.contextmanager
    def _watched(self, stage: str, module: nn.Module, method: str) -> Iterator[None]:
        original: Callable[..., object] = getattr(module, method)

        @functools.wraps(original)
        def watched(*args: object, **kwargs: object) -> object:
            with self.during(stage):
                return original(*args, **kwargs)

        before = module.__dict__.get(method)
        setattr(module, method, watched)  # hides the method of the class
        try:
            yield
        finally:
            if before is None:
                delattr(module, method)
            else:
                setattr(module, method, before)


def stage_methods(model: nn.Module) -> Iterator[tuple[str, nn.Module, str]]:
    """The stage, the module and the name of each method that a system calls a stage; parts that are None have none.

    Raises:
        ConfigError: a stage has no name of :data:`STAGES`, or a path leads nowhere.
    """
    if not isinstance(model, SegmentationModel):
        return
    for stage, paths in {"text": (), **model.stages}.items():
        if stage not in STAGES:
            raise ConfigError(f"{type(model).__name__} calls a stage {stage!r}; choose {', '.join(STAGES)}")
        for path in ("encode_text", *paths) if stage == "text" else paths:
            *parts, method = path.split(".")
            for module in _modules(model, parts, path):
                if not callable(getattr(module, method, None)):
                    raise ConfigError(f"{type(model).__name__}: {path!r} is no method of a part")
                yield stage, module, method


def _modules(module: nn.Module, parts: list[str], path: str) -> Iterator[nn.Module]:
    """The modules below ``module`` at the end of ``parts``, of which ``*`` is every one."""
    if not parts:
        yield module
        return
    first, *others = parts
    if first != ALL and not hasattr(module, first):
        raise ConfigError(f"{path!r}: {type(module).__name__} has no part {first!r}")
    for child in module.children() if first == ALL else [getattr(module, first)]:
        if child is not None:
            yield from _modules(child, others, path)
