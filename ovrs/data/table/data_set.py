"""What a row of the table holds: a data set's classes, files, terms and counts."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ovrs.data.sar.encoding import SarEncoding
from ovrs.palette import Color
from ovrs.vocabulary import Vocabulary, VocabularyClass

Split = Literal["train", "val"]
SPLITS: tuple[Split, ...] = ("train", "val")

# The label of a pixel that counts neither in training nor in evaluation.
IGNORE_LABEL = 255


@dataclass(frozen=True)
class HoldOut:
    """A rule that sets images of one folder apart: every so many-th in the order of names, or those whose names match.

    Attributes:
        every: the first image and each ``every``-th after it are held out; 0 = none by this.
        names: a pattern with ``*`` and ``?`` for whole file names; "" = none by this.
    """

    every: int = 0
    names: str = ""

    def holds(self, place: int, name: str) -> bool:
        """Whether the image at ``place`` (from 0) of the sorted folder is held out."""
        return bool(self.every and place % self.every == 0) or bool(self.names and fnmatch.fnmatchcase(name, self.names))


@dataclass(frozen=True)
class Layout:
    """Where the files of one split are, relative to the root of all data sets; an image and its partners share their stem.

    Where ``hold_out`` is given the split is a part of the folder: what is ``held`` out, or what is left.

    Attributes:
        sar: the folder of the SAR partners; "" where there are none, or where they are bands of the images' own files.
        sar_suffixes: how their names end, one ending a file of each image.
        descriptions: what is said of the images: a folder of ``.txt``, or a ``.jsonl`` file; "" for nothing.
    """

    images: str
    masks: str
    image_suffix: str = ".png"
    mask_suffix: str = ".png"
    hold_out: HoldOut | None = None
    held: bool = False
    sar: str = ""
    sar_suffixes: tuple[str, ...] = ()
    descriptions: str = ""

    def takes(self, place: int, name: str) -> bool:
        """Whether the image at ``place`` of the sorted folder is of this split."""
        return self.hold_out is None or self.hold_out.holds(place, name) == self.held


@dataclass(frozen=True)
class ScenePartners:
    """What procedural scenes have beside image and labels.

    Attributes:
        sar: "" for none, ``db``, or ``8bit``: the decibels stretched over 0..255, as stored quick looks have them.
        descriptions: some sentences about each scene.
        cloudy_share: share (0..1) of the scenes whose image is under clouds; radar sees through them.
        cloud_cover: the least and the most that clouds then cover of the image (0..1).
    """

    sar: str = ""
    descriptions: bool = False
    cloudy_share: float = 0.0
    cloud_cover: tuple[float, float] = (0.3, 0.8)


NO_PARTNERS = ScenePartners()


@dataclass(frozen=True)
class SceneRegions:
    """Where on Earth procedural scenes lie, and whether they look like it.

    Attributes:
        regional: vegetation, soil and roofs have the look of the climate zone.
        places: rows of the table of places (:mod:`ovrs.data.scenes.earth`); () = all.
    """

    regional: bool = False
    places: tuple[int, ...] = ()


ANYWHERE = SceneRegions()


@dataclass(frozen=True)
class SceneSplit:
    """A split without files: ``size`` scenes of ``image_size`` pixels a side, drawn from ``seed`` and their index."""

    seed: int
    size: int
    image_size: int = 256
    partners: ScenePartners = NO_PARTNERS
    regions: SceneRegions = ANYWHERE

    def dicts(self) -> list[dict[str, Any]]:
        """A dict per scene: it names the scene's seed, index and size instead of files."""
        return [
            {
                "file_name": f"scene-{self.seed}-{index:05d}",
                "scene_seed": self.seed,
                "scene_index": index,
                "scene_size": self.image_size,
                **({"scene_partners": self.partners} if self.partners != NO_PARTNERS else {}),
                **({"scene_regions": self.regions} if self.regions != ANYWHERE else {}),
            }
            for index in range(self.size)
        ]


@dataclass(frozen=True)
class DataSet:
    """A row of the table.

    Attributes:
        name: what it is registered by, as ``<name>_train`` and ``<name>_val``.
        title: what its owner calls it.
        classes: in label order, label 0 being the first; ``seen`` says whether open-vocabulary training sees its labels.
        splits: where each split is; a split that its owner does not publish is absent.
        ignored: in words, which of the published values or colours become ``ignore_label``, and why.
        source: the owner's page, where the files are asked for.
        licence: the owner's terms, as far as known.
        citation: what the owner asks to cite.
        unseen_from: the paper that says which classes are unseen; None where none does, and then all are seen.
        expected_counts: images a split has once prepared, by the paper or the owner; a split is absent where none says.
        ignore_label: the mask value that does not count.
        sar: how its SAR partners are encoded; None where it has none.
        climate: code of the zone (Koeppen and Geiger) in which all its images lie; "" where they lie in several, or it is not
            known.
        tiles_name_regions: its files begin with the city or region that they show.
    """

    name: str
    title: str
    classes: tuple[VocabularyClass, ...]
    splits: Mapping[Split, Layout | SceneSplit] = field(hash=False)
    ignored: str
    source: str
    licence: str
    citation: str
    unseen_from: str | None = None
    expected_counts: Mapping[Split, int] = field(default_factory=dict, hash=False)
    ignore_label: int = IGNORE_LABEL
    sar: SarEncoding | None = None
    climate: str = ""
    tiles_name_regions: bool = False

    @property
    def vocabulary(self) -> Vocabulary:
        """The classes as a vocabulary; the index of a name is its label."""
        return Vocabulary(self.classes)


def classes(*entries: tuple[str, Color | None], unseen: str = "") -> tuple[VocabularyClass, ...]:
    """Classes in label order from words behind bars (``"ship|boat|vessel"``: name, then synonyms) and the owner's colour (RGB).

    ``unseen`` is a comma list of the names whose labels open-vocabulary training does not see.
    """
    hidden = {name.strip() for name in unseen.split(",")}
    found = []
    for words, color in entries:
        name, *synonyms = words.split("|")
        found.append(VocabularyClass(name, tuple(synonyms), color, seen=name not in hidden))
    return tuple(found)


def tiles(folder: str, image_suffix: str = ".png") -> dict[Split, Layout]:
    """The layout in which OVRS (Cao et al.) keeps its tiles, used for all that is prepared here; masks are 0-based."""
    return {split: Layout(f"{folder}_split/{split}/imgs", f"{folder}_split/{split}/D2masks", image_suffix) for split in SPLITS}
