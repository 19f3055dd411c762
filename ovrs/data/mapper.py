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

from ovrs.data.augmentation import build_augmentations
from ovrs.data.catalog import encoding_of, sar_of, vocabulary_of
from ovrs.data.climate import ClimateText, build_climate_text
from ovrs.data.entries import read_entry, shown_size
from ovrs.data.folds import evaluated_classes, trained_classes
from ovrs.data.masks import MaskEncoding
from ovrs.data.sar.geometry import moved_as_image
from ovrs.data.table import IGNORE_LABEL
from ovrs.errors import ConfigError, DataError
from ovrs.vocabulary import Vocabulary, VocabularyClass


class SegmentationMapper:
    """Detectron2's mapper contract: a dict of a data set in, a dict for a model out.

    In: ``file_name`` and ``sem_seg_file_name``, or ``scene_seed``, ``scene_index`` and ``scene_size``; and ``dataset_name``,
    which says the vocabulary. Out: ``image`` uint8 [3, H, W] RGB, ``sem_seg`` int64 [H, W] (indices of ``vocabulary``, 255
    ignored), ``vocabulary``, ``height`` and ``width`` in pixels, ``file_name``; of a data set with SAR ``sar`` float32
    [S, H, W] (dB, or 0..255 where it says so; NaN where nothing was measured), of one with descriptions ``description``,
    what is said of the whole image ("" for nothing). Where a climate is to be told, ``description`` is that of the place, and
    ``vocabulary`` may hold a sentence for each class.

    Args:
        is_train: augment, and keep only the classes that ``train_classes`` names; otherwise the image stays as it is.
        augmentations: geometric ones change image, labels and SAR alike, those of colour the image only. A description stays
            what it is, also where a crop leaves out what it names.
        train_classes: ``all``, or ``seen``: labels of unseen classes become ignored, the others are renumbered.
        keep_synonyms: leave the classes their synonyms (to draw from, or to score by the best); otherwise the name alone.
        hidden: names of seen classes that a fold hides (see :mod:`ovrs.data.folds`).
        kept_gib: memory in GiB that drawn scenes may take in this process, those of other mappers included; at least 0.
        climate: says what belongs to the place of each image, in place of the data set's own descriptions; None says nothing.
    """

    @configurable
    def __init__(
        self,
        *,
        is_train: bool,
        augmentations: Sequence[T.Augmentation] = (),
        train_classes: str = "all",
        keep_synonyms: bool = False,
        hidden: Sequence[str] = (),
        kept_gib: float = 1.0,
        climate: ClimateText | None = None,
    ) -> None:
        if not kept_gib >= 0:
            raise ConfigError(f"DATASETS.SCENES.KEPT_GIB is {kept_gib}; give the memory in GiB, or 0 to keep no scene")
        if train_classes not in ("all", "seen"):
            raise ConfigError(f"DATASETS.TRAIN_CLASSES is {train_classes!r}; choose 'all' or 'seen'")
        self.is_train = is_train
        self.augmentations = T.AugmentationList(list(augmentations))
        self.train_classes = train_classes
        self.keep_synonyms = keep_synonyms
        self.hidden = tuple(hidden)
        self.kept_bytes = kept_gib * 2**30
        self.climate = climate

    @classmethod
    def from_config(cls, cfg: CfgNode, is_train: bool = True) -> dict[str, Any]:
        """The arguments that a configuration asks for."""
        if cfg.INPUT.FORMAT != "RGB":
            raise ConfigError(f"INPUT.FORMAT is {cfg.INPUT.FORMAT!r}; images are read as RGB")
        augmentations = configured_augmentations(cfg)
        return {
            "is_train": is_train,
            "augmentations": augmentations if is_train else [],
            "train_classes": cfg.DATASETS.TRAIN_CLASSES,
            "keep_synonyms": cfg.DATASETS.DRAW_SYNONYMS if is_train else cfg.DATASETS.TEST_SYNONYMS,
            "hidden": cfg.DATASETS.HIDDEN_CLASSES,
            "kept_gib": cfg.DATASETS.SCENES.KEPT_GIB,
            "climate": build_climate_text(cfg, is_train),
        }

    def __call__(self, entry: dict[str, Any]) -> dict[str, Any]:
        """Read, augment and renumber one entry.

        Raises:
            DataError: a file cannot be read, image and labels or SAR do not fit, or a label is no class of the data set.
            InputError: the climate zone of its place cannot be looked up.
        """
        own = vocabulary_of(entry["dataset_name"])
        encoding = encoding_of(entry["dataset_name"])
        read = read_entry(entry, encoding.kind, sar_of(entry["dataset_name"]), kept_bytes=self.kept_bytes)
        image, codes = read.image, read.codes
        if image.shape[:2] != codes.shape:
            raise DataError(f"{entry['file_name']} is {shown_size(image)}, but its labels are {shown_size(codes)}")
        labels, unknown = encoding.decode(codes)
        if unknown:
            raise unknown_codes(unknown, encoding, entry)
        choice = self.train_classes if self.is_train else "evaluated"
        vocabulary, table = renumbering(own, choice, synonyms=self.keep_synonyms, hidden=self.hidden)
        sample = T.AugInput(image, sem_seg=table[labels])
        transforms = self.augmentations(sample)
        image, labels = sample.image, sample.sem_seg
        description, vocabulary = self._told(entry, read.description, vocabulary)
        partners: dict[str, Any] = {} if description is None else {"description": description}
        if read.sar is not None:
            partners["sar"] = torch.from_numpy(moved_as_image(read.sar, transforms))
        return {
            "image": torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))),
            "sem_seg": torch.from_numpy(labels.astype(np.int64)),
            "vocabulary": vocabulary,
            "height": image.shape[0],
            "width": image.shape[1],
            "file_name": entry["file_name"],
            **partners,
        }

    def _told(self, entry: dict[str, Any], description: str | None, vocabulary: Vocabulary) -> tuple[str | None, Vocabulary]:
        """What is said of the image and of each class: by the climate of its place, where that is to be told."""
        if self.climate is None:
            return description, vocabulary
        names = [cls.name for cls in vocabulary.classes]
        told = self.climate.description(entry, names)
        said = self.climate.class_descriptions(entry, names)
        return description if told is None else told, vocabulary.with_class_descriptions(said) if said else vocabulary


def configured_augmentations(cfg: CfgNode) -> list[T.Augmentation]:
    """What ``INPUT`` asks for in training, in the order it is applied.

    Raises:
        ConfigError: a value that cannot work.
    """
    return build_augmentations(
        shortest_edges=cfg.INPUT.MIN_SIZE_TRAIN,
        sampling=cfg.INPUT.MIN_SIZE_TRAIN_SAMPLING,
        longest_edge=cfg.INPUT.MAX_SIZE_TRAIN,
        scale_jitter=cfg.INPUT.SCALE_JITTER,
        crop=cfg.INPUT.CROP_SIZE,
        crop_rare=cfg.INPUT.CROP_RARE,
        crop_max_area=cfg.INPUT.CROP_SINGLE_CATEGORY_MAX_AREA,
        flip=cfg.INPUT.FLIP,
        flip_vertical=cfg.INPUT.FLIP_VERTICAL,
        quarter_turns=cfg.INPUT.QUARTER_TURNS,
        color_jitter=cfg.INPUT.COLOR_JITTER,
        color_recipe=cfg.INPUT.COLOR_RECIPE,
        color_strength=cfg.INPUT.COLOR_STRENGTH,
        grey_share=cfg.INPUT.GREY_SHARE,
        erased_share=cfg.INPUT.ERASED_SHARE,
        erased_boxes=cfg.INPUT.ERASED_BOXES,
        erased_size=cfg.INPUT.ERASED_SIZE,
    )


@functools.lru_cache(maxsize=64)
def renumbering(
    own: Vocabulary, choice: str, *, synonyms: bool, hidden: tuple[str, ...] = ()
) -> tuple[Vocabulary, NDArray[np.uint8]]:
    """The classes in use of a data set's vocabulary, and uint8 [256] from old labels to new; 255 where a label is ignored.

    Args:
        choice: ``all`` or ``seen`` of them train, or they are ``evaluated``.
    """
    if choice == "evaluated":
        kept = evaluated_classes(own, hidden)
    else:
        kept = trained_classes(own, seen_only=choice == "seen", hidden=hidden)
    table = np.full(256, IGNORE_LABEL, dtype=np.uint8)
    table[list(kept)] = np.arange(len(kept))
    return replace(own, classes=tuple(cls if synonyms else replace(cls, synonyms=()) for cls in kept.values())), table


def unknown_codes(unknown: dict[int, int], encoding: MaskEncoding, entry: dict[str, Any]) -> DataError:
    """The error of a mask with codes that no class has; ``unknown`` says on how many pixels each is."""
    code, count = next(iter(unknown.items()))
    return DataError(
        f"{entry.get('sem_seg_file_name', entry['file_name'])}: {encoding.show(code)} on {count} pixels, but "
        f"{entry['dataset_name']} has {len(encoding.codes)} classes ({encoding.summary()})"
    )


def draw_synonyms(batch: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A batch in which each class goes by a random one of its words, the same one in every image of the batch."""
    drawn: dict[tuple[VocabularyClass, ...], tuple[VocabularyClass, ...]] = {}
    for entry in batch:
        classes = entry["vocabulary"].classes  # what is said of them may differ from image to image
        if classes not in drawn:
            words = [cls.words[np.random.randint(len(cls.words))] for cls in classes]
            drawn[classes] = tuple(replace(cls, name=word, synonyms=()) for cls, word in zip(classes, words, strict=True))
    return [
        {**entry, "vocabulary": replace(entry["vocabulary"], classes=drawn[entry["vocabulary"].classes])} for entry in batch
    ]
