"""Whether images, masks and classes fit together, found out before anything trains on them."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from detectron2.config import CfgNode
from numpy.typing import NDArray
from tqdm import tqdm

from ovrs.data.catalog import encoding_of, left_out, list_entries, register_files, sar_of, vocabulary_of
from ovrs.data.entries import read_entry
from ovrs.data.loaders import check_task, dataset_dicts
from ovrs.data.problems import SHOWN, Problem, common_sizes, problem_lines
from ovrs.data.referring.catalog import as_dict, read_split, registered_references
from ovrs.data.referring.check import ReferenceCheck, ReferenceFinding, look_at_reference
from ovrs.data.referring.table import ReferenceFile
from ovrs.data.sar.grids import PairError
from ovrs.data.table import IGNORE_LABEL
from ovrs.data.workers import worker_count
from ovrs.errors import ConfigError, DataError
from ovrs.vocabulary import Vocabulary

logger = logging.getLogger(__name__)

# What is looked at of each data set before every training, and of scenes, which are drawn and not prepared by anyone.
SPOT_CHECKS = 8

Found = TypeVar("Found")


@dataclass(frozen=True)
class Finding:
    """What one image and its partners hold.

    Attributes:
        size: width and height in pixels; None where they could not be read.
        counts: pixels of each label [256].
        problems: what is wrong.
        measured: share (0..1) of the pixels of which its SAR has a value; None without SAR.
        described: whether something is said of it; None where the data set describes none.
    """

    size: tuple[int, int] | None
    counts: NDArray[np.int64]
    problems: tuple[Problem, ...]
    measured: float | None = None
    described: bool | None = None


@dataclass
class DataCheck:
    """All findings of one data set, added up.

    Attributes:
        total: images there are; ``looked_at`` of them were looked at.
        sizes: how many images have each width and height.
        pixels: of each class, and last the ignored ones.
        images: in how many images each class occurs.
        leaking: unseen classes of which a training nevertheless sees labels.
        left_out: files among the images that are not read; a note, since a folder may serve other ends too.
        measured: of each image with SAR, the share of pixels that has a value.
        described: of each image of a data set with descriptions, whether it has one.
    """

    name: str
    vocabulary: Vocabulary
    leaking: tuple[str, ...] = ()
    left_out: list[str] = field(default_factory=list)
    total: int = 0
    looked_at: int = 0
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    problems: list[Problem] = field(default_factory=list)
    measured: list[float] = field(default_factory=list)
    described: list[bool] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.pixels = np.zeros(self.vocabulary.num_classes + 1, dtype=np.int64)
        self.images = np.zeros(self.vocabulary.num_classes, dtype=np.int64)

    def add(self, finding: Finding) -> None:
        """Count one image in."""
        classes = finding.counts[: self.vocabulary.num_classes]
        self.looked_at += 1
        if finding.size is not None:
            self.sizes[finding.size] += 1
        self.pixels += np.append(classes, finding.counts[IGNORE_LABEL])
        self.images += classes > 0
        self.problems.extend(finding.problems)
        self.measured += [] if finding.measured is None else [finding.measured]
        self.described += [] if finding.described is None else [finding.described]

    @property
    def absent(self) -> list[str]:
        """The classes of which there is no pixel."""
        return [name for name, count in zip(self.vocabulary.names, self.images, strict=False) if not count]

    def report(self) -> str:
        """The sizes, a line a class, and the problems, for a terminal."""
        lines = [f"{self.name}: {self.total:,} images{self._sample()}{common_sizes(self.sizes)}"]
        if self.sizes:
            lines += self._class_lines()
            if self.absent:
                lines.append(f"  never occurs: {', '.join(self.absent)}")
        if self.measured:
            lines.append(f"  SAR of {len(self.measured):,} images, measured in {np.mean(self.measured):.2%} of their pixels")
        if self.described:
            lines.append(f"  descriptions of {sum(self.described):,} of {len(self.described):,} images")
        if self.leaking:
            lines.append(f"  {_leak(self.leaking)}")
        if self.left_out:
            shown = ", ".join(self.left_out[:SHOWN]) + (", ..." if len(self.left_out) > SHOWN else "")
            lines.append(f"  left out, since they end otherwise than the images: {len(self.left_out):,} files ({shown})")
        return "\n".join([*lines, *problem_lines(self.problems)])

    def _sample(self) -> str:
        return f", {self.looked_at} of them looked at" if self.looked_at < self.total else ""

    def _class_lines(self) -> Iterator[str]:
        width = max(len("(ignored)"), *(len(name) for name in self.vocabulary.names))
        total = max(int(self.pixels.sum()), 1)
        yield f"  {'class':<{width}}  {'':6}  {'images':>9}  {'pixels':>15}  {'share':>8}"
        for cls, images, pixels in zip(self.vocabulary.classes, self.images, self.pixels, strict=False):
            seen = "seen" if cls.seen else "unseen"
            yield f"  {cls.name:<{width}}  {seen:6}  {images:>9,}  {pixels:>15,}  {pixels / total:>8.2%}"
        yield f"  {'(ignored)':<{width}}  {'':6}  {'':>9}  {self.pixels[-1]:>15,}  {self.pixels[-1] / total:>8.2%}"


def check_data(cfg: CfgNode) -> list[DataCheck | ReferenceCheck]:
    """Look at every image and mask of ``DATASETS.TRAIN`` and ``DATASETS.TEST``, in ``DATALOADER.NUM_WORKERS`` processes.

    Of procedural scenes only a few are looked at. Problems are gathered, not raised.

    Raises:
        ConfigError: the configuration names no data set, one that is not for ``DATASETS.TASK``, or a description in
            ``DATASETS.FILES`` is wrong.
        DataError: an unknown data set.
    """
    names = _names(cfg)
    if not names:
        raise ConfigError("neither DATASETS.TRAIN nor DATASETS.TEST names a data set")
    register_files(cfg.DATASETS.FILES)
    for name in names:
        check_task(cfg, name)
    look_through = _check_references if cfg.DATASETS.TASK == "referring" else _check_data_set
    return [look_through(cfg, name) for name in names]


def spot_check(cfg: CfgNode) -> None:
    """Look at a few images and masks of each data set, those that a training would begin to fail on after an hour.

    A warning names unseen classes of which training sees labels.

    Raises:
        DataError: the first problem, by file and value.
    """
    for name in _names(cfg):
        entries = dataset_dicts(cfg, name)
        look: Callable[[dict[str, Any]], Finding | ReferenceFinding] = look_at
        if cfg.DATASETS.TASK == "referring":
            look = look_at_reference
        elif leaking := _leaking(cfg, name):
            logger.warning("%s: %s", name, _leak(leaking))
        if "scene_seed" in entries[0]:
            continue
        for entry in _spread(entries):
            for problem in look(entry).problems:
                raise DataError(f"{name}: {problem.kind}: {problem.text}; train_net.py --check-data looks at all files")


def look_at(entry: dict[str, Any]) -> Finding:
    """Read one image and its mask as training would, and say what they hold."""
    name, mask = entry["dataset_name"], entry.get("sem_seg_file_name", entry["file_name"])
    counts = np.zeros(256, dtype=np.int64)
    if "sem_seg_file_name" in entry and not os.path.isfile(mask):
        return Finding(None, counts, (Problem("image without mask", f"{entry['file_name']}: no {mask}"),))
    if lacking := [path for path in entry.get("sar_file_names", ()) if not os.path.isfile(path)]:
        return Finding(None, counts, (Problem("image without SAR", f"{entry['file_name']}: no {' and no '.join(lacking)}"),))
    encoding = encoding_of(name)
    try:
        read = read_entry(entry, encoding.kind, sar_of(name))
    except PairError as error:
        return Finding(None, counts, (Problem("image and SAR on different grids", str(error)),))
    except DataError as error:
        return Finding(None, counts, (Problem("file that cannot be read", str(error)),))
    image, codes = read.image, read.codes
    labels, unknown = encoding.decode(codes)
    problems = [
        Problem("value that no class has", f"{mask}: {encoding.show(code)} on {count:,} pixels (known: {encoding.summary()})")
        for code, count in unknown.items()
    ]
    size = image.shape[1], image.shape[0]
    if codes.shape != image.shape[:2]:
        sizes = f"{size[0]} x {size[1]} pixels, its mask {codes.shape[1]} x {codes.shape[0]}"
        problems.append(Problem("image and mask of different size", f"{entry['file_name']}: {sizes}"))
    measured = None if read.sar is None else 1.0 - float(np.isnan(read.sar).all(axis=0).mean())
    if measured == 0.0:
        problems.append(Problem("SAR without any measurement", f"{entry['file_name']}: {' '.join(entry['sar_file_names'])}"))
    described = None if read.description is None else bool(read.description)
    return Finding(size, np.bincount(labels.reshape(-1), minlength=256), tuple(problems), measured, described)


def _names(cfg: CfgNode) -> list[str]:
    return list(dict.fromkeys((*cfg.DATASETS.TRAIN, *cfg.DATASETS.TEST)))


def _leaking(cfg: CfgNode, name: str) -> tuple[str, ...]:
    """The unseen classes of a training set whose labels the configuration leaves in."""
    if name not in cfg.DATASETS.TRAIN or cfg.DATASETS.TRAIN_CLASSES != "all":
        return ()
    return tuple(cls.name for cls in vocabulary_of(name).classes if not cls.seen)


def _leak(names: Sequence[str]) -> str:
    return f"trained on, though called unseen: {', '.join(names)} (DATASETS.TRAIN_CLASSES is all; seen hides their labels)"


def _check_data_set(cfg: CfgNode, name: str) -> DataCheck:
    check = DataCheck(name, vocabulary_of(name), _leaking(cfg, name))
    try:
        entries = [{**entry, "dataset_name": name} for entry in list_entries(name)]
    except DataError as error:
        check.problems.append(Problem("no files", str(error)))
        return check
    check.left_out = left_out(name)
    if entries and "scene_seed" in entries[0]:
        entries = dataset_dicts(cfg, name)
        check.total, entries = len(entries), _spread(entries)
    else:
        check.total = len(entries)
    with _mapped(cfg, look_at, entries) as findings:
        for finding in tqdm(findings, total=len(entries), desc=name, unit="image"):
            check.add(finding)
    return check


def _check_references(cfg: CfgNode, name: str) -> ReferenceCheck:
    check, known = ReferenceCheck(name), registered_references(name)
    try:
        if known and isinstance(known.place, ReferenceFile):  # also those whose files are missing
            read = read_split(name)
            entries, check.unread = [as_dict(entry) for entry in read.entries], read.unread
        else:
            entries = dataset_dicts(cfg, name)
    except DataError as error:
        check.problems.append(Problem("no references", str(error)))
        return check
    check.total = len(entries)
    if "scene_seed" in entries[0]:
        entries = _spread(entries)
    with _mapped(cfg, look_at_reference, entries) as findings:
        for finding in tqdm(findings, total=len(entries), desc=name, unit="reference"):
            check.add(finding)
    return check


@contextmanager
def _mapped(cfg: CfgNode, look: Callable[[dict[str, Any]], Found], entries: list[dict[str, Any]]) -> Iterator[Iterable[Found]]:
    """The findings of all entries, in order, by as many processes as load data in training."""
    processes = min(worker_count(cfg), len(entries) // SPOT_CHECKS)
    if processes < 2:
        yield map(look, entries)
        return
    files = tuple(cfg.DATASETS.FILES)
    with ProcessPoolExecutor(processes, initializer=register_files, initargs=(files,)) as pool:
        yield pool.map(look, entries, chunksize=SPOT_CHECKS)


def _spread(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A few entries, evenly spread from the first to the last."""
    places = np.linspace(0, len(entries) - 1, min(SPOT_CHECKS, len(entries))).round().astype(int)
    return [entries[place] for place in places.tolist()]
