"""From a reference to what a referring system takes: the image, one sentence and the mask of what it means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from detectron2.config import CfgNode, configurable
from detectron2.data import transforms as T
from fvcore.transforms.transform import HFlipTransform, VFlipTransform
from numpy.typing import NDArray

from ovrs.data.augmentation import QuarterTurnTransform, RandomQuarterTurn
from ovrs.data.crops import RandomSquareCrop
from ovrs.data.mapper import configured_augmentations
from ovrs.data.referring.attributes import attributes_of
from ovrs.data.referring.directions import Move, UnmovableError, is_moved_by, moved
from ovrs.data.referring.reading import read_files
from ovrs.data.referring.scenes import drawn_scene
from ovrs.errors import ConfigError


class ReferringMapper:
    """Detectron2's mapper contract for referring segmentation.

    In: see :func:`ovrs.data.referring.catalog.load_references`. Out: ``image`` uint8 [3, H, W] RGB, ``expression``, ``mask``
    bool [H, W], ``category`` (None where it is not known), ``attributes`` (those of the data set, else found in the words of
    the sentence), ``height`` and ``width`` in pixels, ``file_name``, ``sample_id``.

    In training one of the sentences of a reference is drawn, and the image is augmented; otherwise the first sentence is taken
    and the image stays as it is. Crops are refused: they take away what a sentence compares with, or the thing itself.

    Args:
        is_train: augment.
        augmentations: geometric ones change image and mask alike.
        flip_words: change words of direction along with an image that is mirrored or turned. An image whose sentence has
            directions that cannot be changed is neither mirrored nor turned. Otherwise a sentence with words of direction
            must not meet an augmentation that moves them.
        kept_gib: memory in GiB that drawn scenes may take in this process; at least 0.

    Raises:
        ConfigError: augmentations with a crop, or a negative ``kept_gib``.
    """

    @configurable
    def __init__(
        self,
        *,
        is_train: bool,
        augmentations: Sequence[T.Augmentation] = (),
        flip_words: bool = False,
        kept_gib: float = 1.0,
    ) -> None:
        if not kept_gib >= 0:
            raise ConfigError(f"DATASETS.SCENES.KEPT_GIB is {kept_gib}; give the memory in GiB, or 0 to keep no scene")
        crops = [step for step in augmentations if isinstance(step, RandomSquareCrop | T.CropTransform | T.RandomCrop)]
        if crops:
            raise ConfigError(
                "INPUT.CROP_SIZE: a crop makes sentences untrue ('the leftmost ship', 'the largest one'); set it to 0, and "
                "INPUT.MIN_SIZE_TRAIN to the size that training should see"
            )
        self.is_train = is_train
        self.augmentations = T.AugmentationList(list(augmentations))
        self.still = T.AugmentationList([step for step in augmentations if not _moves_of(step)])
        self.moves: tuple[Move, ...] = tuple(dict.fromkeys(move for step in augmentations for move in _moves_of(step)))
        self.flip_words = flip_words
        self.kept_bytes = kept_gib * 2**30

    @classmethod
    def from_config(cls, cfg: CfgNode, is_train: bool = True) -> dict[str, Any]:
        """The arguments that a configuration asks for."""
        if cfg.INPUT.FORMAT != "RGB":
            raise ConfigError(f"INPUT.FORMAT is {cfg.INPUT.FORMAT!r}; images are read as RGB")
        return {
            "is_train": is_train,
            "augmentations": configured_augmentations(cfg) if is_train else [],
            "flip_words": cfg.INPUT.FLIP_WORDS,
            "kept_gib": cfg.DATASETS.SCENES.KEPT_GIB,
        }

    def __call__(self, entry: dict[str, Any]) -> dict[str, Any]:
        """Read and augment one entry.

        Raises:
            ConfigError: an augmentation would make the sentence untrue.
            DataError: a file cannot be read, or sizes of image and mask differ.
        """
        image, mask, sentence, category = self._read(entry)
        sample = T.AugInput(image, sem_seg=mask.astype(np.uint8))
        transforms = self._augmentations_for(sentence, entry)(sample)
        sentence = moved(sentence, _moves_made(transforms))
        image, attributes = sample.image, entry.get("attributes")
        return {
            "image": torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))),
            "expression": sentence,
            "mask": torch.from_numpy(sample.sem_seg.astype(bool)),
            "category": category,
            "attributes": attributes_of(sentence, category) if attributes is None else tuple(attributes),
            "height": image.shape[0],
            "width": image.shape[1],
            "file_name": entry["file_name"],
            "sample_id": entry["sample_id"],
        }

    def refuse_untrue(self, entries: Sequence[dict[str, Any]]) -> None:
        """Look for sentences that an augmentation would make untrue, before a training meets them.

        Raises:
            ConfigError: there are some; names the first and says how many.
        """
        if self.flip_words or not self.moves:
            return
        said = [(sentence, entry) for entry in entries for sentence in entry.get("expressions", ())]
        untrue = [(sentence, entry) for sentence, entry in said if is_moved_by(sentence, self.moves)]
        if untrue:
            raise _untrue(*untrue[0], f"{len(untrue):,} of {len(said):,} sentences name")

    def _read(self, entry: dict[str, Any]) -> tuple[NDArray[np.uint8], NDArray[np.bool_], str, str | None]:
        """Image [H, W, 3], mask [H, W], sentence and category; of several sentences one is drawn in training."""
        if "scene_seed" in entry:
            scene = drawn_scene(entry, self.kept_bytes)
            place = np.random.randint(len(scene.expressions)) if self.is_train else scene.asked
            sentence, number, category = scene.expressions[place]
            return scene.image, scene.instances == number, sentence, category
        image, mask = read_files(entry)
        sentences = entry["expressions"]
        sentence = sentences[np.random.randint(len(sentences)) if self.is_train and len(sentences) > 1 else 0]
        return image, mask, sentence, entry.get("category")

    def _augmentations_for(self, sentence: str, entry: dict[str, Any]) -> T.AugmentationList:
        if not self.moves or not is_moved_by(sentence, self.moves):
            return self.augmentations
        if not self.flip_words:
            raise _untrue(sentence, entry, "its sentence names")
        try:
            for move in self.moves:
                moved(sentence, [move])
        except UnmovableError:
            return self.still
        return self.augmentations


def _untrue(sentence: str, entry: dict[str, Any], count: str) -> ConfigError:
    return ConfigError(
        f"INPUT.FLIP or INPUT.QUARTER_TURNS: {entry['file_name']}: {count} a direction ({sentence!r}), which is untrue of a "
        "mirrored or turned image; set both to False, or INPUT.FLIP_WORDS to True to change the words with the image"
    )


def _moves_of(step: T.Augmentation) -> tuple[Move, ...]:
    """The moves that an augmentation may make."""
    if isinstance(step, RandomQuarterTurn):
        return ("turn",)
    if isinstance(step, T.RandomFlip):
        return ("mirror",) if step.horizontal else ("overturn",)
    return ()


def _moves_made(transforms: T.TransformList) -> list[Move]:
    """The moves that were made, in their order."""
    made: list[Move] = []
    for step in transforms.transforms:
        if isinstance(step, HFlipTransform):
            made.append("mirror")
        elif isinstance(step, VFlipTransform):
            made.append("overturn")
        elif isinstance(step, QuarterTurnTransform):
            made += ["turn"] * step.turns
    return made
