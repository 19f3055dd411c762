"""The trainer: Detectron2's loop and hooks around our loaders, optimizer, evaluator and checkpoints, on any device."""

from __future__ import annotations

import logging
import os
import time
import weakref
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.engine import DefaultTrainer, SimpleTrainer, TrainerBase
from detectron2.modeling import build_model
from detectron2.utils import comm
from detectron2.utils.env import seed_all_rng
from detectron2.utils.events import get_event_storage
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader

import ovrs.modeling  # noqa: F401 - registers the systems with Detectron2
from ovrs.data.catalog import vocabulary_of
from ovrs.data.loaders import Batch, build_test_loader, build_train_loader
from ovrs.engine.checkpointer import Checkpointer
from ovrs.engine.optimizer import build_optimizer
from ovrs.errors import ConfigError
from ovrs.evaluation.evaluator import SegmentationEvaluator

logger = logging.getLogger(__name__)


class TrainingStep(SimpleTrainer):
    """One iteration: forward, backward, clip, step. Gradients are scaled for fp16 on CUDA only.

    The arithmetic of the forward pass is the model's own matter (``MODEL.PRECISION``).

    Args:
        model: maps a batch to a dict of losses.
        data_loader: endless batches; asked for the first one when training starts.
        clip: ``SOLVER.CLIP_GRADIENTS``.
        scaled: scale the loss, so that gradients do not vanish in fp16.
    """

    def __init__(
        self,
        model: nn.Module,
        data_loader: Iterable[Batch],
        optimizer: torch.optim.Optimizer,
        *,
        clip: CfgNode,
        scaled: bool = False,
    ) -> None:
        TrainerBase.__init__(self)
        model.train()
        self.model = model
        self.data_loader = data_loader
        self.optimizer = optimizer
        self.clip = clip
        self.scaler = torch.amp.GradScaler("cuda", enabled=scaled)
        self._batches: Iterator[Batch] | None = None

    def run_step(self) -> None:
        """Train on the next batch; a loss that is not finite raises FloatingPointError."""
        start = time.perf_counter()
        if self._batches is None:
            self._batches = iter(self.data_loader)
        batch = next(self._batches)
        waited = time.perf_counter() - start
        losses: dict[str, Tensor] = self.model(batch)
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(torch.stack(list(losses.values())).sum()).backward()
        self._write_metrics(losses, waited)
        self.scaler.unscale_(self.optimizer)
        self.clip_gradients()
        self.scaler.step(self.optimizer)
        self.scaler.update()

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
            scaled=cfg.MODEL.PRECISION == "fp16" and torch.device(cfg.MODEL.DEVICE).type == "cuda",
        )
        self.scheduler = self.build_lr_scheduler(cfg, optimizer)
        self.checkpointer = Checkpointer(model, cfg.OUTPUT_DIR, trainer=weakref.proxy(self))
        self.start_iter = 0
        self.max_iter = cfg.SOLVER.MAX_ITER
        self.register_hooks(self.build_hooks())

    def resume_or_load(self, resume: bool = True) -> None:
        """Go on from the last checkpoint in ``OUTPUT_DIR`` if there is one and ``resume``, else load ``MODEL.WEIGHTS``."""
        self.checkpointer.resume_or_load(self.cfg.MODEL.WEIGHTS, resume=resume)
        if not (resume and self.checkpointer.has_checkpoint()):
            return
        self.start_iter = self.iter + 1
        if self.cfg.SEED >= 0:
            # Otherwise the images and random numbers of the first iterations would come a second time.
            seed_all_rng(self.cfg.SEED + self.start_iter + comm.get_rank())
            self._trainer.data_loader = build_train_loader(self.cfg, sampler_seed=self.cfg.SEED + self.start_iter)
        logger.info("Resuming at iteration %d of %d", self.start_iter, self.max_iter)

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
    def build_optimizer(cls, cfg: CfgNode, model: nn.Module) -> torch.optim.Optimizer:
        """See :func:`ovrs.engine.optimizer.build_optimizer`."""
        return build_optimizer(cfg, model)

    @classmethod
    def build_train_loader(cls, cfg: CfgNode) -> Iterable[Batch]:
        """See :func:`ovrs.data.loaders.build_train_loader`."""
        return build_train_loader(cfg)

    @classmethod
    def build_test_loader(cls, cfg: CfgNode, dataset_name: str) -> DataLoader[dict[str, Any]]:
        """See :func:`ovrs.data.loaders.build_test_loader`."""
        return build_test_loader(cfg, dataset_name)

    @classmethod
    def build_evaluator(cls, cfg: CfgNode, dataset_name: str) -> SegmentationEvaluator:
        """One confusion matrix over the data set; its report goes to ``OUTPUT_DIR/inference/<data set>``."""
        folder = os.path.join(cfg.OUTPUT_DIR, "inference", dataset_name)
        return SegmentationEvaluator(dataset_name, vocabulary_of(dataset_name), folder)


def _distributed(model: nn.Module) -> nn.Module:
    """The model as it is in one process; in several, wrapped so that gradients are averaged."""
    if comm.get_world_size() == 1:
        return model
    on_gpu = next(model.parameters()).is_cuda
    return DistributedDataParallel(model, device_ids=[comm.get_local_rank()] if on_gpu else None, broadcast_buffers=False)
