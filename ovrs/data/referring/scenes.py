"""The expressions of procedural scenes as a data set: nothing is drawn before it is asked for, and always the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ovrs.data.table import ANYWHERE, SceneRegions, SceneSplit
from ovrs.errors import DataError

# Scenes of fields and woods may hold nothing that can be told apart; so many others are looked at for one that does.
_TRIES = 50
# Which of a scene's streams of random numbers chooses the expression; those before belong to what the scene itself draws.
_STREAM = 6

_kept: dict[tuple[int, int, int, SceneRegions], DrawnScene] = {}


@dataclass(frozen=True)
class DrawnScene:
    """What is kept of a scene: its picture, its things and what is said of them.

    Attributes:
        image: uint8 [H, W, 3], RGB.
        instances: uint16 [H, W], the number of the thing at each pixel, 0 where there is none.
        expressions: for each its sentence, the number of the thing, and the name of its class; one or more.
        asked: which of them an evaluation asks.
    """

    image: NDArray[np.uint8]
    instances: NDArray[np.uint16]
    expressions: tuple[tuple[str, int, str], ...]
    asked: int


def scene_references(split: SceneSplit) -> list[dict[str, Any]]:
    """A dict per scene: it names what the scene is drawn from. Which expression is meant is chosen once it is drawn."""
    return [entry | {"scene_step": split.size, "sample_id": entry["file_name"]} for entry in split.dicts()]


def drawn_scene(entry: dict[str, Any], kept_bytes: float = 0.0) -> DrawnScene:
    """The scene of an entry; where nothing can be said of it, the next of its series that no other entry names.

    Args:
        entry: as :func:`scene_references` makes them.
        kept_bytes: it is kept for the next time as long as all that are kept take no more than this.

    Raises:
        DataError: scenes of that size are too small to hold anything.
    """
    from ovrs.data.scenes import SCENE_CLASSES, draw_scene

    regions: SceneRegions = entry.get("scene_regions", ANYWHERE)
    key = entry["scene_seed"], entry["scene_index"], entry["scene_size"], regions
    if key in _kept:
        return _kept[key]
    for index in range(entry["scene_index"], entry["scene_index"] + _TRIES * entry["scene_step"], entry["scene_step"]):
        scene = draw_scene(key[0], index, size=key[2], regional=regions.regional, places=regions.places)
        if scene.expressions:
            break
    else:
        raise DataError(f"no scene of {entry['scene_size']} pixels holds anything to refer to; draw larger ones (IMAGE_SIZE)")
    said = tuple((found.sentence, found.instance, SCENE_CLASSES[found.label].name) for found in scene.expressions)
    asked = int(scene.stream(_STREAM).integers(len(said)))
    drawn = DrawnScene(scene.image, scene.instances.astype(np.uint16), said, asked)
    if (len(_kept) + 1) * (drawn.image.nbytes + drawn.instances.nbytes) <= kept_bytes:
        _kept[key] = drawn
    return drawn
