"""From a configuration to the parts of TSMNet."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from detectron2.config import CfgNode
from torch import nn

from ovrs.errors import ConfigError
from ovrs.modeling.blocks.context_decoder import ContextDecoder
from ovrs.modeling.blocks.contrastive import SceneContrast
from ovrs.modeling.blocks.cosine_classifier import CosineClassifier
from ovrs.modeling.blocks.feature_pyramid import FeaturePyramid, PyramidHead
from ovrs.modeling.blocks.level_adapters import LevelAdapters
from ovrs.modeling.blocks.modality_fusion import ModalityFusion
from ovrs.modeling.blocks.rectification import FeatureRectification
from ovrs.modeling.blocks.scene_fusion import SceneFusion
from ovrs.modeling.bound_classes import BoundClasses
from ovrs.modeling.build import build_vision_language, model_parts, training_classes
from ovrs.modeling.build_backbones import build_text_encoder
from ovrs.modeling.encoders.clip_image import ClipImage
from ovrs.modeling.encoders.learned_context import LearnedContext, LearnedOffset
from ovrs.modeling.encoders.text import ClipText
from ovrs.modeling.encoders.text_tokens import TextEncoder
from ovrs.modeling.encoders.tower_levels import TowerLevels
from ovrs.modeling.encoders.vision_language import VisionLanguageEncoder
from ovrs.modeling.paired_inputs import MODALITIES
from ovrs.modeling.paired_towers import PairedTowers
from ovrs.modeling.segmentation_model import PixelNormalization
from ovrs.modeling.softmax_losses import LossWeights

LEVELS = 4  # at a quarter, a half, once and twice the side of a patch
OPEN = "MODEL.TSMNET.CLASS_WORDS True with SCORE_FUSION text_prior takes any number"
SAR_SCALES = ("8bit", "db")
CHOICES = {
    "MODALITIES": MODALITIES,
    "RECTIFICATION": ("sequential", "parallel", "none"),
    "SCORE_SOURCE": ("fused", "optical"),
    "SCORE_FUSION": ("text_prior", "concat"),
    "SCENE_ENCODER": ("clip", "bert", "minilm"),
}


def tsmnet_parts(cfg: CfgNode) -> dict[str, Any]:
    """The arguments of :class:`~ovrs.modeling.tsmnet.TSMNet`."""
    keys = cfg.MODEL.TSMNET
    _check(cfg)
    vision_language = build_vision_language(cfg)
    visual = vision_language.visual
    _check_tower(cfg, visual)
    towers = _towers(cfg, vision_language)
    scene_encoder = _scene_encoder(cfg, vision_language)
    closed = not keys.CLASS_WORDS or keys.SCORE_FUSION == "concat"
    bound = BoundClasses(training_classes(cfg, "the head", OPEN), OPEN) if closed else None
    beside = 0 if not keys.CLASS_WORDS else vision_language.dim if bound is None else len(bound)
    parts = {
        **model_parts(cfg),
        "vision_language": vision_language,
        "towers": towers,
        "temperature": keys.TEMPERATURE,
        "bound": bound,
        "pyramid": FeaturePyramid(dims=[towers.dim + beside * (level == 2) for level in range(LEVELS)], dim=keys.DIM),
        "head": PyramidHead(dim=keys.DIM, out_dim=keys.DIM, levels=LEVELS, dropout=keys.DROPOUT),
        "classifier": CosineClassifier(dim=keys.DIM, embed_dim=vision_language.dim, temperature=keys.TEMPERATURE)
        if bound is None
        else nn.Conv2d(keys.DIM, len(bound), 1),
        "modalities": keys.MODALITIES,
        "sar_scale": keys.SAR.SCALE,
        "drop_modality": keys.TRAINING.DROP_MODALITY,
        "weights": _weights(cfg),
        **_words(cfg, vision_language, towers),
        **_scene(cfg, vision_language, scene_encoder),
    }
    _train_what_is_read(cfg, vision_language, towers)
    return parts


def _towers(cfg: CfgNode, vision_language: VisionLanguageEncoder) -> PairedTowers:
    keys, clip = cfg.MODEL.TSMNET, cfg.MODEL.VISION_LANGUAGE
    visual: ClipImage = vision_language.visual  # type: ignore[assignment]
    levels, dim = TowerLevels.of(visual, keys.LAYERS), _level_dim(cfg, visual)
    sar_tower = deepcopy(visual)
    sar_tower.cut(levels.blocks[-1])
    strides = [visual.patch // 4, visual.patch // 2, visual.patch, 2 * visual.patch]
    optical, sar = (
        LevelAdapters(channels=levels.channels, from_strides=levels.strides, dim=dim, strides=strides) for _ in range(2)
    )
    return PairedTowers(
        optical_normalization=PixelNormalization(clip.PIXEL_MEAN, clip.PIXEL_STD),
        sar_normalization=PixelNormalization(keys.SAR.PIXEL_MEAN, keys.SAR.PIXEL_STD),
        sar_tower=sar_tower,
        tower_levels=levels,
        adapters=(optical, sar),
        dim=dim,
        strides=strides,
        rectification=None if keys.RECTIFICATION == "none" else FeatureRectification(dim=dim, order=keys.RECTIFICATION),
        fusion=ModalityFusion(dim=dim, exchange=keys.EXCHANGE),
        scales=(keys.SCALES[0], keys.SCALES[1]),
        batch_statistics=vision_language.train_mode == "full",
    )


def _level_dim(cfg: CfgNode, visual: ClipImage) -> int:
    return cfg.MODEL.TSMNET.LEVEL_DIM or visual.width


def _words(cfg: CfgNode, vision_language: VisionLanguageEncoder, towers: PairedTowers) -> dict[str, Any]:
    """Section 2.3."""
    keys, dim = cfg.MODEL.TSMNET, vision_language.dim
    if not keys.CLASS_WORDS:
        return {"context": None, "score_projection": None, "context_decoder": None}
    tower = vision_language.text_tower
    context: LearnedContext | LearnedOffset | None = None
    if keys.CONTEXT_LENGTH and isinstance(tower, ClipText):
        context = LearnedContext(length=keys.CONTEXT_LENGTH, width=tower.width)
    elif keys.CONTEXT_LENGTH:
        context = LearnedOffset(dim=dim)
    return {
        "context": context,
        "score_projection": nn.Conv2d(towers.dim, dim, 1) if keys.SCORE_SOURCE == "fused" else None,
        "context_decoder": ContextDecoder(
            embed_dim=dim,
            dim=keys.CONTEXT_DIM,
            heads=keys.CONTEXT_HEADS,
            layers=keys.CONTEXT_LAYERS,
            dropout=keys.CONTEXT_DROPOUT,
            gamma=keys.GAMMA,
        ),
    }


def _scene_encoder(cfg: CfgNode, vision_language: VisionLanguageEncoder) -> TextEncoder | None:
    keys, name = cfg.MODEL.TSMNET, cfg.MODEL.TEXT.NAME
    if not keys.SCENE:
        return None
    if keys.SCENE_ENCODER == "clip":
        if not isinstance(vision_language.text_tower, ClipText):
            raise ConfigError("MODEL.TSMNET.SCENE_ENCODER is clip, but the text tower is not CLIP's; choose bert or minilm")
        return None
    if name != keys.SCENE_ENCODER:
        raise ConfigError(f"MODEL.TSMNET.SCENE_ENCODER is {keys.SCENE_ENCODER!r}, but MODEL.TEXT.NAME is {name!r}")
    return build_text_encoder(cfg)


def _scene(cfg: CfgNode, vision_language: VisionLanguageEncoder, encoder: TextEncoder | None) -> dict[str, Any]:
    """Section 2.4."""
    keys = cfg.MODEL.TSMNET
    text_dim = vision_language.dim if encoder is None else encoder.dim
    fusion = nn.ModuleList(
        SceneFusion(dim=keys.DIM, text_dim=text_dim, heads=keys.SCENE_HEADS) for _ in range(LEVELS if keys.SCENE else 0)
    )
    contrast = keys.SCENE and keys.TRAINING.SCENE_WEIGHT > 0
    return {
        "scene_encoder": encoder,
        "scene_fusion": fusion if keys.SCENE else None,
        "scene_contrast": SceneContrast(dims=[keys.DIM] * LEVELS, text_dim=text_dim) if contrast else None,
    }


def _weights(cfg: CfgNode) -> LossWeights:
    keys = cfg.MODEL.TSMNET.TRAINING
    return LossWeights(object=keys.OBJECT_WEIGHT, scene=keys.SCENE_WEIGHT, ce=keys.CE_WEIGHT, dice=keys.DICE_WEIGHT)


def _train_what_is_read(cfg: CfgNode, vision_language: VisionLanguageEncoder, towers: PairedTowers) -> None:
    """Freeze what no loss depends on, and let what the levels read of the last block train as the rest does.

    ``MODEL.VISION_LANGUAGE.TRAIN`` says how both towers train.
    """
    keys, mode = cfg.MODEL.TSMNET, vision_language.train_mode
    visual: ClipImage = vision_language.visual  # type: ignore[assignment]
    for tower in (visual, towers.sar_tower):
        if visual.usable_blocks + 1 in towers.tower_levels.blocks:  # there alone its attention is read
            attention = tower.transformer.resblocks[-1].attn
            attention.q_proj_weight.requires_grad_(mode != "freeze")
            attention.k_proj_weight.requires_grad_(mode in ("image", "full"))
    if not keys.CLASS_WORDS:  # nothing reads the embeddings of patches
        visual.ln_post.requires_grad_(False)
        visual.proj.requires_grad_(False)
        visual.transformer.resblocks[towers.tower_levels.blocks[-1] :].requires_grad_(False)
        vision_language.text_tower.requires_grad_(False)
    if keys.MODALITIES == "optical":
        for part in (towers.sar_bands, towers.sar_tower, towers.sar_adapters):
            part.requires_grad_(False)
    if keys.MODALITIES == "sar":
        for part in (visual, towers.optical_adapters):
            part.requires_grad_(False)


def _check(cfg: CfgNode) -> None:
    """Refuse what cannot be built, before an encoder is."""
    keys, clip = cfg.MODEL.TSMNET, cfg.MODEL.VISION_LANGUAGE
    for key, choices in CHOICES.items():
        if keys[key] not in choices:
            raise ConfigError(f"MODEL.TSMNET.{key} is {keys[key]!r}; choose {', '.join(choices)}")
    if list(clip.ROTATIONS) != [0]:
        raise ConfigError("TSMNet reads images as they are: MODEL.VISION_LANGUAGE.ROTATIONS must be [0]")
    if len(keys.LAYERS) != LEVELS:
        raise ConfigError(f"MODEL.TSMNET.LAYERS is {list(keys.LAYERS)}; give {LEVELS} layers, one a level, the finest first")
    _check_sar(keys.SAR)
    if len(keys.SCALES) != 2:
        raise ConfigError(f"MODEL.TSMNET.SCALES is {list(keys.SCALES)}; give that of the optical levels and that of SAR's")
    if keys.MODALITIES == "sar" and keys.SCORE_SOURCE == "optical":
        raise ConfigError("MODEL.TSMNET.SCORE_SOURCE is optical, but MODALITIES sar reads no optical image; choose fused")
    if not 0 <= keys.TRAINING.DROP_MODALITY <= 1:
        raise ConfigError(f"MODEL.TSMNET.TRAINING.DROP_MODALITY is {keys.TRAINING.DROP_MODALITY}; it is a share, 0 to 1")
    for name in ("OBJECT_WEIGHT", "SCENE_WEIGHT", "CE_WEIGHT", "DICE_WEIGHT"):
        if keys.TRAINING[name] < 0:
            raise ConfigError(f"MODEL.TSMNET.TRAINING.{name} is {keys.TRAINING[name]}; it must be 0 or above")
    if not keys.TRAINING.CE_WEIGHT and not keys.TRAINING.DICE_WEIGHT:
        raise ConfigError("MODEL.TSMNET.TRAINING: without CE_WEIGHT and DICE_WEIGHT nothing trains the head")
    for name, least in (("DIM", 1), ("LEVEL_DIM", 0), ("CONTEXT_LENGTH", 0), ("CONTEXT_LAYERS", 1)):
        if keys[name] < least:
            raise ConfigError(f"MODEL.TSMNET.{name} is {keys[name]}; it must be {least} or above")
    if keys.TEMPERATURE <= 0:
        raise ConfigError(f"MODEL.TSMNET.TEMPERATURE is {keys.TEMPERATURE}; it must be above 0")


def _check_sar(keys: CfgNode) -> None:
    mean, std = keys.PIXEL_MEAN, keys.PIXEL_STD
    if not 1 <= len(mean) <= 2 or len(mean) != len(std) or min(std) <= 0:
        raise ConfigError(
            f"MODEL.TSMNET.SAR.PIXEL_MEAN {list(mean)} and PIXEL_STD {list(std)}: give one entry a polarisation, one or two, "
            "deviations above 0"
        )
    if keys.SCALE not in SAR_SCALES:
        raise ConfigError(f"MODEL.TSMNET.SAR.SCALE is {keys.SCALE!r}; choose {', '.join(SAR_SCALES)}")
    if keys.SCALE == "8bit" and not (min(mean) >= 0 and max(mean) <= 255):
        raise ConfigError(
            f"MODEL.TSMNET.SAR.PIXEL_MEAN {list(mean)} is none of 0..255 as SCALE 8bit says; are these decibels (db)?"
        )


def _check_tower(cfg: CfgNode, visual: nn.Module) -> None:
    name = cfg.MODEL.VISION_LANGUAGE.NAME
    if not isinstance(visual, ClipImage):
        raise ConfigError(f"MODEL.VISION_LANGUAGE.NAME is {name!r}; TSMNet reads CLIP's vision transformers alone")
    if visual.patch % 4:
        raise ConfigError(
            f"{name} has patches of {visual.patch} pixels; TSMNet needs a multiple of 4; choose ViT-B-16-quickgelu"
        )
