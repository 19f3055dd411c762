"""The model of a configuration with its weights, ready to segment."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from detectron2.config import CfgNode

from ovrs.config import load_config
from ovrs.config_places import place_keys
from ovrs.inference.devices import choose_device
from ovrs.inference.named_weights import RANDOM_WEIGHTS, find_weights
from ovrs.inference.prompt_policy import build_prompt_policy
from ovrs.inference.quality import in_words, lowered
from ovrs.inference.tile_models import SystemTiles
from ovrs.modeling.fitting import WithoutInitialValues
from ovrs.modeling.registry import build_model

logger = logging.getLogger(__name__)


def load_system(
    config_file: str, weights: str | None, options: Sequence[Any], device: str | None, quality: str = "best"
) -> tuple[SystemTiles, tuple[tuple[str, str], ...]]:
    """Build and load what :meth:`ovrs.Segmenter.from_config` is asked for.

    Returns:
        The model, which knows what it was told of places in training, and what it is, for the tags of its maps.

    Raises:
        ConfigError: an unknown configuration, key, device or quality.
        WeightsError: no weights are named, or they are missing or do not fit the model.
    """
    cfg = load_config(config_file, options).clone()
    less = lowered(cfg, quality, options[::2])
    if not less and quality != "best":
        logger.warning("hint: quality %s leaves out nothing of what %s does; its maps are those of best", quality, config_file)
    cfg.defrost()
    cfg.merge_from_list([item for pair in less.items() for item in pair])
    cfg.MODEL.DEVICE = choose_device(device, cfg.MODEL.DEVICE)
    weights = find_weights(cfg.MODEL.WEIGHTS if weights is None else weights)
    cfg.freeze()
    with nullcontext() if weights == RANDOM_WEIGHTS else WithoutInitialValues():
        model = build_model(cfg)
    if weights != RANDOM_WEIGHTS:
        from ovrs.modeling.checkpoints import load_weights
        from ovrs.modeling.header import warn_of_contradictions

        load_weights(model, weights)
        warn_of_contradictions(cfg, weights)
    model.eval()
    model.round_encoders()
    facts = (
        ("MODEL", cfg.MODEL.META_ARCHITECTURE),
        ("CONFIG", str(config_file)),
        ("WEIGHTS", Path(weights).name),
        ("QUALITY", in_words(quality, less)),
    )
    return SystemTiles(model, policy=build_prompt_policy(place_keys(cfg)), settings=_settings(cfg)), facts


def _settings(cfg: CfgNode) -> str:
    """All that scores may depend on beside the weights."""
    passing = ("DEVICE", "WEIGHTS")
    return repr(({key: value for key, value in cfg.MODEL.items() if key not in passing}, cfg.TEST))
