r"""What leaving out work costs in a data set's figures, and saves in time: the presets of --quality, or keys of your own.

    python tools/benchmark_quality.py --config-file mini --data scenes_val --images 20
    python tools/benchmark_quality.py --config-file configs/mini/isaid/aeroseg.yaml --weights model_final.pth \
        --compare best balanced fast "TEST.ROTATIONS [0]" "TEST.ROTATIONS [0] TEST.OVERLAP 0.0"

Every image is segmented in all settings by turns, as the demo does it, so that their times can be compared image by image: what
slows the computer slows all of them. A setting is a preset or KEY VALUE pairs in quotes, and the others are compared with the
first. Nothing is trained or tuned here.

  s-, u-, h-mIoU  of the seen and the unseen classes, and their harmonic mean, in percent; without such parts only mIoU
  same            share of the labelled pixels that are given the same class as by the first setting, right or wrong
  time            of the first setting's, median over the images, and the middle half of them
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from detectron2.config import CfgNode
from numpy.typing import NDArray
from tqdm import tqdm

from ovrs.config import load_config
from ovrs.data.loaders import dataset_dicts
from ovrs.data.mapper import SegmentationMapper
from ovrs.errors import ConfigError, OvrsError
from ovrs.evaluation.confusion import ConfusionMatrix
from ovrs.evaluation.metrics import mean_iou, split_means
from ovrs.inference.quality import QUALITIES
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


def parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config-file", default="mini", metavar="FILE")
    parser.add_argument("--weights", metavar="FILE", help="default: MODEL.WEIGHTS of the configuration")
    parser.add_argument("--data", metavar="NAME", help="with labels (default: the first of DATASETS.TEST)")
    parser.add_argument(
        "--compare", nargs="+", default=list(reversed(QUALITIES)), metavar="SETTING", help="default: %(default)s"
    )
    parser.add_argument("--images", type=int, default=0, help="so many, spread evenly over the data set; 0 = all")
    parser.add_argument("--others", nargs="+", default=[], metavar="PRESET", help="ready vocabularies, whose words compete too")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0 leaves PyTorch's choice")
    parser.add_argument("--markdown", action="store_true", help="print a table instead of JSON")
    parser.add_argument("--opts", nargs=argparse.REMAINDER, default=[], help="KEY VALUE pairs for all settings; must come last")
    return parser


def segmenters(args: argparse.Namespace) -> dict[str, Segmenter]:
    """The model in every setting."""
    loaded = {}
    for setting in args.compare:
        preset = setting in QUALITIES
        options = [*args.opts, *([] if preset else shlex.split(setting))]
        loaded[setting] = Segmenter.from_config(args.config_file, args.weights, options, quality=setting if preset else "best")
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


def measure(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Segment the images in all settings; the figures of each.

    Raises:
        OvrsError: a configuration, the weights or the data cannot be read.
    """
    cfg = load_config(args.config_file, args.opts)
    if not (args.data or cfg.DATASETS.TEST):
        raise ConfigError(f"{args.config_file} names no data set in DATASETS.TEST; give --data NAME")
    entries = chosen(cfg, args.data or cfg.DATASETS.TEST[0], args.images)
    read, models = SegmentationMapper(cfg, False), segmenters(args)
    tallies: dict[str, Tally] = {}
    options, seen = ReadOptions(nodata="none"), np.ones(0, dtype=bool)
    for number, entry in enumerate(tqdm(entries, disable=None)):
        sample = read(entry)
        image, truth = sample["image"].permute(1, 2, 0).numpy(), sample["sem_seg"].numpy()
        own: Vocabulary = sample["vocabulary"]
        vocabulary = with_others(own, args.others)
        if not number:
            tallies = {setting: Tally(ConfusionMatrix(own.num_classes)) for setting in models}
            seen = np.array([cls.seen for cls in own.classes])
            for model in models.values():  # reads the words, and warms up
                model.segment(image, vocabulary, options=options)
        first = None
        for setting, model in models.items():
            start = time.perf_counter()
            labels = model.segment(image, vocabulary, options=options).labels
            tallies[setting].seconds.append(time.perf_counter() - start)
            first = labels if first is None else first
            tallies[setting].same += int((labels == first)[truth != tallies[setting].confusion.ignore_label].sum())
            tallies[setting].confusion.add(truth, labels)
    of_first = next(iter(tallies.values()))
    return [tally.figures(setting, of_first, seen) for setting, tally in tallies.items()]


def table(reports: Sequence[dict[str, Any]]) -> str:
    """The figures as a table in Markdown."""
    means = [name for name in reports[0] if name.endswith("mIoU")]
    header = ["setting", *means, "same", "time", "middle half"]
    lines = [header, ["---", *["---:"] * (len(header) - 1)]]
    for figures in reports:
        low, high = figures["time_middle_half"]
        values = [f"{figures[name]:.1f}" for name in means]
        lines.append(
            [figures["setting"], *values, f"{figures['same']:.1f} %", f"{figures['time']:.2f}", f"{low:.2f} to {high:.2f}"]
        )
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0, or 2 with a line on standard error."""
    args = parser().parse_args(arguments)
    if args.threads:
        torch.set_num_threads(args.threads)
    try:
        reports = measure(args)
    except OvrsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(table(reports) if args.markdown else "\n".join(json.dumps(figures) for figures in reports))
    return 0


if __name__ == "__main__":
    sys.exit(main())
