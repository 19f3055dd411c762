"""What settings that leave out work cost in a data set's figures, and save in time: images are segmented in all by turns."""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np
from detectron2.config import CfgNode
from numpy.typing import NDArray
from tqdm import tqdm

from ovrs.config import load_config
from ovrs.data.loaders import dataset_dicts
from ovrs.data.mapper import SegmentationMapper
from ovrs.errors import ConfigError
from ovrs.evaluation.confusion import ConfusionMatrix
from ovrs.evaluation.metrics import mean_iou, split_means
from ovrs.inference.quality import QUALITIES, QualityName
from ovrs.inference.reading import ReadOptions
from ovrs.inference.segmenter import Segmenter
from ovrs.vocabulary import Vocabulary, VocabularyClass, normalized


@dataclass
class Tally:
    """What one setting did so far: seconds of each image, and labelled pixels whose class is that of the first setting."""

    confusion: ConfusionMatrix
    seconds: list[float] = field(default_factory=list)
    same: int = 0

    def figures(self, setting: str, first: Tally, seen: NDArray[np.bool_]) -> dict[str, Any]:
        """A line of the table."""
        counts = self.confusion.counts
        parts = {} if seen.all() or not seen.any() else split_means(counts, seen, "present")
        means = {**parts, "mIoU": mean_iou(counts, "present")}
        ratios = np.array(self.seconds) / np.array(first.seconds)
        low, middle, high = (round(float(value), 3) for value in np.quantile(ratios, (0.25, 0.5, 0.75)))
        return {
            "setting": setting,
            **{name: round(value, 2) for name, value in means.items()},
            "same": round(100 * self.same / max(int(counts.sum()), 1), 2),
            "time": middle,
            "time_middle_half": [low, high],
            "seconds": round(float(np.median(self.seconds)), 3),
            "images": len(self.seconds),
        }


def segmenters(config_file: str, weights: str | None, settings: Sequence[str], options: Sequence[str]) -> dict[str, Segmenter]:
    """The model in every setting."""
    loaded = {}
    for setting in settings:
        preset = setting in QUALITIES
        own = [*options, *([] if preset else shlex.split(setting))]
        loaded[setting] = Segmenter.from_config(
            config_file, weights, own, quality=cast(QualityName, setting) if preset else "best"
        )
    return loaded


def chosen(cfg: CfgNode, name: str, images: int) -> list[dict[str, Any]]:
    """The data set's entries, or so many of them at even distances."""
    entries = dataset_dicts(cfg, name)
    if not 0 < images < len(entries):
        return entries
    return [entries[round(place * len(entries) / images)] for place in range(images)]


def with_others(vocabulary: Vocabulary, presets: Sequence[str]) -> Vocabulary:
    """The vocabulary and behind it the names of ready ones that it does not hold."""
    found = {normalized(name): cls for cls in vocabulary.classes for name in cls.words}
    others: dict[str, VocabularyClass] = {}
    for preset in presets:
        for cls in Vocabulary.preset(preset).classes:
            if normalized(cls.name) not in found:
                others.setdefault(normalized(cls.name), VocabularyClass(cls.name))
    return replace(vocabulary, classes=(*vocabulary.classes, *others.values()))


def measure(
    config_file: str,
    weights: str | None,
    settings: Sequence[str],
    *,
    data: str | None = None,
    images: int = 0,
    others: Sequence[str] = (),
    options: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """Segment images in all settings; the figures of each.

    Args:
        config_file, weights: as for :meth:`~ovrs.inference.segmenter.Segmenter.from_config`.
        settings: presets, or KEY VALUE pairs.
        data: a data set with labels; None = the first of ``DATASETS.TEST``.
        images: so many of it, spread evenly; 0 = all.
        others: ready vocabularies, whose words compete too.
        options: KEY VALUE pairs for all settings.

    Raises:
        OvrsError: a configuration, the weights or the data cannot be read.
    """
    cfg = load_config(config_file, options)
    if not (data or cfg.DATASETS.TEST):
        raise ConfigError(f"{config_file} names no data set in DATASETS.TEST; give --data NAME")
    entries = chosen(cfg, data or cfg.DATASETS.TEST[0], images)
    read, models = SegmentationMapper(cfg, False), segmenters(config_file, weights, settings, options)
    tallies: dict[str, Tally] = {}
    reading, seen = ReadOptions(nodata="none"), np.ones(0, dtype=bool)
    for number, entry in enumerate(tqdm(entries, disable=None)):
        sample = read(entry)
        image, truth = sample["image"].permute(1, 2, 0).numpy(), sample["sem_seg"].numpy()
        own: Vocabulary = sample["vocabulary"]
        vocabulary = with_others(own, others)
        if not number:
            tallies = {setting: Tally(ConfusionMatrix(own.num_classes)) for setting in models}
            seen = np.array([cls.seen for cls in own.classes])
            for model in models.values():  # reads the words, and warms up
                model.segment(image, vocabulary, options=reading)
        first = None
        for setting, model in models.items():
            start = time.perf_counter()
            labels = model.segment(image, vocabulary, options=reading).labels
            tallies[setting].seconds.append(time.perf_counter() - start)
            first = labels if first is None else first
            tallies[setting].same += int((labels == first)[truth != tallies[setting].confusion.ignore_label].sum())
            tallies[setting].confusion.add(truth, labels)
    of_first = next(iter(tallies.values()))
    return [tally.figures(setting, of_first, seen) for setting, tally in tallies.items()]
