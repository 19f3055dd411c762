"""From a data set's dict to what a model takes: the image, its labels and the vocabulary they are numbered by."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from detectron2.config import CfgNode, configurable
from detectron2.data import transforms as T
from numpy.typing import NDArray
from PIL import Image, ImageOps

from ovrs.data.augmentation import build_augmentations
from ovrs.data.catalog import vocabulary_of
from ovrs.data.table import IGNORE_LABEL
from ovrs.errors import ConfigError, DataError
from ovrs.vocabulary import Vocabulary

# Drawing a scene costs ten times what reading and augmenting one does, so each worker keeps what it has drawn, up to this.
KEPT_BYTES = 2**30
_kept_scenes: dict[tuple[int, int, int], tuple[NDArray[np.uint8], NDArray[np.uint8]]] = {}


class SegmentationMapper:
    """Detectron2's mapper contract: a dict of a data set in, a dict for a model out.

    In: ``file_name`` and ``sem_seg_file_name``, or ``scene_seed``, ``scene_index`` and ``scene_size``; and ``dataset_name``,
    which says the vocabulary. Out: ``image`` uint8 [3, H, W] RGB, ``sem_seg`` int64 [H, W] (indices of ``vocabulary``, 255
    ignored), ``vocabulary``, ``height`` and ``width`` in pixels, ``file_name``.

    Args:
        is_train: augment, and keep only the classes that ``train_classes`` names; otherwise the image stays as it is.
        augmentations: geometric ones change image and labels alike.
        train_classes: ``all``, or ``seen``: labels of unseen classes become ignored, the others are renumbered.
        keep_synonyms: leave the classes their synonyms (to draw from, or to score by the best); otherwise the name alone.
    """

    @configurable
    def __init__(
        self,
        *,
        is_train: bool,
        augmentations: Sequence[T.Augmentation] = (),
        train_classes: str = "all",
        keep_synonyms: bool = False,
    ) -> None:
        if train_classes not in ("all", "seen"):
            raise ConfigError(f"DATASETS.TRAIN_CLASSES is {train_classes!r}; choose 'all' or 'seen'")
        self.is_train = is_train
        self.augmentations = T.AugmentationList(list(augmentations))
        self.train_classes = train_classes
        self.keep_synonyms = keep_synonyms

    @classmethod
    def from_config(cls, cfg: CfgNode, is_train: bool = True) -> dict[str, Any]:
        """The arguments that a configuration asks for."""
        if cfg.INPUT.FORMAT != "RGB":
            raise ConfigError(f"INPUT.FORMAT is {cfg.INPUT.FORMAT!r}; images are read as RGB")
        augmentations = build_augmentations(
            shortest_edges=cfg.INPUT.MIN_SIZE_TRAIN,
            sampling=cfg.INPUT.MIN_SIZE_TRAIN_SAMPLING,
            longest_edge=cfg.INPUT.MAX_SIZE_TRAIN,
            crop=cfg.INPUT.CROP_SIZE,
            flip=cfg.INPUT.FLIP,
            quarter_turns=cfg.INPUT.QUARTER_TURNS,
            color_jitter=cfg.INPUT.COLOR_JITTER,
        )
        return {
            "is_train": is_train,
            "augmentations": augmentations if is_train else [],
            "train_classes": cfg.DATASETS.TRAIN_CLASSES,
            "keep_synonyms": cfg.DATASETS.DRAW_SYNONYMS if is_train else cfg.DATASETS.TEST_SYNONYMS,
        }

    def __call__(self, entry: dict[str, Any]) -> dict[str, Any]:
        """Read, augment and renumber one entry.

        Raises:
            DataError: a file cannot be read, sizes of image and labels differ, or a label is no class of the data set.
        """
        own = vocabulary_of(entry["dataset_name"])
        image, labels = read_entry(entry)
        if image.shape[:2] != labels.shape:
            raise DataError(f"{entry['file_name']} is {_size(image)}, but its labels are {_size(labels)}")
        check_labels(labels, own, entry)
        seen_only = self.is_train and self.train_classes == "seen"
        vocabulary, table = renumbering(own, seen_only=seen_only, synonyms=self.keep_synonyms)
        sample = T.AugInput(image, sem_seg=table[labels])
        self.augmentations(sample)
        image, labels = sample.image, sample.sem_seg
        return {
            "image": torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))),
            "sem_seg": torch.from_numpy(labels.astype(np.int64)),
            "vocabulary": vocabulary,
            "height": image.shape[0],
            "width": image.shape[1],
            "file_name": entry["file_name"],
        }


@functools.lru_cache(maxsize=64)
def renumbering(own: Vocabulary, *, seen_only: bool, synonyms: bool) -> tuple[Vocabulary, NDArray[np.uint8]]:
    """The classes in use of a data set's vocabulary, and uint8 [256] from old labels to new; 255 where a label is ignored."""
    kept = [index for index, cls in enumerate(own.classes) if cls.seen or not seen_only]
    if not kept:
        raise ConfigError(f"no class of {', '.join(own.names)} is seen; set DATASETS.TRAIN_CLASSES to all")
    table = np.full(256, IGNORE_LABEL, dtype=np.uint8)
    table[kept] = np.arange(len(kept))
    classes = tuple(own.classes[index] for index in kept)
    return Vocabulary(classes if synonyms else tuple(replace(cls, synonyms=()) for cls in classes)), table


def read_entry(entry: dict[str, Any]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Image [H, W, 3] RGB and labels [H, W], from files or drawn."""
    if "scene_seed" in entry:
        from ovrs.data.scenes import draw_scene

        key = (entry["scene_seed"], entry["scene_index"], entry["scene_size"])
        if key in _kept_scenes:
            return _kept_scenes[key]
        scene = draw_scene(key[0], key[1], size=key[2])
        if len(_kept_scenes) * (scene.image.nbytes + scene.labels.nbytes) < KEPT_BYTES:
            _kept_scenes[key] = scene.image, scene.labels
        return scene.image, scene.labels
    return read_rgb(entry["file_name"]), read_labels(entry["sem_seg_file_name"])


def read_rgb(path: str) -> NDArray[np.uint8]:
    """An 8-bit image as RGB [H, W, 3], turned as its EXIF tag says."""
    try:
        with Image.open(path) as file:
            return np.array(ImageOps.exif_transpose(file).convert("RGB"))
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError(f"{path}: not readable as an image: {error}") from error


def read_labels(path: str) -> NDArray[np.uint8]:
    """Labels [H, W] of an 8-bit PNG, grey or with a palette (whose raw indices are the labels)."""
    try:
        with Image.open(path) as file:
            mode, labels = file.mode, np.array(file)
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError(f"{path}: not readable as a label map: {error}") from error
    if mode not in ("L", "P"):
        raise DataError(f"{path}: labels must be one 8-bit channel, grey or with a palette; this file has mode {mode}")
    return labels


def check_labels(labels: NDArray[np.uint8], vocabulary: Vocabulary, entry: dict[str, Any]) -> None:
    """Raise DataError where a label is neither a class of ``vocabulary`` nor the ignored 255."""
    counts = np.bincount(labels.reshape(-1), minlength=256)
    counts[IGNORE_LABEL] = 0
    wrong = np.flatnonzero(counts[vocabulary.num_classes :]) + vocabulary.num_classes
    if wrong.size:
        raise DataError(
            f"{entry.get('sem_seg_file_name', entry['file_name'])}: label {wrong[0]} on {counts[wrong[0]]} pixels, but "
            f"{entry['dataset_name']} has {vocabulary.num_classes} classes (0 to {vocabulary.num_classes - 1}; 255 is ignored)"
        )


def draw_synonyms(batch: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A batch in which each class goes by a random one of its words, the same one in every image of the batch."""
    drawn: dict[Vocabulary, Vocabulary] = {}
    for entry in batch:
        vocabulary = entry["vocabulary"]
        if vocabulary not in drawn:
            words = [cls.words[np.random.randint(len(cls.words))] for cls in vocabulary.classes]
            pairs = zip(vocabulary.classes, words, strict=True)
            drawn[vocabulary] = Vocabulary(tuple(replace(cls, name=word, synonyms=()) for cls, word in pairs))
    return [{**entry, "vocabulary": drawn[entry["vocabulary"]]} for entry in batch]


def _size(image: NDArray) -> str:
    return f"{image.shape[1]} x {image.shape[0]} pixels"
