"""The weights of the best evaluation of a training, kept apart from its checkpoints."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ovrs.engine.checkpointer import BEST_FILE, Checkpointer, write_checkpoint

logger = logging.getLogger(__name__)


class BestWeights:
    """Keeps the weights of the best evaluation as ``model_best.pth``, with the figure beside them in the same file.

    They are weights alone, without a training's state: what goes on with ``--resume`` is the last checkpoint. Where two
    evaluations are equal in ``metric`` (h-mIoU is 0 as long as no unseen class is found), the better mIoU counts.

    Args:
        checkpointer: says where, and what the weights are.
        metric: ``TEST.BEST_METRIC``.
    """

    def __init__(self, checkpointer: Checkpointer, metric: str) -> None:
        self.checkpointer = checkpointer
        self.metric = metric
        self.best: dict[str, Any] = {}

    @property
    def path(self) -> Path:
        """The file."""
        return Path(self.checkpointer.save_dir) / BEST_FILE

    def resume(self) -> None:
        """Take up the figure of an earlier start from its file, if there is one that can be read."""
        if not self.path.is_file():
            return
        try:
            # Mapped, not read: only the few numbers beside the weights are wanted.
            self.best = dict(torch.load(self.path, map_location="cpu", weights_only=True, mmap=True)["best"])
        except Exception as error:  # torch raises many kinds
            logger.warning("%s cannot be read (%s); the next evaluation replaces it", self.path, str(error).splitlines()[0])

    def consider(self, figures: Mapping[str, float], iteration: int) -> bool:
        """Save the model's present weights if ``figures`` (percent, by name) are the best so far; whether it did so."""
        metric = self._metric(figures)
        value, tie = figures.get(metric, math.nan), figures.get("mIoU", math.nan)
        if not math.isfinite(value):
            logger.warning("%s is not known at iteration %d; the best weights stay as they are", metric, iteration)
            return False
        known = self._known(metric)
        if known and (value, tie) <= (known["value"], known["mIoU"]):
            logger.info("%s %.2f; the best stays %.2f of iteration %d", metric, value, known["value"], known["iteration"])
            return False
        self.best = {"metric": metric, "value": float(value), "mIoU": float(tie), "iteration": iteration}
        write_checkpoint({"model": self.checkpointer.model.state_dict(), "best": self.best}, self.path)
        logger.info("%s %.2f at iteration %d is the best so far: %s", metric, value, iteration, self.path)
        return True

    def _known(self, metric: str) -> dict[str, Any]:
        """The best so far by ``metric``; empty where that is not what the best was chosen by."""
        return self.best if self.best.get("metric") == metric else {}

    def _metric(self, figures: Mapping[str, float]) -> str:
        if "mIoU" not in figures:
            return self.metric
        if self.metric in figures:
            if math.isfinite(figures[self.metric]) or self._known(self.metric):
                return self.metric
            # It has no value in the whole training, as when all classes are unseen or none of the unseen occurs.
            logger.info(
                "the test set gives %s no value (are all classes seen, or all unseen?); the best weights are chosen by mIoU",
                self.metric,
            )
            return "mIoU"
        # Without unseen classes the default is not there by right; what was asked for by name is missed.
        level = logging.INFO if self.metric == "h-mIoU" else logging.WARNING
        logger.log(level, "the test set gives no %s (is a class unseen?); the best weights are chosen by mIoU", self.metric)
        if level == logging.WARNING:
            logger.warning("TEST.BEST_METRIC can be %s", ", ".join(figures))
        return "mIoU"
