"""Detectron2's catalog: every row of the table registered as ``<name>_train`` and ``<name>_val``.

Files are looked for under ``$DETECTRON2_DATASETS`` (``datasets`` where it is not set) when a data set is asked for.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import Any

from detectron2.data import DatasetCatalog, MetadataCatalog

from ovrs.data.table import DATA_SETS, DataSet, Layout, SceneSplit, Split
from ovrs.errors import DataError
from ovrs.vocabulary import Vocabulary


def data_root() -> Path:
    """The folder of all data sets: ``$DETECTRON2_DATASETS``, or ``datasets``."""
    return Path(os.environ.get("DETECTRON2_DATASETS", "datasets"))


def load_files(row: DataSet, layout: Layout, root: Path) -> list[dict[str, Any]]:
    """Detectron2's dicts (``file_name``, ``sem_seg_file_name``) of a split, in the order of the file names.

    Raises:
        DataError: a folder is missing or holds no image, or an image has no mask.
    """
    images, masks = root / layout.images, root / layout.masks
    for folder in (images, masks):
        if not folder.is_dir():
            raise DataError(
                f"{row.title}: no folder {folder}; put the data there (from {row.source}; datasets/README.md says how) "
                f"or set DETECTRON2_DATASETS to the folder that holds {Path(layout.images).parts[0]}"
            )
    found = sorted(path for path in images.iterdir() if path.suffix.lower() == layout.image_suffix)
    if not found:
        raise DataError(f"{row.title}: {images} holds no {layout.image_suffix} image; prepare the data set again")
    pairs = [(path, masks / f"{path.stem}{layout.mask_suffix}") for path in found]
    lacking = [mask for _, mask in pairs if not mask.is_file()]
    if lacking:
        raise DataError(f"{row.title}: {len(lacking)} of {len(pairs)} images have no mask, the first being {lacking[0]}")
    return [{"file_name": str(image), "sem_seg_file_name": str(mask)} for image, mask in pairs]


def scene_dicts(split: SceneSplit) -> list[dict[str, Any]]:
    """A dict per procedural scene: it names the scene's seed, index and size instead of files."""
    return [
        {
            "file_name": f"scene-{split.seed}-{index:05d}",
            "scene_seed": split.seed,
            "scene_index": index,
            "scene_size": split.image_size,
        }
        for index in range(split.size)
    ]


def load_split(name: str, split: Split) -> list[dict[str, Any]]:
    """The dicts of one split of a row of the table, as Detectron2's catalog gives them."""
    row = DATA_SETS[name]
    place = row.splits[split]
    return scene_dicts(place) if isinstance(place, SceneSplit) else load_files(row, place, data_root())


def vocabulary_of(dataset_name: str) -> Vocabulary:
    """The vocabulary of a registered data set; one that others registered needs ``stuff_classes`` in its metadata.

    Raises:
        DataError: no such data set, or its metadata names no classes.
    """
    if dataset_name not in DatasetCatalog:
        raise DataError(f"unknown data set {dataset_name!r}; registered are {', '.join(sorted(registered()))}")
    metadata = MetadataCatalog.get(dataset_name)
    if hasattr(metadata, "vocabulary"):
        return metadata.vocabulary
    if hasattr(metadata, "stuff_classes"):
        return Vocabulary.from_names(metadata.stuff_classes)
    raise DataError(f"data set {dataset_name!r} has no class names: set stuff_classes in its metadata")


def registered() -> list[str]:
    """The names under which the rows of the table are registered."""
    return [f"{name}_{split}" for name, row in DATA_SETS.items() for split in row.splits]


def _register() -> None:
    for name, row in DATA_SETS.items():
        for split in row.splits:
            key = f"{name}_{split}"
            if key in DatasetCatalog:
                continue
            DatasetCatalog.register(key, functools.partial(load_split, name, split))
            MetadataCatalog.get(key).set(
                evaluator_type="sem_seg",
                ignore_label=row.ignore_label,
                stuff_classes=list(row.vocabulary.names),
                stuff_colors=row.vocabulary.palette.tolist(),
                vocabulary=row.vocabulary,
            )


_register()
