"""Ending a training early without losing a step: SIGTERM (a scheduler's) and SIGINT (Ctrl-C) save first."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from types import FrameType
from typing import Any

from detectron2.engine import HookBase
from detectron2.utils import comm

from ovrs.engine.checkpointer import Checkpointer

logger = logging.getLogger(__name__)

SIGNALS = (signal.SIGTERM, signal.SIGINT)
# A signal may come twice, once from the terminal and once through the launcher; one that comes later than this is meant.
PATIENCE_SECONDS = 1.0


class StopOnSignal(HookBase):
    """After the step in which a signal came to any process, saves a checkpoint and raises SystemExit(128 + signal) in all.

    A signal during an evaluation waits for its end and one more step, but one during the last evaluation, behind the last
    step, stops at once; so does a second signal. Comes right after the hook that saves checkpoints.
    """

    def __init__(self, checkpointer: Checkpointer) -> None:
        self.checkpointer = checkpointer
        self._received: int | None = None
        self._time = 0.0
        self._before: dict[int, Any] = {}

    def before_train(self) -> None:
        """Listen; only a main thread can."""
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._receive) for number in SIGNALS}

    def after_train(self) -> None:
        """Listen no longer."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def after_step(self) -> None:
        """Stop, if a process was told to."""
        received = [number for number in comm.all_gather(self._received) if number]
        if not received:
            return
        iteration = self.trainer.iter
        if comm.is_main_process() and self.checkpointer.saved_iteration != iteration:
            self.checkpointer.save(f"model_{iteration:07d}", iteration=iteration)
        comm.synchronize()
        logger.info(
            "%s: stopped after iteration %d of %d and saved it in %s; --resume goes on from there",
            signal.Signals(received[0]).name,
            iteration + 1,
            self.trainer.max_iter,
            self.checkpointer.save_dir,
        )
        raise SystemExit(128 + received[0])

    def _receive(self, number: int, _: FrameType | None) -> None:
        now = time.monotonic()
        if self._received is None:
            self._received, self._time = number, now
            if comm.is_main_process():  # no logging: the signal may have come in the middle of it
                os.write(2, b"stopping after this step; the same signal again stops at once\n")
        elif now - self._time > PATIENCE_SECONDS:
            signal.signal(number, self._before.get(number, signal.SIG_DFL))
            os.kill(os.getpid(), number)
