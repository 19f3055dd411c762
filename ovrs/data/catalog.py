"""Detectron2's catalog: the rows of the table, and the data sets that users describe, as ``<name>_train`` and ``<name>_val``.

Files are looked for when a data set is asked for: those of the table under ``$DETECTRON2_DATASETS`` (``datasets`` where it is
not set), a user's own where the description says.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detectron2.data import DatasetCatalog, MetadataCatalog

from ovrs.data.captions import add_captions
from ovrs.data.description import TASKS, find_description, read_description, read_document
from ovrs.data.masks import MaskEncoding
from ovrs.data.referring.catalog import is_referring, referring_names, register_references
from ovrs.data.referring.description import described_references
from ovrs.data.refused import naming_file
from ovrs.data.root import data_root
from ovrs.data.sar.encoding import SarEncoding
from ovrs.data.table import DATA_SETS, DataSet, Layout, SceneSplit, Split
from ovrs.errors import ConfigError, DataError
from ovrs.vocabulary import Vocabulary


@dataclass(frozen=True)
class Registered:
    """One split of a data set; ``origin`` is the file that describes it, None where that is the table."""

    row: DataSet
    split: Split
    encoding: MaskEncoding
    origin: Path | None = None

    @property
    def place(self) -> Layout | SceneSplit:
        """Where its images and masks come from."""
        return self.row.splits[self.split]


_registered: dict[str, Registered] = {}


def list_files(known: Registered, layout: Layout) -> list[dict[str, Any]]:
    """Detectron2's dicts (``file_name``, ``sem_seg_file_name``) of a split, in the order of the file names.

    Where the data set has them also ``sar_file_names`` (the image's own file where its bands hold SAR), and
    ``description_file_name`` or ``description``. Whether masks and SAR files are there is not looked at.

    Raises:
        DataError: a folder is missing or holds no image, or descriptions are none.
    """
    root, title = data_root(), known.row.title
    images, masks = root / layout.images, root / layout.masks
    folders = [images, masks, *([root / layout.sar] if layout.sar else [])]
    for folder in folders:
        if not folder.is_dir():
            raise DataError(f"{title}: no folder {folder}{_way_out(known, layout)}")
    suffix = layout.image_suffix.lower()
    found = [path for path in images.iterdir() if path.name.lower().endswith(suffix) and not path.name.startswith(".")]
    found.sort(key=lambda path: path.name)  # paths themselves sort by the platform's rules, and hold_out counts places
    if not found:
        advice = "prepare the data set again" if known.origin is None else f"see image_suffix in {known.origin}"
        raise DataError(f"{title}: {images} holds no {layout.image_suffix} image; {advice}")
    found = [path for place, path in enumerate(found) if layout.takes(place, path.name)]
    if not found:
        raise DataError(f"{title}: hold_out leaves no image of {images} for {known.split}; see {known.origin}")
    stems = [path.name[: -len(suffix)] for path in found]
    entries: list[dict[str, Any]] = [
        {"file_name": str(path), "sem_seg_file_name": str(masks / f"{stem}{layout.mask_suffix}")}
        for path, stem in zip(found, stems, strict=True)
    ]
    if known.row.sar is not None:
        for entry, stem in zip(entries, stems, strict=True):
            beside = [str(root / layout.sar / f"{stem}{ending}") for ending in layout.sar_suffixes]
            entry["sar_file_names"] = beside or [entry["file_name"]]
    if layout.descriptions:
        add_captions(entries, root / layout.descriptions, stems)
    return entries


def _way_out(known: Registered, layout: Layout) -> str:
    if known.origin is not None:
        return f", which {known.origin} names under {known.split}"
    return (
        f"; put the data there (from {known.row.source}; datasets/README.md says how) "
        f"or set DETECTRON2_DATASETS to the folder that holds {Path(layout.images).parts[0]}"
    )


def list_entries(dataset_name: str) -> list[dict[str, Any]]:
    """The dicts of a registered data set, those without a mask file included.

    Raises:
        DataError: an unknown data set, a missing folder, or one without images.
    """
    vocabulary_of(dataset_name)
    known = _registered.get(dataset_name)
    if known is None:
        return DatasetCatalog.get(dataset_name)
    place = known.place
    return place.dicts() if isinstance(place, SceneSplit) else list_files(known, place)


def left_out(dataset_name: str) -> list[str]:
    """Names of the files in a split's image folder that are not read, since they end otherwise than its images do."""
    known = _registered.get(dataset_name)
    layout = known.place if known else None
    if not isinstance(layout, Layout) or not (folder := data_root() / layout.images).is_dir():
        return []
    suffix = layout.image_suffix.lower()
    names = (path.name for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    return sorted(name for name in names if not name.lower().endswith(suffix))


def load_split(dataset_name: str) -> list[dict[str, Any]]:
    """The dicts of a data set of the table or of a description, as Detectron2's catalog gives them.

    Raises:
        DataError: a folder is missing or holds no image, or an image has no mask or lacks a SAR file.
    """
    entries = list_entries(dataset_name)
    masks = [entry["sem_seg_file_name"] for entry in entries if "sem_seg_file_name" in entry]
    partners = [path for entry in entries for path in entry.get("sar_file_names", ())]
    for files, lacking_what in ((masks, "mask"), (partners, "SAR file")):
        if lacking := [file for file in files if not os.path.isfile(file)]:
            title = _registered[dataset_name].row.title
            count = f"{len(lacking)} of {len(entries)} images have no {lacking_what}"
            raise DataError(f"{title}: {count}, the first being {lacking[0]}")
    return entries


def task_of(dataset_name: str) -> str:
    """What a data set is for: ``referring`` where it holds sentences, else ``segmentation``.

    Raises:
        DataError: no such data set.
    """
    if dataset_name not in DatasetCatalog:
        raise DataError(
            f"unknown data set {dataset_name!r}; registered are {', '.join(sorted([*_registered, *referring_names()]))}"
        )
    return TASKS[is_referring(dataset_name)]


def vocabulary_of(dataset_name: str) -> Vocabulary:
    """The vocabulary of a registered data set; one that others registered needs ``stuff_classes`` in its metadata.

    Raises:
        DataError: no such data set, one that holds sentences, or its metadata names no classes.
    """
    if task_of(dataset_name) == "referring":
        raise DataError(f"data set {dataset_name!r} holds sentences and no classes; it is for DATASETS.TASK referring")
    metadata = MetadataCatalog.get(dataset_name)
    if hasattr(metadata, "vocabulary"):
        return metadata.vocabulary
    if hasattr(metadata, "stuff_classes"):
        return Vocabulary.from_names(metadata.stuff_classes)
    raise DataError(f"data set {dataset_name!r} has no class names: set stuff_classes in its metadata")


def encoding_of(dataset_name: str) -> MaskEncoding:
    """How the masks of a registered data set name its classes; labels from 0 where others registered it."""
    known = _registered.get(dataset_name)
    return known.encoding if known else MaskEncoding.of_labels(vocabulary_of(dataset_name).num_classes)


def sar_of(dataset_name: str) -> SarEncoding | None:
    """How the SAR partners of a registered data set's images are encoded; None where it has none in files."""
    known = _registered.get(dataset_name)
    return known.row.sar if known else None


def row_of(dataset_name: str) -> DataSet | None:
    """The row of a registered data set, of the table or of a description; None where others registered it."""
    known = _registered.get(dataset_name)
    return known.row if known else None


def registered() -> list[str]:
    """The names of the registered splits that have classes, of the table and of descriptions."""
    return list(_registered)


def register_files(paths: Iterable[str | os.PathLike[str]]) -> None:
    """Register the data sets that YAML files describe (``DATASETS.FILES``); a file read before is read again.

    Every process that reads a data set must call this: registrations are not inherited by processes that are spawned.

    Raises:
        ConfigError: a description cannot be read, or the name of its data set is taken.
    """
    for path in paths:
        origin = find_description(path).absolute()
        if read_document(origin).get("task") == "referring":
            with naming_file(origin):
                row = described_references(read_document(origin), origin)
            register_references(row, origin)
            continue
        description = read_description(origin)
        for split in description.row.splits:
            key = f"{description.row.name}_{split}"
            before = _registered.get(key)
            if key in DatasetCatalog and (before is None or before.origin != origin):
                by = f", described by {before.origin}" if before and before.origin else ""
                raise ConfigError(f"{path}: name is {description.row.name!r}; there is a data set {key} already{by}; rename it")
            _register(key, Registered(description.row, split, description.encoding, origin))


def _register(key: str, entry: Registered) -> None:
    if _registered.get(key) == entry:
        return
    if key in DatasetCatalog:
        DatasetCatalog.remove(key)
        MetadataCatalog.remove(key)
    _registered[key] = entry
    DatasetCatalog.register(key, functools.partial(load_split, key))
    MetadataCatalog.get(key).set(
        evaluator_type="sem_seg",
        ignore_label=entry.row.ignore_label,
        stuff_classes=list(entry.row.vocabulary.names),
        stuff_colors=entry.row.vocabulary.palette.tolist(),
        vocabulary=entry.row.vocabulary,
    )


def _register_table() -> None:
    for name, row in DATA_SETS.items():
        for split in row.splits:
            _register(f"{name}_{split}", Registered(row, split, MaskEncoding.of_labels(len(row.classes))))


_register_table()
