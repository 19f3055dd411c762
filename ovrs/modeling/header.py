"""The header of exported weights: what they are, readable without loading them, and compared with a configuration."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import yaml
from detectron2.config import CfgNode

import ovrs
from ovrs.modeling.weights_files import read_metadata
from ovrs.vocabulary import Vocabulary

logger = logging.getLogger(__name__)

PACKAGES = ("torch", "open_clip_torch", "timm", "segment-anything")
# Keys of MODEL that say where files lie, how memory is used or what only training does, not what the weights mean.
PASSING = (
    "WEIGHTS",
    "DEVICE",
    "PRECISION",
    "CLASS_CHUNK",
    "TRAIN",
    "STEM_WEIGHTS",
    "CACHE",
    "CACHE_PRECISION",
    "FOLD_PADDING",
    "TRAINING",
)
LONGEST = 10_000  # characters of an architecture, of which ours have a thousand; PyYAML takes seconds for more brackets
OURS = (
    "META_ARCHITECTURE",
    "PROMPTS",
    "FIXED_SIZE",
    "MAX_CLASSES",
    "VISION_LANGUAGE",
    "GUIDANCE",
    "COST",
    "REFINEMENT",
    "DECODER",
    "RS_ZEROSEG",
    "IMAGE",
    "TEXT",
    "MAFN",
    "TSMNET",
    "METASEGNET",
)
SENTENCES = ("IMAGE.", "TEXT.", "MAFN.", "TSMNET.", "METASEGNET.")
# Of those the ones that a system does not read, by their beginnings.
UNREAD = {
    "AerOSeg": ("RS_ZEROSEG.", *SENTENCES),
    "DenseAlignment": ("RS_ZEROSEG.", "GUIDANCE.", "COST.", "REFINEMENT.", "DECODER.", "MAX_CLASSES", *SENTENCES),
    "RSZeroSeg": ("REFINEMENT.", "MAX_CLASSES", "GUIDANCE.SPATIAL_DIM", "GUIDANCE.TEXT_DIM", "GUIDANCE.UPSAMPLE", *SENTENCES),
    "MAFN": ("RS_ZEROSEG.", "COST.", "REFINEMENT.", "DECODER.", "MAX_CLASSES", "IMAGE.DROP_PATH", "TSMNET.", "METASEGNET."),
    "TSMNet": ("RS_ZEROSEG.", "GUIDANCE.", "COST.", "REFINEMENT.", "DECODER.", "MAX_CLASSES", "IMAGE.", "MAFN.", "METASEGNET."),
    "MetaSegNet": (
        *("RS_ZEROSEG.", "GUIDANCE.", "COST.", "REFINEMENT.", "DECODER.", "MAX_CLASSES", "MAFN.", "TSMNET."),
        "IMAGE.DROP_PATH",
    ),
}


def about_configuration(cfg: CfgNode) -> dict[str, str]:
    """``architecture`` (YAML of the keys that the weights depend on), ``versions`` (JSON), ``version`` and ``date``."""
    return {
        "architecture": yaml.safe_dump(architecture(cfg), sort_keys=False),
        "versions": json.dumps(_versions()),
        "version": ovrs.__version__,
        "date": datetime.now(UTC).date().isoformat(),
    }


def about_classes(vocabulary: Vocabulary) -> dict[str, str]:
    """``classes``: JSON, a name and whether training saw its labels for each."""
    return {"classes": json.dumps([{"name": cls.name, "seen": cls.seen} for cls in vocabulary.classes], ensure_ascii=False)}


def architecture(cfg: CfgNode) -> dict[str, Any]:
    """The keys under ``MODEL`` that decide what weights mean, as plain values."""
    return {key: _plain(cfg.MODEL[key]) for key in OURS}


def contradictions(cfg: CfgNode, path: str | os.PathLike[str]) -> list[str]:
    """Keys in which a configuration contradicts the header of a weights file, with both values; empty without a header."""
    if Path(path).suffix != ".safetensors":
        return []
    stored = read_metadata(path).get("architecture", "")
    try:
        theirs = _read(stored)
    except (yaml.YAMLError, ValueError, AttributeError, TypeError, RecursionError):
        return ["its header's architecture is not readable"]
    ours = dict(_leaves(architecture(cfg)))
    unused = _unused(ours)
    return [
        f"MODEL.{key} is {ours[key]!r}, the weights are of {value!r}"
        for key, value in theirs.items()
        if key in ours and ours[key] != value and not key.startswith(unused)
    ]


def warn_of_contradictions(cfg: CfgNode, path: str | os.PathLike[str]) -> None:
    """Log where a configuration contradicts the header of weights that fit by shape, and so would be read wrongly unnoticed."""
    wrong = contradictions(cfg, path)
    if wrong:
        logger.warning("%s was trained with other settings than the configuration's: %s", path, "; ".join(wrong))


def _read(architecture: str) -> dict[str, Any]:
    """The leaves of somebody else's YAML; aliases, a few of which can stand for endless text, are none of ours."""
    if len(architecture) > LONGEST:
        raise ValueError("longer than any configuration")
    if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(architecture, yaml.SafeLoader)):
        raise ValueError("with aliases")
    return dict(_leaves(yaml.safe_load(architecture) or {}))


def _unused(ours: Mapping[str, Any]) -> tuple[str, ...]:
    """Prefixes of keys that this configuration does not read, or that are a choice of evaluation."""
    system = str(ours.get("META_ARCHITECTURE"))
    unused = [*UNREAD.get(system, ()), "REFINEMENT.POOLING_", "MAX_CLASSES"]
    if system == "MAFN":
        unused += _unused_by_mafn(ours)
    elif system == "MetaSegNet" and ours.get("METASEGNET.IMAGE") == "backbone":
        unused += ["VISION_LANGUAGE.", "METASEGNET.LAYERS", *([] if ours.get("IMAGE.NAME") == "small" else ["IMAGE.SMALL."])]
    elif ours.get("VISION_LANGUAGE.NAME") != "small":
        unused.append("VISION_LANGUAGE.SMALL.")
    if system == "TSMNet" and (ours.get("TSMNET.SCENE_ENCODER") == "clip" or not ours.get("TSMNET.SCENE")):
        unused.append("TEXT.")
    if system == "MetaSegNet" and ours.get("METASEGNET.IMAGE") == "tower":
        unused.append("IMAGE.")
    if system == "RSZeroSeg" and ours.get("RS_ZEROSEG.HEAD") != "decoder":
        unused += ["COST.", "DECODER.", "GUIDANCE.DECODER_DIMS"]
    return tuple(unused)


def _unused_by_mafn(ours: Mapping[str, Any]) -> list[str]:
    unused = [] if ours.get("IMAGE.NAME") == "small" else ["IMAGE.SMALL."]
    if not ours.get("MAFN.GUIDED"):
        return [*unused, "GUIDANCE.", "VISION_LANGUAGE."]
    unused += [f"GUIDANCE.{key}" for key in ("INPUT_SIZE", "SPATIAL_DIM", "TEXT_DIM", "DECODER_DIMS", "UPSAMPLE")]
    if ours.get("GUIDANCE.NAME") != "small":
        return [*unused, "VISION_LANGUAGE."]
    return [*unused, "VISION_LANGUAGE.NAME", "VISION_LANGUAGE.PIXEL_", "VISION_LANGUAGE.ROTATIONS", "VISION_LANGUAGE.TOKENIZER"]


def _plain(value: Any) -> Any:
    if isinstance(value, CfgNode):
        return {key: _plain(inner) for key, inner in value.items() if key not in PASSING}
    return list(value) if isinstance(value, tuple | list) else value  # a list that stood twice would be written as an alias


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
