"""From a configuration to encoders of images alone and of sentences alone (``MODEL.IMAGE`` and ``MODEL.TEXT``)."""

from __future__ import annotations

import logging
from pathlib import Path

from detectron2.config import CfgNode

from ovrs.errors import ConfigError
from ovrs.modeling.build import encoder_weights
from ovrs.modeling.encoders.minilm import MiniLmTokens
from ovrs.modeling.encoders.swin import SwinStages, build_small_swin, build_swin
from ovrs.modeling.encoders.text_tokens import TextEncoder
from ovrs.modeling.pretrained import load_backbone
from ovrs.modeling.published.configured import configured_weights

logger = logging.getLogger(__name__)


def build_image_encoder(cfg: CfgNode) -> SwinStages:
    """The Swin transformer under ``MODEL.IMAGE``, with its own weights where a file is named.

    Raises:
        ConfigError: an unknown name, or weights of another architecture.
        WeightsError: the file does not fit.
    """
    keys = cfg.MODEL.IMAGE
    if keys.NAME == "small":
        small = keys.SMALL
        if keys.WEIGHTS:
            raise ConfigError(f"MODEL.IMAGE.WEIGHTS is {keys.WEIGHTS!r}, but a small Swin transformer has none of its own")
        return build_small_swin(
            width=small.WIDTH,
            depths=small.DEPTHS,
            heads=small.HEADS,
            window=small.WINDOW,
            places=small.PLACES,
            drop_path=keys.DROP_PATH,
            train=keys.TRAIN,
        )
    if not keys.NAME.startswith("timm:"):
        raise ConfigError(f"MODEL.IMAGE.NAME is {keys.NAME!r}; choose timm:<a Swin transformer> or small")
    weights = encoder_weights(keys, "image")
    encoder = build_swin(keys.NAME.removeprefix("timm:"), drop_path=keys.DROP_PATH, train=keys.TRAIN)
    if weights:
        load_backbone(encoder, encoder.name, weights)
    elif not cfg.MODEL.WEIGHTS:
        logger.warning("%s has random weights: neither MODEL.IMAGE.WEIGHTS nor MODEL.WEIGHTS names a file", keys.NAME)
    return encoder


def build_text_encoder(cfg: CfgNode) -> TextEncoder:
    """The encoder of sentences under ``MODEL.TEXT``.

    Raises:
        ConfigError: an unknown name, or a mode of training that it does not have.
        WeightsError: BERT's files are not where they are said to be.
    """
    keys = cfg.MODEL.TEXT
    if keys.NAME == "minilm":
        encoder = MiniLmTokens(max_tokens=keys.MAX_TOKENS)
        encoder.set_trainable(keys.TRAIN)
        return encoder
    if keys.NAME != "bert":
        raise ConfigError(f"MODEL.TEXT.NAME is {keys.NAME!r}; choose bert or minilm")
    if not keys.WEIGHTS:
        raise ConfigError(
            "MODEL.TEXT.WEIGHTS is empty, and BERT needs its vocabulary in any case: python -m ovrs.weights fetch "
            "bert/base-uncased, then MODEL.TEXT.WEIGHTS bert/base-uncased; or the folder of a config.json, a vocab.txt and a "
            "model.safetensors (which may be missing where MODEL.WEIGHTS names a whole system's weights)"
        )
    folder = Path(keys.WEIGHTS)
    path = folder if folder.is_dir() else configured_weights(keys.WEIGHTS, part="text", architecture=keys.NAME)
    from ovrs.modeling.encoders.bert import build_bert  # as in build_vision_language

    return build_bert(path, weights=not cfg.MODEL.WEIGHTS, max_tokens=keys.MAX_TOKENS, train=keys.TRAIN)
