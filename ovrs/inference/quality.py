"""How much work is left out for speed, under three names. The command line's help reads this, so it imports nothing heavy."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from ovrs.errors import ConfigError

if TYPE_CHECKING:
    from detectron2.config import CfgNode

QualityName = Literal["fast", "balanced", "best"]
QUALITIES: tuple[QualityName, ...] = get_args(QualityName)


@dataclass(frozen=True)
class Limits:
    """What a preset lowers; a configuration that is below one of these keeps its own value.

    Attributes:
        rotations: views of an image that are read, of those that were trained (``TEST.ROTATIONS``).
        overlap: least share of a tile that neighbours overlap by (``TEST.OVERLAP``).
        classes: names that are aggregated in a tile, the best matching ones (``MODEL.MAX_CLASSES``).
    """

    rotations: int
    overlap: float
    classes: int


# docs/quality.md says what each of them leaves out; best is what the configuration says.
LIMITS: dict[str, Limits] = {
    "fast": Limits(rotations=1, overlap=0.0, classes=32),
    "balanced": Limits(rotations=2, overlap=0.125, classes=64),
}


def lowered(cfg: CfgNode, quality: str, given: Collection[str] = ()) -> dict[str, Any]:
    """The keys that a preset lowers in a configuration, and their new values; empty where nothing of it applies.

    Args:
        quality: one of :data:`QUALITIES`.
        given: keys that the user has set, which stay as they are.

    Raises:
        ConfigError: another word.
    """
    if quality not in QUALITIES:
        raise ConfigError(f"--quality {quality!r}: choose {', '.join(QUALITIES)}")
    if quality == "best":
        return {}
    limits = LIMITS[quality]
    found: dict[str, Any] = {}
    if limits.overlap < cfg.TEST.OVERLAP:
        found["TEST.OVERLAP"] = limits.overlap
    if cfg.MODEL.META_ARCHITECTURE == "AerOSeg":  # no other system turns images, or chooses among names
        read = list(cfg.TEST.ROTATIONS) or list(cfg.MODEL.VISION_LANGUAGE.ROTATIONS)
        if limits.rotations < len(read):
            found["TEST.ROTATIONS"] = read[: limits.rotations]
        if not 0 < cfg.MODEL.MAX_CLASSES <= limits.classes:
            found["MODEL.MAX_CLASSES"] = limits.classes
    return {key: value for key, value in found.items() if key not in given}


def in_words(quality: str, less: dict[str, Any]) -> str:
    """A preset and the keys that it lowered, for the tags of maps."""
    keys = ", ".join(f"{key} {value}" for key, value in less.items())
    return f"{quality} ({keys})" if keys else quality
