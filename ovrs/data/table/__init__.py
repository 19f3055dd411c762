"""The table of data sets: a row each, with its classes, which of them training sees, its files, licence and citation.

The rows stand by what they show: ``objects``, ``land_cover``, ``cities``, ``mixtures`` of several, and ``pairs`` with SAR.
Classes go by the names under which the papers score them. Synonyms are ours, drawn in training and scored in evaluation only
where asked for; a class has none where no other word is good. Colours are the owners', where they publish any.
"""

from __future__ import annotations

from ovrs.data.scenes.classes import SCENE_CLASSES
from ovrs.data.table.cities import CITIES
from ovrs.data.table.data_set import (
    ANYWHERE,
    IGNORE_LABEL,
    NO_PARTNERS,
    SPLITS,
    DataSet,
    HoldOut,
    Layout,
    ScenePartners,
    SceneRegions,
    SceneSplit,
    Split,
)
from ovrs.data.table.land_cover import LAND_COVER
from ovrs.data.table.mixtures import MIXTURES
from ovrs.data.table.objects import OBJECTS
from ovrs.data.table.pairs import PAIRS

__all__ = [
    "ANYWHERE",
    "DATA_SETS",
    "IGNORE_LABEL",
    "NO_PARTNERS",
    "SPLITS",
    "DataSet",
    "HoldOut",
    "Layout",
    "ScenePartners",
    "SceneRegions",
    "SceneSplit",
    "Split",
]

SCENES = DataSet(
    name="scenes",
    title="Procedural scenes",
    classes=SCENE_CLASSES,
    splits={"train": SceneSplit(seed=0, size=20000), "val": SceneSplit(seed=1, size=64)},
    ignored="nothing: every pixel is drawn with a label",
    source="drawn by ovrs.data.scenes; synthetic",
    licence="Apache-2.0",
    citation="part of ovrs",
)

DATA_SETS: dict[str, DataSet] = {row.name: row for row in (SCENES, *OBJECTS, *LAND_COVER, *CITIES, *MIXTURES, *PAIRS)}
