"""The table of referring data sets: a row each, with its files, what its sentences are, licence and citation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from ovrs.data.table import DATA_SETS, SceneSplit

ReferringSplit = Literal["train", "val", "test"]
REFERRING_SPLITS: tuple[ReferringSplit, ...] = ("train", "val", "test")


@dataclass(frozen=True)
class ReferenceFile:
    """A split in a file of references (see :func:`~ovrs.data.referring.lines.read_references`).

    Attributes:
        path: the file; relative to the root of all data sets, or absolute.
        root: the folder that paths in it are relative to, likewise; None = the file's own.
        shared: whether other splits are in the same file, so that each of its lines must say which one it is of.
    """

    path: str
    root: str | None = None
    shared: bool = False


@dataclass(frozen=True)
class ReferringSet:
    """A row of the table.

    Attributes:
        name: what it is registered by, as ``<name>_<split>``.
        title: what its owner calls it.
        splits: where each split is: a file, or procedural scenes.
        source: the owner's page, where the files are asked for.
        licence: the owner's terms, as far as known.
        citation: what the owner asks to cite.
        expected_counts: references of each split by the owner's paper; a split is absent where none says.
    """

    name: str
    title: str
    splits: Mapping[ReferringSplit, ReferenceFile | SceneSplit] = field(hash=False)
    source: str
    licence: str
    citation: str
    expected_counts: Mapping[ReferringSplit, int] = field(default_factory=dict, hash=False)


def prepared(folder: str) -> dict[ReferringSplit, ReferenceFile | SceneSplit]:
    """The splits that a script of ``datasets/`` leaves in a folder below the root of all data sets."""
    return {split: ReferenceFile(f"{folder}/{split}.jsonl") for split in REFERRING_SPLITS}


RRSISD = ReferringSet(
    name="rrsisd",
    title="RRSIS-D",
    splits=prepared("RRSIS-D_refer"),
    source="https://github.com/Lsan2401/RMSIN",
    licence="none stated, as far as known; the images are those of DIOR-RSVG",
    citation="Liu et al., Rotated Multi-Scale Interaction Network for Referring Remote Sensing Image Segmentation, CVPR 2024",
    expected_counts={"train": 12181, "val": 1740, "test": 3481},
)

REFSEGRS = ReferringSet(
    name="refsegrs",
    title="RefSegRS",
    splits=prepared("RefSegRS_refer"),
    source="https://huggingface.co/datasets/JessicaYuan/RefSegRS",
    licence="CC BY 4.0; the images are those of SkyScapes",
    citation="Yuan et al., RRSIS: Referring Remote Sensing Image Segmentation, IEEE TGRS 2024",
    expected_counts={"test": 1817},  # of 4,420 in all
)

SCENES_REFER = ReferringSet(
    name="scenes_refer",
    title="Expressions of procedural scenes",
    splits={split: place for split, place in DATA_SETS["scenes"].splits.items() if isinstance(place, SceneSplit)},
    source=DATA_SETS["scenes"].source,
    licence=DATA_SETS["scenes"].licence,
    citation=DATA_SETS["scenes"].citation,
)

REFERRING_SETS: dict[str, ReferringSet] = {row.name: row for row in (RRSISD, REFSEGRS, SCENES_REFER)}
