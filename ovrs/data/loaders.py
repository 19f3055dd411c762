"""Batches for training and evaluation, as a configuration asks for them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog, DatasetFromList, MapDataset, build_detection_train_loader
from detectron2.data.samplers import InferenceSampler, TrainingSampler
from torch.utils.data import DataLoader

from ovrs.data.catalog import scene_dicts, vocabulary_of
from ovrs.data.mapper import SegmentationMapper, draw_synonyms
from ovrs.data.table import DATA_SETS, SceneSplit
from ovrs.errors import ConfigError, DataError

Batch = list[dict[str, Any]]


def dataset_dicts(cfg: CfgNode, name: str) -> list[dict[str, Any]]:
    """The dicts of a registered data set, each with its ``dataset_name``; scenes as many and as large as configured.

    Raises:
        DataError: an unknown data set, or one whose files are missing.
    """
    vocabulary_of(name)
    scenes = _scene_split(cfg, name)
    entries = scene_dicts(scenes) if scenes else DatasetCatalog.get(name)
    if not entries:
        raise DataError(f"data set {name!r} is empty")
    return [{**entry, "dataset_name": name} for entry in entries]


def _scene_split(cfg: CfgNode, name: str) -> SceneSplit | None:
    row, _, split = name.rpartition("_")
    if row not in DATA_SETS or split not in ("train", "val"):
        return None
    place = DATA_SETS[row].splits["train" if split == "train" else "val"]
    if not isinstance(place, SceneSplit):
        return None
    keys = cfg.DATASETS.SCENES
    return replace(place, size=keys.TRAIN_SIZE if split == "train" else keys.VAL_SIZE, image_size=keys.IMAGE_SIZE)


def build_train_loader(cfg: CfgNode, *, sampler_seed: int | None = None) -> Iterable[Batch]:
    """An endless stream of shuffled batches of ``SOLVER.IMS_PER_BATCH`` images (all processes together).

    Args:
        sampler_seed: seed of the order of images, the same in all processes; drawn from the global state where None.

    Raises:
        ConfigError: ``DATASETS.TRAIN`` is empty, or names data sets with different classes.
        DataError: see :func:`dataset_dicts`.
    """
    names = list(cfg.DATASETS.TRAIN)
    _check_train_sets(names)
    entries = [entry for name in names for entry in dataset_dicts(cfg, name)]
    return build_detection_train_loader(
        entries,
        mapper=SegmentationMapper(cfg, True),
        sampler=TrainingSampler(len(entries), seed=sampler_seed),
        total_batch_size=cfg.SOLVER.IMS_PER_BATCH,
        aspect_ratio_grouping=False,
        num_workers=_workers(cfg),
        collate_fn=draw_synonyms if cfg.DATASETS.DRAW_SYNONYMS else as_list,
    )


def _check_train_sets(names: Sequence[str]) -> None:
    if not names:
        raise ConfigError("DATASETS.TRAIN names no data set")
    first = vocabulary_of(names[0])
    for name in names[1:]:
        if vocabulary_of(name) != first:
            raise ConfigError(f"DATASETS.TRAIN: the classes of {names[0]} and {name} differ, but a batch has one vocabulary")


def build_test_loader(cfg: CfgNode, name: str) -> DataLoader[dict[str, Any]]:
    """Every image of a data set once, split over the processes, in batches of ``TEST.IMS_PER_BATCH``."""
    dataset = MapDataset(DatasetFromList(dataset_dicts(cfg, name), copy=False), SegmentationMapper(cfg, False))
    return DataLoader(
        dataset,
        batch_size=cfg.TEST.IMS_PER_BATCH,
        sampler=InferenceSampler(len(dataset)),
        num_workers=_workers(cfg),
        collate_fn=as_list,
        drop_last=False,
    )


def _workers(cfg: CfgNode) -> int:
    """``DATALOADER.NUM_WORKERS``, but no more than there are processors: beyond that they only wait for each other."""
    return min(cfg.DATALOADER.NUM_WORKERS, os.cpu_count() or 1)


def as_list(batch: Batch) -> Batch:
    """A batch is the list of its entries."""
    return batch
