"""Batches for training and evaluation, as a configuration asks for them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog, DatasetFromList, MapDataset
from detectron2.data.samplers import InferenceSampler
from detectron2.utils import comm
from torch.utils.data import DataLoader

from ovrs.data.batches import Batch, BatchPlanner, PlannedBatches
from ovrs.data.catalog import register_files, task_of, vocabulary_of
from ovrs.data.climate import refuse_climate
from ovrs.data.description import TASKS
from ovrs.data.folds import trained_classes
from ovrs.data.mapper import SegmentationMapper, draw_synonyms
from ovrs.data.referring.catalog import one_sentence_each
from ovrs.data.referring.mapper import ReferringMapper
from ovrs.data.referring.scenes import scene_references
from ovrs.data.scene_splits import scene_split
from ovrs.data.table import NO_PARTNERS, SceneSplit
from ovrs.data.workers import Loader
from ovrs.errors import ConfigError, DataError
from ovrs.vocabulary import VocabularyClass


def dataset_dicts(cfg: CfgNode, name: str) -> list[dict[str, Any]]:
    """The dicts of a registered data set, each with its ``dataset_name``; scenes as many and as large as configured.

    Raises:
        ConfigError: a description in ``DATASETS.FILES`` is wrong, the data set is not for ``DATASETS.TASK``, or a key of
            ``DATASETS.SCENES`` cannot work.
        DataError: an unknown data set, or one whose files are missing.
    """
    register_files(cfg.DATASETS.FILES)
    check_task(cfg, name)
    referring = cfg.DATASETS.TASK == "referring"
    if not referring:
        vocabulary_of(name)
    scenes = scene_split(cfg, name)
    if scenes and referring and scenes.partners != replace(NO_PARTNERS, cloud_cover=scenes.partners.cloud_cover):
        raise ConfigError(
            "DATASETS.SCENES: SAR, DESCRIPTIONS and CLOUDY_SHARE are for DATASETS.TASK segmentation; leave them out"
        )
    listed = scene_references if referring else SceneSplit.dicts
    entries = listed(scenes) if scenes else DatasetCatalog.get(name)
    if not entries:
        raise DataError(f"data set {name!r} is empty")
    return [{**entry, "dataset_name": name} for entry in entries]


def check_task(cfg: CfgNode, name: str) -> None:
    """Whether a registered data set is for ``DATASETS.TASK``.

    Raises:
        ConfigError: it is for another task, or there is no such task.
        DataError: an unknown data set.
    """
    if cfg.DATASETS.TASK not in TASKS:
        raise ConfigError(f"DATASETS.TASK is {cfg.DATASETS.TASK!r}; choose {' or '.join(TASKS)}")
    if (task := task_of(name)) != cfg.DATASETS.TASK:
        raise ConfigError(f"DATASETS.TASK is {cfg.DATASETS.TASK!r}, but data set {name!r} is for {task!r}")


def training_classes(cfg: CfgNode) -> tuple[VocabularyClass, ...]:
    """The classes that train, of all sets of ``DATASETS.TRAIN`` in turn, with all their synonyms; their files are not needed.

    Raises:
        ConfigError: a description in ``DATASETS.FILES`` is wrong, or see :func:`ovrs.data.folds.trained_classes`.
        DataError: an unknown data set.
    """
    register_files(cfg.DATASETS.FILES)
    keys = cfg.DATASETS
    kept = (
        trained_classes(vocabulary_of(name), seen_only=keys.TRAIN_CLASSES == "seen", hidden=keys.HIDDEN_CLASSES)
        for name in keys.TRAIN
    )
    return tuple(cls for classes in kept for cls in classes.values())


def build_train_loader(cfg: CfgNode, *, sampler_seed: int | None = None, start: int = 0) -> Iterable[Batch]:
    """An endless stream of shuffled batches of ``SOLVER.IMS_PER_BATCH`` images (all processes together).

    All images of a batch come from one data set, and so share a vocabulary, or have a sentence each;
    ``DATASETS.TRAIN_WEIGHTS`` says how often each data set is drawn. Images, crops, words and sentences of an iteration follow
    from the seed, however many processes and workers there are.

    Args:
        sampler_seed: the same in all processes; ``SEED`` where None, drawn from the global state where that is negative.
        start: the iteration to begin with.

    Raises:
        ConfigError: ``DATASETS.TRAIN`` is empty, its weights do not fit, the batch cannot be shared by the processes, or
            augmentations would make sentences untrue.
        DataError: see :func:`dataset_dicts`.
    """
    names = list(cfg.DATASETS.TRAIN)
    if not names:
        raise ConfigError("DATASETS.TRAIN names no data set")
    if sampler_seed is None:
        sampler_seed = cfg.SEED if cfg.SEED >= 0 else comm.shared_random_seed()
    data_sets = [DatasetFromList(dataset_dicts(cfg, name), copy=False) for name in names]
    sizes = [len(data_set) for data_set in data_sets]
    world_size, batch_size = comm.get_world_size(), cfg.SOLVER.IMS_PER_BATCH
    if batch_size < 1 or batch_size % world_size:
        raise ConfigError(f"SOLVER.IMS_PER_BATCH is {batch_size}, but must be a multiple of the {world_size} processes")
    planner = BatchPlanner(
        sizes,
        _weights(names, cfg.DATASETS.TRAIN_WEIGHTS) or sizes,
        batch_size=batch_size,
        seed=sampler_seed,
        start=start,
        rank=comm.get_rank(),
        world_size=world_size,
    )
    mapper = build_mapper(cfg, True)
    if isinstance(mapper, ReferringMapper):
        mapper.refuse_untrue([entry for data_set in data_sets for entry in data_set])
    finish = draw_synonyms if cfg.DATASETS.DRAW_SYNONYMS and isinstance(mapper, SegmentationMapper) else as_list
    batches = PlannedBatches(data_sets, mapper, finish=finish, seed=sampler_seed)
    return Loader(cfg, batches, sampler=planner, batch_size=None)  # a plan is a whole batch


def _weights(names: Sequence[str], weights: Sequence[float]) -> list[float]:
    """``DATASETS.TRAIN_WEIGHTS``, checked; empty where none are given."""
    wrong = [weight for weight in weights if not (isinstance(weight, int | float) and 0 < weight < math.inf)]
    if wrong:
        raise ConfigError(f"DATASETS.TRAIN_WEIGHTS: {wrong[0]!r} is no positive number")
    if weights and len(weights) != len(names):
        raise ConfigError(f"DATASETS.TRAIN_WEIGHTS has {len(weights)} weights for the {len(names)} data sets of DATASETS.TRAIN")
    return [float(weight) for weight in weights]


def build_test_loader(cfg: CfgNode, name: str) -> DataLoader[dict[str, Any]]:
    """Every image (or sentence) of a data set once, split over the processes, in batches of ``TEST.IMS_PER_BATCH``."""
    entries = dataset_dicts(cfg, name)
    entries = one_sentence_each(entries) if cfg.DATASETS.TASK == "referring" else entries
    dataset = MapDataset(DatasetFromList(entries, copy=False), build_mapper(cfg, False))
    return Loader(cfg, dataset, batch_size=cfg.TEST.IMS_PER_BATCH, sampler=InferenceSampler(len(dataset)), drop_last=False)


def build_mapper(cfg: CfgNode, is_train: bool) -> SegmentationMapper | ReferringMapper:
    """What turns entries into samples for ``DATASETS.TASK``.

    Raises:
        ConfigError: a key that the mapper reads cannot work.
    """
    if cfg.DATASETS.TASK == "referring":
        refuse_climate(cfg)
        return ReferringMapper(cfg, is_train)
    return SegmentationMapper(cfg, is_train)


def as_list(batch: Batch) -> Batch:
    """A batch is the list of its entries."""
    return batch
