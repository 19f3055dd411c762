"""The keys that decide what a model is told of the place of an image, in training and in use. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from ovrs.config_files import read_keys
from ovrs.errors import ConfigError

if TYPE_CHECKING:
    from detectron2.config import CfgNode

# With the defaults that they have in ovrs/config*.py.
PLACE_KEYS: dict[str, Any] = {
    "MODEL.META_ARCHITECTURE": "AerOSeg",
    "MODEL.PROMPTS": "remote_sensing",
    "MODEL.METASEGNET.ALIGNMENT": True,
    "MODEL.TEXT.MAX_TOKENS": 20,
    "DATASETS.CLIMATE.PROMPTS": "",
    "DATASETS.CLIMATE.BANK": "",
    "DATASETS.CLIMATE.CLASSES": (),
    "DATASETS.CLIMATE.TOKENS": 250,
    "DATASETS.CLIMATE.CLASS_SENTENCES": False,
}


def place_keys(cfg: CfgNode) -> dict[str, Any]:
    """Their values in a configuration."""
    values = {}
    for key in PLACE_KEYS:
        value: Any = cfg
        for part in key.split("."):
            value = value[part]
        values[key] = value
    return values


def place_keys_of_file(config_file: str, options: Sequence[Any] = ()) -> dict[str, Any]:
    """Their values in a configuration file under options, without torch; see :func:`ovrs.config_files.read_keys`.

    Raises:
        ConfigError: the file does not exist or is no YAML.
    """
    return read_keys(config_file, options, PLACE_KEYS)


def place_reading(keys: Mapping[str, Any]) -> Literal["prompt", "sentences", ""]:
    """What a model reads of a place: a prompt for the whole image, a sentence on each class, or nothing."""
    if keys["MODEL.META_ARCHITECTURE"] == "MetaSegNet":
        return "prompt" if keys["MODEL.METASEGNET.ALIGNMENT"] else ""
    return "sentences" if keys["MODEL.PROMPTS"] == "climate" else ""


def check_prompts_read(cfg: CfgNode) -> None:
    """Whether the model reads the prompts that data sets are to give it.

    ``PROMPTS`` also says where sentences on classes come from; those may go unread, to compare a model with and without.

    Raises:
        ConfigError: ``DATASETS.CLIMATE.PROMPTS`` is set for a model that reads none.
    """
    keys = place_keys(cfg)
    prompts = keys["DATASETS.CLIMATE.PROMPTS"]
    if not prompts or keys["DATASETS.CLIMATE.CLASS_SENTENCES"] or place_reading(keys) == "prompt":
        return
    system = keys["MODEL.META_ARCHITECTURE"]
    without = " with METASEGNET.ALIGNMENT False" if system == "MetaSegNet" else ""
    raise ConfigError(
        f"DATASETS.CLIMATE.PROMPTS is {prompts!r}, and {system}{without} is told nothing of places in use; leave it out. "
        "MetaSegNet reads it; AerOSeg and RSZeroSeg read DATASETS.CLIMATE.CLASS_SENTENCES, with MODEL.PROMPTS climate"
    )
