"""How the learning rate falls: Detectron2's schedules, and the polynomial one of the segmentation literature."""

from __future__ import annotations

from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.solver import LRMultiplier, WarmupParamScheduler
from detectron2.solver import build_lr_scheduler as build_detectron2_scheduler
from fvcore.common.param_scheduler import PolynomialDecayParamScheduler

from ovrs.errors import ConfigError


def build_lr_scheduler(cfg: CfgNode, optimizer: torch.optim.Optimizer) -> Any:
    """The schedule ``SOLVER.LR_SCHEDULER_NAME``: ``WarmupPolyLR``, (1 - share of the training)^``POLY_POWER``, or Detectron2's.

    Raises:
        ConfigError: there is no schedule of that name, or no power by which a rate falls.
    """
    solver = cfg.SOLVER
    if solver.LR_SCHEDULER_NAME == "WarmupPolyLR":
        if not solver.POLY_POWER > 0:
            raise ConfigError(
                f"SOLVER.POLY_POWER is {solver.POLY_POWER}; a learning rate falls by a power above 0, such as 0.9"
            )
        warmup = min(solver.WARMUP_ITERS / solver.MAX_ITER, 1.0)
        falling = PolynomialDecayParamScheduler(1.0, solver.POLY_POWER)
        multiplier = WarmupParamScheduler(falling, solver.WARMUP_FACTOR, warmup, solver.WARMUP_METHOD)
        return LRMultiplier(optimizer, multiplier=multiplier, max_iter=solver.MAX_ITER)
    try:
        return build_detectron2_scheduler(cfg, optimizer)
    except ValueError as error:
        raise ConfigError(
            f"SOLVER.LR_SCHEDULER_NAME is {solver.LR_SCHEDULER_NAME!r}; not WarmupCosineLR, WarmupPolyLR or WarmupMultiStepLR"
        ) from error
