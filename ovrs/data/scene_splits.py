"""The splits of procedural scenes as ``DATASETS.SCENES`` asks for them."""

from __future__ import annotations

from dataclasses import replace

from detectron2.config import CfgNode

from ovrs.climate.zones import zone_named
from ovrs.data.referring.table import SCENES_REFER
from ovrs.data.refused import refused_key
from ovrs.data.table import DATA_SETS, SCENES, ScenePartners, SceneRegions, SceneSplit
from ovrs.errors import InputError

# What an evaluation reads (HELD_OUT): as training, or one of the parts that it never draws.
_PARTS = ("", "places", "zone")


def scene_split(cfg: CfgNode, name: str) -> SceneSplit | None:
    """The scenes of a registered split; None where it is no split of scenes.

    Raises:
        ConfigError: a key of ``DATASETS.SCENES`` cannot work.
    """
    row, _, split = name.rpartition("_")
    row = SCENES.name if row == SCENES_REFER.name else row
    if row not in DATA_SETS or split not in ("train", "val"):
        return None
    place = DATA_SETS[row].splits.get("train" if split == "train" else "val")
    if not isinstance(place, SceneSplit):
        return None
    keys = cfg.DATASETS.SCENES
    return replace(
        place,
        size=keys.TRAIN_SIZE if split == "train" else keys.VAL_SIZE,
        image_size=keys.IMAGE_SIZE,
        partners=_partners(keys),
        regions=_regions(keys, "" if split == "train" else keys.HELD_OUT),
    )


def _partners(keys: CfgNode) -> ScenePartners:
    """What ``DATASETS.SCENES`` asks for beside image and labels, checked."""
    cover = tuple(keys.CLOUD_COVER)
    for key, value, fits, wanted in (
        ("SAR", keys.SAR, keys.SAR in ("", "db", "8bit"), '"" for none, db or 8bit'),
        ("CLOUDY_SHARE", keys.CLOUDY_SHARE, 0 <= keys.CLOUDY_SHARE <= 1, "a share of 0..1"),
        ("CLOUD_COVER", cover, len(cover) == 2 and 0 < cover[0] <= cover[-1] <= 1, "the least and the most, as (0.3, 0.8)"),
    ):
        if not fits:
            raise refused_key(f"SCENES.{key}", value, f"it must be {wanted}")
    return ScenePartners(keys.SAR, keys.DESCRIPTIONS, float(keys.CLOUDY_SHARE), (float(cover[0]), float(cover[1])))


def _regions(keys: CfgNode, part: str) -> SceneRegions:
    """Where the scenes lie that training draws, or those of the part that is held out."""
    from ovrs.data.scenes.earth import parted, places_in

    share = keys.HELD_OUT_PLACES
    if keys.HELD_OUT not in _PARTS:
        raise refused_key("SCENES.HELD_OUT", keys.HELD_OUT, '"" for the places of training, or choose places or zone')
    if not 0 <= share < 1:
        raise refused_key("SCENES.HELD_OUT_PLACES", share, "give a share of 0 to below 1")
    zones = tuple(_zone("ZONES", code) for code in keys.ZONES)
    away = _zone("HELD_OUT_ZONE", keys.HELD_OUT_ZONE) if keys.HELD_OUT_ZONE else ""
    parts = parted(zones, away, float(share))
    if not parts.trained:
        left = "it is the only one of ZONES, so nothing is left to train on; name others"
        raise refused_key("SCENES.HELD_OUT_ZONE", away, left)
    if keys.HELD_OUT == "zone" and not away:
        raise refused_key("SCENES.HELD_OUT", "zone", "name the zone, as HELD_OUT_ZONE")
    if keys.HELD_OUT == "places" and not parts.places:
        none = "none is held out; give HELD_OUT_PLACES a share above 0, and ZONES of two places"
        raise refused_key("SCENES.HELD_OUT", "places", none)
    places = {"": parts.trained, "places": parts.places, "zone": parts.zone}[part]
    return SceneRegions(keys.REGIONAL, () if places == places_in(()) else places)


def _zone(key: str, code: object) -> str:
    """The code of a zone in which there are places."""
    from ovrs.data.scenes.earth import earth_zones

    try:
        known = zone_named(str(code)).code
    except InputError as error:
        raise refused_key(f"SCENES.{key}", code, str(error)) from error
    if known not in earth_zones():
        raise refused_key(f"SCENES.{key}", code, f"scenes lie in {', '.join(earth_zones())}")
    return known
