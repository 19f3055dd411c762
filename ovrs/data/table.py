"""The table of data sets: a row each, with its classes, which of them training sees, its files, licence and citation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from ovrs.data.scenes.classes import SCENE_CLASSES
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
