"""Detectron2's catalog of referring data sets: those of the table, and those that users describe."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detectron2.data import DatasetCatalog, MetadataCatalog

from ovrs.data.referring.lines import Reference, References, read_references
from ovrs.data.referring.scenes import scene_references
from ovrs.data.referring.table import REFERRING_SETS, ReferenceFile, ReferringSet, ReferringSplit
from ovrs.data.root import data_root
from ovrs.data.table import SceneSplit
from ovrs.errors import ConfigError, DataError

# What Detectron2's metadata call the kind of evaluation that these sets ask for.
EVALUATOR_TYPE = "referring"


@dataclass(frozen=True)
class RegisteredReferences:
    """One split of a referring data set; ``origin`` is the file that describes it, None where that is the table."""

    row: ReferringSet
    split: ReferringSplit
    origin: Path | None = None

    @property
    def place(self) -> ReferenceFile | SceneSplit:
        """Where its references come from."""
        return self.row.splits[self.split]

    @property
    def file(self) -> Path:
        """Its file of references."""
        assert isinstance(self.place, ReferenceFile), f"{self.row.name} is drawn"
        return data_root() / self.place.path


_registered: dict[str, RegisteredReferences] = {}


def is_referring(dataset_name: str) -> bool:
    """Whether a data set of Detectron2's catalog, ours or another's, holds sentences with masks."""
    return dataset_name in DatasetCatalog and getattr(MetadataCatalog.get(dataset_name), "evaluator_type", "") == EVALUATOR_TYPE


def registered_references(dataset_name: str) -> RegisteredReferences | None:
    """The row and split of a referring data set of the table or of a description; None for any other."""
    return _registered.get(dataset_name)


def referring_names() -> list[str]:
    """The names of the splits that are registered here."""
    return list(_registered)


def register_references(row: ReferringSet, origin: Path | None = None) -> None:
    """Register the splits of a referring data set.

    Raises:
        ConfigError: there is a data set of that name.
    """
    for split in row.splits:
        key, entry = f"{row.name}_{split}", RegisteredReferences(row, split, origin)
        before = _registered.get(key)
        if key in DatasetCatalog and (before is None or before.origin != origin):
            raise ConfigError(f"{origin}: name is {row.name!r}; there is a data set {key} already; rename it")
        if before == entry:
            continue
        if before:
            DatasetCatalog.remove(key)
            MetadataCatalog.remove(key)
        _registered[key] = entry
        DatasetCatalog.register(key, functools.partial(load_references, key))
        MetadataCatalog.get(key).set(evaluator_type=EVALUATOR_TYPE)


def read_split(dataset_name: str) -> References:
    """The references of a split that comes from a file, whether or not their images and masks are there.

    Raises:
        DataError: the file is missing, see :func:`~ovrs.data.referring.lines.read_references`, or has none of this split.
    """
    known = _registered[dataset_name]
    place, file = known.place, known.file
    assert isinstance(place, ReferenceFile)
    if not file.is_file():
        raise DataError(f"{known.row.title}: no file {file}{_way_out(known)}")
    read = read_references(file, file.parent if place.root is None else data_root() / place.root)
    unsaid = next((entry for entry in read.entries if place.shared and entry.split is None), None)
    if unsaid:
        raise DataError(
            f"{file}, {unsaid.name}: split is missing; the file is named for several splits, so each must say its own"
        )
    chosen = tuple(entry for entry in read.entries if entry.split in (None, known.split))
    if not chosen:
        others = ", ".join(sorted({str(entry.split) for entry in read.entries}))
        raise DataError(f"{file}: no reference is of split {known.split!r}; there are {others}")
    return References(chosen, read.unread)


def load_references(dataset_name: str) -> list[dict[str, Any]]:
    """The dicts of a referring data set, as Detectron2's catalog gives them: one for each thing, with all its sentences.

    Keys: ``file_name``, ``mask_file_name`` or ``polygons``, ``expressions``, ``category``, ``attributes`` (None where the file
    does not say), ``sample_id``. Those of scenes name ``scene_seed``, ``scene_index``, ``scene_size`` and ``scene_step``.

    Raises:
        DataError: see :func:`read_split`; or an image or a mask is not there.
    """
    place = _registered[dataset_name].place
    if isinstance(place, SceneSplit):
        return scene_references(place)
    found = read_split(dataset_name).entries
    files = dict.fromkeys(path for entry in found for path in (entry.image, entry.mask) if path)
    lacking = [path for path in files if not path.is_file()]
    if lacking:
        file = _registered[dataset_name].file
        raise DataError(f"{file}: {len(lacking)} of {len(files)} images and masks are not there, the first being {lacking[0]}")
    return [as_dict(entry) for entry in found]


def as_dict(reference: Reference) -> dict[str, Any]:
    """A reference in the form of Detectron2's catalog."""
    mask = {"mask_file_name": str(reference.mask)} if reference.mask else {"polygons": reference.rings}
    return {
        "file_name": str(reference.image),
        **mask,
        "expressions": reference.sentences,
        "category": reference.category,
        "attributes": reference.attributes,
        "sample_id": reference.name,
    }


def one_sentence_each(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The dicts with one sentence in each, so that evaluation asks all of them; scenes stay, having one each."""
    found = []
    for entry in entries:
        sentences = entry.get("expressions", ())
        if len(sentences) < 2:
            found.append(entry)
            continue
        for number, sentence in enumerate(sentences, 1):
            found.append({**entry, "expressions": (sentence,), "sample_id": f"{entry['sample_id']}, sentence {number}"})
    return found


def _way_out(known: RegisteredReferences) -> str:
    if known.origin is not None:
        return f", which {known.origin} names under {known.split}"
    return f"; prepare the data set (from {known.row.source}; datasets/README.md says how) or set DETECTRON2_DATASETS"


for _row in REFERRING_SETS.values():
    register_references(_row)
