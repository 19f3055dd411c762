"""From a configuration to the parts of MetaSegNet."""

from __future__ import annotations

from typing import Any

from detectron2.config import CfgNode
from torch import nn

from ovrs.errors import ConfigError
from ovrs.modeling.blocks.channel_prior import ChannelPrior
from ovrs.modeling.blocks.cosine_classifier import CosineClassifier
from ovrs.modeling.blocks.crossmodal_fusion import CrossmodalFusion, SequenceProjections
from ovrs.modeling.blocks.feature_pyramid import FeaturePyramid
from ovrs.modeling.blocks.image_text_matching import ImageTextMatching
from ovrs.modeling.blocks.level_adapters import LevelAdapters
from ovrs.modeling.blocks.pair_queue import PairQueue
from ovrs.modeling.bound_classes import BoundClasses
from ovrs.modeling.build import build_vision_language, model_parts, training_classes
from ovrs.modeling.build_backbones import build_image_encoder, build_text_encoder
from ovrs.modeling.encoders.clip_image import ClipImage
from ovrs.modeling.encoders.swin import SwinStages
from ovrs.modeling.encoders.text_tokens import TextEncoder
from ovrs.modeling.encoders.tower_levels import TowerLevels, TowerPyramid
from ovrs.modeling.encoders.vision_language import VisionLanguageEncoder
from ovrs.modeling.segmentation_model import PixelNormalization

LEVELS = 4  # at strides of 4, 8, 16 and 32 pixels
OPEN = "MODEL.METASEGNET.HEAD open takes any number"
CHOICES = {"IMAGE": ("backbone", "tower"), "HEAD": ("open", "closed")}


def metasegnet_parts(cfg: CfgNode) -> dict[str, Any]:
    """The arguments of :class:`~ovrs.modeling.metasegnet.MetaSegNet`, but for what is summed in training."""
    keys = cfg.MODEL.METASEGNET
    _check(cfg)
    vision_language, image_encoder = _image_side(cfg)
    closed, tower = keys.HEAD == "closed", vision_language is not None
    bound = BoundClasses(training_classes(cfg, "the head", OPEN), OPEN) if closed else None
    text_encoder = build_text_encoder(cfg) if keys.ALIGNMENT or not (closed or tower) else None
    statistics = cfg.MODEL.VISION_LANGUAGE if tower else cfg.MODEL.IMAGE
    channels = list(image_encoder.channels)
    if keys.ALIGNMENT:
        channels[-1] = keys.DIM
    return {
        **model_parts(cfg),
        "normalization": PixelNormalization(statistics.PIXEL_MEAN, statistics.PIXEL_STD),
        "image_encoder": image_encoder,
        "vision_language": vision_language,
        "text_encoder": text_encoder,
        **_text_side(cfg, image_encoder, text_encoder),
        "pyramid": FeaturePyramid(dims=channels, dim=keys.DIM, finest=1),
        "head": nn.Sequential(nn.Conv2d(keys.DIM, keys.DIM, 3, padding=1, bias=False), nn.BatchNorm2d(keys.DIM), nn.ReLU()),
        **_classifier(cfg, bound, vision_language, text_encoder),
    }


def _image_side(cfg: CfgNode) -> tuple[VisionLanguageEncoder | None, SwinStages | TowerPyramid]:
    keys = cfg.MODEL.METASEGNET
    if keys.IMAGE == "backbone":
        image_encoder = build_image_encoder(cfg)
        if tuple(image_encoder.strides) != (4, 8, 16, 32):
            raise ConfigError(f"MODEL.IMAGE has stages at strides of {list(image_encoder.strides)}; MetaSegNet needs 4 to 32")
        return None, image_encoder
    vision_language = build_vision_language(cfg)
    visual = vision_language.visual
    if not isinstance(visual, ClipImage) or visual.patch % 4:
        raise ConfigError(
            f"MODEL.VISION_LANGUAGE.NAME is {cfg.MODEL.VISION_LANGUAGE.NAME!r}; MetaSegNet reads CLIP's vision transformers "
            "alone, of patches of a multiple of 4 pixels"
        )
    levels = TowerLevels.of(visual, keys.LAYERS)
    strides = (visual.patch // 4, visual.patch // 2, visual.patch, 2 * visual.patch)
    adapters = LevelAdapters(channels=levels.channels, from_strides=levels.strides, dim=keys.DIM, strides=strides)
    _train_what_is_read(vision_language, visual, levels.blocks[-1], words=keys.HEAD == "open")
    return vision_language, TowerPyramid(levels, adapters, dim=keys.DIM, strides=strides)


def _train_what_is_read(vision_language: VisionLanguageEncoder, visual: ClipImage, last: int, *, words: bool) -> None:
    """Take away what is behind the last block that is read, which trains as the others do, and freeze words that are not.

    ``MODEL.VISION_LANGUAGE.TRAIN`` says how the tower trains.
    """
    mode = vision_language.train_mode
    if last > visual.usable_blocks:  # the last of the tower, of which its own embeddings do not read the attention
        attention = visual.transformer.resblocks[-1].attn
        attention.q_proj_weight.requires_grad_(mode != "freeze")
        attention.k_proj_weight.requires_grad_(mode in ("image", "full"))
    visual.cut(last)
    if not words:
        vision_language.text_tower.requires_grad_(False)


def _text_side(cfg: CfgNode, image_encoder: SwinStages | TowerPyramid, text_encoder: TextEncoder | None) -> dict[str, Any]:
    """Sections II-C-1 and II-C-2."""
    keys = cfg.MODEL.METASEGNET
    if not keys.ALIGNMENT or text_encoder is None:
        return dict.fromkeys(("projections", "alignment", "matching", "prior"))
    matching = None
    if keys.TRAINING.MATCHING_WEIGHT:
        queue = PairQueue(size=keys.TRAINING.QUEUE, length=cfg.MODEL.TEXT.MAX_TOKENS, dim=keys.DIM)
        matching = ImageTextMatching(dim=keys.DIM, queue=queue, heads=keys.HEADS, temperature=keys.TEMPERATURE)
    return {
        "projections": SequenceProjections(image_dim=image_encoder.channels[-1], text_dim=text_encoder.dim, dim=keys.DIM),
        "alignment": CrossmodalFusion(dim=keys.DIM, heads=keys.HEADS, layers=keys.JOINT_LAYERS),
        "matching": matching,
        "prior": ChannelPrior(text_dim=keys.DIM, dim=keys.DIM) if keys.FUSION else None,
    }


def _classifier(
    cfg: CfgNode, bound: BoundClasses | None, vision_language: VisionLanguageEncoder | None, text_encoder: TextEncoder | None
) -> dict[str, Any]:
    keys = cfg.MODEL.METASEGNET
    if bound is not None:
        return {"words": None, "classifier": nn.Conv2d(keys.DIM, len(bound), 1), "bound": bound}
    if vision_language is not None:  # its words and what its image tower sees are near to each other already
        embed_dim, words = vision_language.dim, None
    else:
        assert text_encoder is not None
        embed_dim, words = keys.DIM, nn.Linear(text_encoder.dim, keys.DIM)
    return {
        "words": words,
        "classifier": CosineClassifier(dim=keys.DIM, embed_dim=embed_dim, temperature=keys.TEMPERATURE),
    }


def _check(cfg: CfgNode) -> None:
    """Refuse what cannot be built, before an encoder is."""
    keys = cfg.MODEL.METASEGNET
    for key, choices in CHOICES.items():
        if keys[key] not in choices:
            raise ConfigError(f"MODEL.METASEGNET.{key} is {keys[key]!r}; choose {', '.join(choices)}")
    if keys.TRAINING.DICE not in ("class", "pixel"):
        raise ConfigError(f"MODEL.METASEGNET.TRAINING.DICE is {keys.TRAINING.DICE!r}; choose class, pixel")
    if keys.FUSION and not keys.ALIGNMENT:
        raise ConfigError(
            "MODEL.METASEGNET.FUSION reads the text as the alignment leaves it: with ALIGNMENT False it must be False too"
        )
    if keys.IMAGE == "tower" and list(cfg.MODEL.VISION_LANGUAGE.ROTATIONS) != [0]:
        raise ConfigError("MetaSegNet reads images as they are: MODEL.VISION_LANGUAGE.ROTATIONS must be [0]")
    if keys.IMAGE == "tower" and len(keys.LAYERS) != LEVELS:
        raise ConfigError(
            f"MODEL.METASEGNET.LAYERS is {list(keys.LAYERS)}; give {LEVELS} layers, one a level, the finest first"
        )
    for name in ("CE_WEIGHT", "DICE_WEIGHT", "MATCHING_WEIGHT", "QUEUE"):
        if keys.TRAINING[name] < 0:
            raise ConfigError(f"MODEL.METASEGNET.TRAINING.{name} is {keys.TRAINING[name]}; it must be 0 or above")
    if not keys.TRAINING.CE_WEIGHT and not keys.TRAINING.DICE_WEIGHT:
        raise ConfigError("MODEL.METASEGNET.TRAINING: without CE_WEIGHT and DICE_WEIGHT nothing trains the head")
    if not 0 <= keys.TRAINING.LABEL_SMOOTHING < 1:
        raise ConfigError(
            f"MODEL.METASEGNET.TRAINING.LABEL_SMOOTHING is {keys.TRAINING.LABEL_SMOOTHING}; it is a share, 0 to below 1"
        )
    for name, least in (("DIM", 1), ("HEADS", 1), ("JOINT_LAYERS", 0)):
        if keys[name] < least:
            raise ConfigError(f"MODEL.METASEGNET.{name} is {keys[name]}; it must be {least} or above")
    if keys.TEMPERATURE <= 0:
        raise ConfigError(f"MODEL.METASEGNET.TEMPERATURE is {keys.TEMPERATURE}; it must be above 0")
