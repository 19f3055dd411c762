"""The trainer: Detectron2's loop and hooks around our loaders, optimizer, evaluator and checkpoints, on any device."""

from __future__ import annotations

import logging
import math
import time
import weakref
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.engine import DefaultTrainer, HookBase, SimpleTrainer, TrainerBase, hooks
from detectron2.evaluation import DatasetEvaluator
from detectron2.utils import comm
from detectron2.utils.events import get_event_storage
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader

from ovrs.data.loaders import Batch, build_test_loader, build_train_loader, dataset_dicts
from ovrs.engine.batch_norm import share_batch_norms
from ovrs.engine.best_weights import BestWeights
from ovrs.engine.cache_savings import CacheSavings
from ovrs.engine.checkpointer import Checkpointer
from ovrs.engine.class_answers import asked
from ovrs.engine.ema import WeightAverage
from ovrs.engine.evaluation_hook import RecordedEvaluation
from ovrs.engine.evaluators import build_evaluator
from ovrs.engine.hooks import AverageWeights, LearningRates, StepSeeds
from ovrs.engine.optimizer import build_optimizer
from ovrs.engine.pictures import EvaluationPictures
from ovrs.engine.schedules import build_lr_scheduler
from ovrs.engine.stopping import StopOnSignal
from ovrs.errors import ConfigError
from ovrs.modeling.encoders.guidance_cache import CachedGuidance
from ovrs.modeling.header import warn_of_contradictions
from ovrs.modeling.registry import build_model

logger = logging.getLogger(__name__)


class TrainingStep(SimpleTrainer):
    """One iteration: forward, backward, clip, step. Gradients are scaled for fp16 on CUDA only.

    The arithmetic of the forward pass is the model's own matter (``MODEL.PRECISION``).

    Args:
        model: maps a batch to a dict of losses.
        data_loader: endless batches; asked for the first one when training starts.
        clip: ``SOLVER.CLIP_GRADIENTS``.
        parts: a batch goes through the model in so many parts, whose gradients are added up.
        scaled: scale the loss, so that gradients do not vanish in fp16.
    """

    def __init__(
        self,
        model: nn.Module,
        data_loader: Iterable[Batch],
        optimizer: torch.optim.Optimizer,
        *,
        clip: CfgNode,
        parts: int = 1,
        scaled: bool = False,
    ) -> None:
        TrainerBase.__init__(self)
        model.train()
        self.model = model
        self.data_loader = data_loader
        self.optimizer = optimizer
        self.clip = clip
        self.parts = parts
        self.scaler = torch.amp.GradScaler("cuda", enabled=scaled)
        self._batches: Iterator[Batch] | None = None

    def run_step(self) -> None:
        """Train on the next batch; a loss that is not finite raises FloatingPointError."""
        start = time.perf_counter()
        if self._batches is None:
            self._batches = iter(self.data_loader)
        batch = next(self._batches)
        waited = time.perf_counter() - start
        self.optimizer.zero_grad(set_to_none=True)
        self._write_metrics(self.accumulate(batch), waited)
        self.scaler.unscale_(self.optimizer)
        self.clip_gradients()
        self.scaler.step(self.optimizer)
        self.scaler.update()

    def accumulate(self, batch: Batch) -> dict[str, Tensor]:
        """Add up the gradients of all parts of a batch, each by its share of the images; returns the losses of the whole."""
        size = max(1, math.ceil(len(batch) / self.parts))
        parts = [batch[start : start + size] for start in range(0, len(batch), size)] or [batch]
        total: dict[str, Tensor] = {}
        for part in parts:
            with self._exchange(last=part is parts[-1]):
                losses: dict[str, Tensor] = self.model(part)
                if len(parts) > 1:
                    losses = {name: loss * (len(part) / len(batch)) for name, loss in losses.items()}
                self.scaler.scale(torch.stack(list(losses.values())).sum()).backward()
            for name, loss in losses.items():
                total[name] = total[name] + loss.detach() if name in total else loss.detach()
        return total

    def _exchange(self, *, last: bool) -> AbstractContextManager[None]:
        """Processes exchange gradients once, with the last part of the batch."""
        return self.model.no_sync() if isinstance(self.model, DistributedDataParallel) and not last else nullcontext()

    def clip_gradients(self) -> None:
        """Bound the gradients: the norm of all together (full_model), of each tensor (norm), or each value."""
        if not self.clip.ENABLED:
            return
        parameters = [parameter for group in self.optimizer.param_groups for parameter in group["params"]]
        kind, bound, order = self.clip.CLIP_TYPE, self.clip.CLIP_VALUE, self.clip.NORM_TYPE
        if kind == "full_model":
            norm = nn.utils.clip_grad_norm_(parameters, bound, order)
            get_event_storage().put_scalar("grad_norm", norm.item(), smoothing_hint=True)
        elif kind == "norm":
            for parameter in parameters:
                nn.utils.clip_grad_norm_(parameter, bound, order)
        elif kind == "value":
            nn.utils.clip_grad_value_(parameters, bound)
        else:
            raise ConfigError(f"SOLVER.CLIP_GRADIENTS.CLIP_TYPE is {kind!r}; choose full_model, norm or value")


class Trainer(DefaultTrainer):
    """Detectron2's default trainer for segmentation by words; it also runs without CUDA, and its checkpoints load safely."""

    def __init__(self, cfg: CfgNode) -> None:
        # Not DefaultTrainer's: that one builds a checkpointer which unpickles, and hands device_ids to CPU processes.
        TrainerBase.__init__(self)
        self.cfg = cfg = DefaultTrainer.auto_scale_workers(cfg, comm.get_world_size())
        model = self.build_model(cfg)
        optimizer = self.build_optimizer(cfg, model)
        self._trainer = TrainingStep(
            _distributed(model),
            self.build_train_loader(cfg),
            optimizer,
            clip=cfg.SOLVER.CLIP_GRADIENTS,
            parts=_parts(cfg),
            scaled=cfg.MODEL.PRECISION == "fp16" and torch.device(cfg.MODEL.DEVICE).type == "cuda",
        )
        self.scheduler = self.build_lr_scheduler(cfg, optimizer)
        self.average = WeightAverage(model, cfg.SOLVER.EMA_DECAY) if cfg.SOLVER.EMA_DECAY else None
        averaged = {"ema": self.average} if self.average else {}
        self.checkpointer = Checkpointer(
            model, cfg.OUTPUT_DIR, kept=cfg.SOLVER.CHECKPOINTS_KEPT, trainer=weakref.proxy(self), **averaged
        )
        self.best = BestWeights(self.checkpointer, cfg.TEST.BEST_METRIC)
        self.pictures = EvaluationPictures(cfg)
        self.start_iter = 0
        self.max_iter = cfg.SOLVER.MAX_ITER
        self.register_hooks(self.build_hooks())

    def resume_or_load(self, resume: bool = True) -> None:
        """Go on from the last checkpoint in ``OUTPUT_DIR`` if there is one and ``resume``, else load ``MODEL.WEIGHTS``.

        Without ``resume`` an earlier training in ``OUTPUT_DIR`` is set aside, with a warning.
        """
        self.checkpointer.resume_or_load(self.cfg.MODEL.WEIGHTS, resume=resume)
        if self.cfg.MODEL.WEIGHTS and not self.checkpointer.resumed_from:
            warn_of_contradictions(self.cfg, self.cfg.MODEL.WEIGHTS)
        if not resume:
            comm.synchronize()  # all have read their weights, which may be those of the earlier training
            if comm.is_main_process():
                self.checkpointer.set_aside()
        if self.average and not self.average.updates:
            self.average.restart()  # from the weights just loaded
        if not self.checkpointer.resumed_from:
            return
        self.start_iter = self.iter + 1
        self.best.resume()
        self._trainer.data_loader = self.build_train_loader(self.cfg, start=self.start_iter)
        logger.info("Resuming at iteration %d of %d", self.start_iter, self.max_iter)

    def build_hooks(self) -> list[HookBase | None]:
        """What happens around a step, in this order: what is saved is what is evaluated, and what that gives is written."""
        main = comm.is_main_process()
        return [
            StepSeeds(self.cfg.SEED) if self.cfg.SEED >= 0 else None,
            hooks.IterationTimer(),
            self._cache_savings(),
            LearningRates(),
            hooks.LRScheduler(),
            AverageWeights(self.average) if self.average else None,
            hooks.PeriodicCheckpointer(self.checkpointer, self.cfg.SOLVER.CHECKPOINT_PERIOD) if main else None,
            StopOnSignal(self.checkpointer),
            RecordedEvaluation(self.cfg.TEST.EVAL_PERIOD, self.evaluate, self.cfg.OUTPUT_DIR),
            hooks.PeriodicWriter(self.build_writers(), period=20) if main else None,
        ]

    def _cache_savings(self) -> HookBase | None:
        encoder = getattr(self.checkpointer.model, "guidance_encoder", None)
        if not isinstance(encoder, CachedGuidance):
            return None
        return CacheSavings(encoder, images=sum(len(dataset_dicts(self.cfg, name)) for name in self.cfg.DATASETS.TRAIN))

    def evaluate(self) -> dict[str, Any]:
        """Evaluate the present weights, or their average where one is kept, on all of ``DATASETS.TEST``; keep the best."""
        iteration = min(self.iter + 1, self.max_iter)
        with self.average.applied() if self.average else nullcontext():
            results: dict[str, Any] = self.test(self.cfg, self.model)
            if results and comm.is_main_process():
                first = results if len(self.cfg.DATASETS.TEST) == 1 else results[self.cfg.DATASETS.TEST[0]]
                self.best.consider(next(iter(first.values())), iteration)  # one task each
                self.pictures.draw(self.checkpointer.model, iteration)
        self._last_eval_results = results
        return results

    def state_dict(self) -> dict[str, Any]:
        """All but the model that a training needs to go on, as tensors and plain values."""
        return {
            "iteration": self.iter,
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.scheduler.last_epoch,
            "scaler": self._trainer.scaler.state_dict(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore :meth:`state_dict`; the schedule's shape and length are the configuration's, so they may change."""
        self.iter = state_dict["iteration"]
        self.optimizer.load_state_dict(state_dict["optimizer"])
        self.scheduler.last_epoch = state_dict["schedule"]
        for group, rate in zip(self.optimizer.param_groups, self.scheduler.get_lr(), strict=True):
            group["lr"] = rate
        if self._trainer.scaler.is_enabled() and state_dict["scaler"]:
            self._trainer.scaler.load_state_dict(state_dict["scaler"])

    @classmethod
    def build_model(cls, cfg: CfgNode) -> nn.Module:
        """The system under ``MODEL.META_ARCHITECTURE``, on ``MODEL.DEVICE``."""
        model: nn.Module = build_model(cfg)
        parameters = list(model.parameters())
        trained = sum(parameter.numel() for parameter in parameters if parameter.requires_grad)
        total = sum(parameter.numel() for parameter in parameters)
        logger.info("%s: %.2f M parameters, %.2f M of them train", type(model).__name__, total / 1e6, trained / 1e6)
        return model

    @classmethod
    def build_lr_scheduler(cls, cfg: CfgNode, optimizer: torch.optim.Optimizer) -> Any:
        """The schedule under ``SOLVER``."""
        return build_lr_scheduler(cfg, optimizer)

    @classmethod
    def build_optimizer(cls, cfg: CfgNode, model: nn.Module) -> torch.optim.Optimizer:
        """See :func:`ovrs.engine.optimizer.build_optimizer`."""
        return build_optimizer(cfg, model)

    @classmethod
    def build_train_loader(cls, cfg: CfgNode, *, start: int = 0) -> Iterable[Batch]:
        """See :func:`ovrs.data.loaders.build_train_loader`; a resumed training begins at ``start``."""
        return build_train_loader(cfg, start=start)

    @classmethod
    def build_test_loader(cls, cfg: CfgNode, dataset_name: str) -> DataLoader[dict[str, Any]]:
        """See :func:`ovrs.data.loaders.build_test_loader`."""
        return build_test_loader(cfg, dataset_name)

    @classmethod
    def test(cls, cfg: CfgNode, model: nn.Module, evaluators: Any = None) -> Any:
        """Evaluate a model on every data set of ``DATASETS.TEST``."""
        return super().test(cfg, asked(cfg, model), evaluators)

    @classmethod
    def build_evaluator(cls, cfg: CfgNode, dataset_name: str) -> DatasetEvaluator:
        """See :func:`ovrs.engine.evaluators.build_evaluator`."""
        return build_evaluator(cfg, dataset_name)


def _parts(cfg: CfgNode) -> int:
    parts, images = cfg.SOLVER.ACCUMULATION_STEPS, cfg.SOLVER.IMS_PER_BATCH // comm.get_world_size()
    possible = [count for count in range(1, max(images, 1) + 1) if images % count == 0]
    if parts not in possible:
        raise ConfigError(
            f"SOLVER.ACCUMULATION_STEPS is {parts}: the {images} images that a process has of a batch (SOLVER.IMS_PER_BATCH) "
            f"are split into equal parts; choose one of {', '.join(map(str, possible))}"
        )
    return int(parts)


def _distributed(model: nn.Module) -> nn.Module:
    """The model as it is in one process; in several, wrapped so that gradients are averaged."""
    if comm.get_world_size() == 1:
        return model
    share_batch_norms(model)
    on_gpu = next(model.parameters()).is_cuda
    # Which parameters a loss reaches depends on the system and its settings (a padding token with many classes, say).
    parallel = DistributedDataParallel(
        model, device_ids=[comm.get_local_rank()] if on_gpu else None, find_unused_parameters=True
    )
    # They are equal already: frozen, or statistics over all processes. (PyTorch's versions differ on the argument's name.)
    parallel.broadcast_buffers = False
    return parallel
