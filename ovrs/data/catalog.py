"""The table of data sets: a row each, registered with Detectron2 as ``<name>_train`` and ``<name>_val``.

Files are looked for under ``$DETECTRON2_DATASETS`` (``datasets`` where it is not set) when a data set is asked for.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from detectron2.data import DatasetCatalog, MetadataCatalog

from ovrs.data.scenes.classes import SCENE_CLASSES
from ovrs.errors import DataError
from ovrs.vocabulary import Vocabulary, VocabularyClass

Split = Literal["train", "val"]
SPLITS: tuple[Split, ...] = ("train", "val")

# The label of a pixel that counts neither in training nor in evaluation.
IGNORE_LABEL = 255


@dataclass(frozen=True)
class Layout:
    """Where the files of one split are, relative to the root of all data sets; an image and its mask share their stem."""

    images: str
    masks: str
    image_suffix: str = ".png"
    mask_suffix: str = ".png"


@dataclass(frozen=True)
class SceneSplit:
    """A split without files: ``size`` scenes of ``image_size`` pixels a side, drawn from ``seed`` and their index."""

    seed: int
    size: int
    image_size: int = 256


@dataclass(frozen=True)
class DataSet:
    """A row of the table.

    ``classes`` are in label order: label 0 is the first. ``seen`` in a class says whether open-vocabulary training sees its
    labels. ``splits`` says where each split is.
    """

    name: str
    title: str
    classes: tuple[VocabularyClass, ...]
    splits: Mapping[Split, Layout | SceneSplit] = field(hash=False)
    source: str
    licence: str
    citation: str
    ignore_label: int = IGNORE_LABEL

    @property
    def vocabulary(self) -> Vocabulary:
        """The classes as a vocabulary; the index of a name is its label."""
        return Vocabulary(self.classes)


def _classes(names: str, unseen: str) -> tuple[VocabularyClass, ...]:
    """Classes from comma lists: all names in label order, and those whose labels training does not see."""
    hidden = {name.strip() for name in unseen.split(",")}
    return tuple(VocabularyClass(name.strip(), seen=name.strip() not in hidden) for name in names.split(","))


def _tiles(folder: str, image_suffix: str = ".png") -> dict[Split, Layout]:
    """The layout in which OVRS (Cao et al.) keeps its tiles; masks are 0-based, 255 is ignored."""
    return {split: Layout(f"{folder}_split/{split}/imgs", f"{folder}_split/{split}/D2masks", image_suffix) for split in SPLITS}


# Seen and unseen classes are AerOSeg's (Table 1 of its paper); docs/decisions.md says how they were read.
DATA_SETS: dict[str, DataSet] = {
    row.name: row
    for row in (
        DataSet(
            name="scenes",
            title="Procedural scenes",
            classes=SCENE_CLASSES,
            splits={"train": SceneSplit(seed=0, size=20000), "val": SceneSplit(seed=1, size=64)},
            source="drawn by ovrs.data.scenes; synthetic",
            licence="Apache-2.0",
            citation="part of ovrs",
        ),
        DataSet(
            name="isaid",
            title="iSAID",
            classes=_classes(
                "ship, storage tank, baseball diamond, tennis court, basketball court, ground track field, bridge, "
                "large vehicle, small vehicle, helicopter, swimming pool, roundabout, soccer ball field, plane, harbor",
                unseen="tennis court, bridge, small vehicle, helicopter, soccer ball field, harbor",
            ),
            splits=_tiles("iSAID"),
            source="https://captain-whu.github.io/iSAID/",
            licence="academic use only (DOTA, Google Earth terms)",
            citation="Waqas Zamir et al., iSAID: A Large-scale Dataset for Instance Segmentation in Aerial Images, CVPRW 2019",
        ),
        DataSet(
            name="dlrsd",
            title="DLRSD",
            classes=_classes(
                "airplane, bare soil, buildings, cars, chaparral, court, dock, field, grass, mobile home, pavement, sand, "
                "sea, ship, tanks, trees, water",
                unseen="airplane, bare soil, buildings, cars, pavement, sea, trees",
            ),
            splits=_tiles("DLRSD", ".jpg"),
            source="https://sites.google.com/view/zhouwx/dataset",
            licence="research use (images of the UC Merced Land Use Dataset)",
            citation="Shao et al., Performance Evaluation of Single-Label and Multi-Label Remote Sensing Image Retrieval "
            "Using a Dense Labeling Dataset, Remote Sensing 2018",
        ),
        DataSet(
            name="openearthmap",
            title="OpenEarthMap",
            classes=_classes(
                "bareland, rangeland, developed space, road, tree, water, agriculture land, building",
                unseen="developed space, tree, water, agriculture land",
            ),
            splits=_tiles("OpenEarthMap"),
            source="https://open-earth-map.org",
            licence="labels CC BY-NC-SA 4.0; images under the terms of their sources",
            citation="Xia et al., OpenEarthMap: A Benchmark Dataset for Global High-Resolution Land Cover Mapping, WACV 2023",
        ),
    )
}


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
