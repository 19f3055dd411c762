"""From a configuration to the parts that systems share; each system's own are in a ``build_<system>.py`` beside this file."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import torch
from detectron2.config import CfgNode
from detectron2.data.transforms import Augmentation, ResizeShortestEdge

from ovrs.data.catalog import register_files, vocabulary_of
from ovrs.data.folds import trained_classes
from ovrs.data.mapper import SegmentationMapper
from ovrs.errors import ConfigError
from ovrs.modeling.checkpoints import load_vision_language
from ovrs.modeling.encoders.backbones import BackboneStem
from ovrs.modeling.encoders.guidance import build_guidance
from ovrs.modeling.encoders.guidance_cache import CachedGuidance
from ovrs.modeling.encoders.guidance_contract import GuidanceEncoder
from ovrs.modeling.encoders.small import build_small, build_small_tower
from ovrs.modeling.encoders.tower_guidance import TowerGuidance
from ovrs.modeling.encoders.vision_language import VisionLanguageEncoder
from ovrs.modeling.fitting import parameters_on_meta
from ovrs.modeling.losses import Ignored, Reduction
from ovrs.modeling.pretrained import IMAGENET, load_backbone, load_guidance
from ovrs.modeling.prompts import CLIMATE, templates
from ovrs.modeling.published.configured import configured_weights
from ovrs.modeling.published.entry import Part
from ovrs.modeling.windows import InferenceSettings
from ovrs.vocabulary import VocabularyClass, normalized

logger = logging.getLogger(__name__)


def shared_parts(cfg: CfgNode) -> dict[str, Any]:
    """The arguments of :class:`~ovrs.modeling.vision_language_model.VisionLanguageModel`."""
    reads = cfg.MODEL.PROMPTS == CLIMATE
    return {
        "vision_language": build_vision_language(cfg),
        "reads_class_descriptions": reads,
        **model_parts(cfg, class_descriptions=reads),
    }


def model_parts(cfg: CfgNode, *, class_descriptions: bool = False) -> dict[str, Any]:
    """The arguments of :class:`~ovrs.modeling.segmentation_model.SegmentationModel`.

    Raises:
        ConfigError: prompts that there are not, or that hold sentences of classes where the system reads no
            ``class_descriptions``.
    """
    if cfg.MODEL.PROMPTS == CLIMATE and not class_descriptions:
        raise ConfigError(
            f"MODEL.PROMPTS {CLIMATE} averages embeddings of a class, which {cfg.MODEL.META_ARCHITECTURE} does not do; choose "
            "alone or another preset. AerOSeg and RSZeroSeg read it"
        )
    return {
        "templates": templates(cfg.MODEL.PROMPTS),
        "precision": cfg.MODEL.PRECISION,
        "fixed_size": cfg.MODEL.FIXED_SIZE,
        "class_chunk": cfg.MODEL.CLASS_CHUNK,
        "inference": InferenceSettings(cfg.TEST.INFERENCE, cfg.TEST.TILE, cfg.TEST.OVERLAP, cfg.TEST.GLOBAL_VIEW),
    }


def build_vision_language(cfg: CfgNode) -> VisionLanguageEncoder:
    """The encoder under ``MODEL.VISION_LANGUAGE``, with its own weights where a file is named."""
    keys = cfg.MODEL.VISION_LANGUAGE
    weights = encoder_weights(keys, "vision_language")
    taps = cfg.MODEL.GUIDANCE.LAYERS if cfg.MODEL.GUIDANCE.NAME == "clip" else []
    if keys.NAME == "small":
        encoder = build_small(**_small_sizes(cfg), taps=taps, train=keys.TRAIN)
    else:
        # Imported where it is asked for: open_clip and transformers take longer to import than a small model to answer.
        from ovrs.modeling.encoders.open_clip_models import build_open_clip

        beside_weights = str(Path(weights).parent) if weights else ""
        # Where a file gives every value, nothing is initialised: the parameters have no memory until it is read.
        with torch.device("meta") if weights else nullcontext():
            encoder = build_open_clip(keys.NAME, taps=taps, train=keys.TRAIN, tokenizer=keys.TOKENIZER or beside_weights)
    if keys.NAME == "small" and keys.SMALL.STEM_WEIGHTS:
        stem = encoder.visual.conv1
        if not isinstance(stem, BackboneStem):
            raise ConfigError("MODEL.VISION_LANGUAGE.SMALL.STEM_WEIGHTS needs a STEM timm:<model>")
        load_backbone(stem.backbone, keys.SMALL.STEM.removeprefix("timm:"), keys.SMALL.STEM_WEIGHTS)
    if weights:
        load_vision_language(encoder, weights)
    elif keys.NAME != "small" and not cfg.MODEL.WEIGHTS:
        logger.warning("%s has random weights: neither MODEL.VISION_LANGUAGE.WEIGHTS nor MODEL.WEIGHTS names a file", keys.NAME)
    return encoder


def _small_sizes(cfg: CfgNode) -> dict[str, Any]:
    small = cfg.MODEL.VISION_LANGUAGE.SMALL
    return {
        "image_size": small.IMAGE_SIZE,
        "patch": small.PATCH,
        "width": small.WIDTH,
        "layers": small.LAYERS,
        "heads": small.HEADS,
        "dim": small.EMBED_DIM,
        "stem": small.STEM,
    }


def encoder_weights(keys: CfgNode, part: Part) -> str:
    """The file that an encoder's ``WEIGHTS`` names, by its path or as the table of published weights does."""
    if keys.WEIGHTS in ("", IMAGENET):
        return str(keys.WEIGHTS)
    return str(configured_weights(keys.WEIGHTS, part=part, architecture=keys.NAME, mean=keys.PIXEL_MEAN, std=keys.PIXEL_STD))


def build_guidance_encoder(cfg: CfgNode, depths: Sequence[str] = ("F_g^1", "F_g^2", "F_g^3")) -> GuidanceEncoder | None:
    """The encoder under ``MODEL.GUIDANCE``; None where the vision-language encoder guides itself.

    Args:
        depths: what the system calls each of the ``LAYERS``.
    """
    keys = cfg.MODEL.GUIDANCE
    if keys.NAME == "clip":
        if len(keys.LAYERS) != 2 or cfg.MODEL.VISION_LANGUAGE.ROTATIONS[0] != 0:
            raise ConfigError("MODEL.GUIDANCE.NAME clip needs two LAYERS and ROTATIONS that begin with 0")
        if keys.CACHE:
            raise ConfigError("MODEL.GUIDANCE.CACHE keeps features of a guidance encoder, and with NAME clip there is none")
        return None
    if len(keys.LAYERS) != len(depths):
        wanted = f"{len(depths)} {'entry' if len(depths) == 1 else 'entries'} ({', '.join(depths)})"
        raise ConfigError(f"MODEL.GUIDANCE.LAYERS needs {wanted}, got {list(keys.LAYERS)}")
    weights = encoder_weights(keys, "guidance")
    with parameters_on_meta() if weights else nullcontext():
        encoder = _guidance_by_name(cfg)
    encoder.set_trainable(keys.TRAIN)
    encoder.unit_variance = keys.UNIT_VARIANCE
    if weights:
        load_guidance(encoder, weights)
    elif not cfg.MODEL.WEIGHTS:
        logger.warning("%s has random weights: neither MODEL.GUIDANCE.WEIGHTS nor MODEL.WEIGHTS names a file", keys.NAME)
    return _cached(cfg, encoder) if keys.CACHE else encoder


def _guidance_by_name(cfg: CfgNode) -> GuidanceEncoder:
    keys = cfg.MODEL.GUIDANCE
    if keys.NAME == "small":
        return TowerGuidance(build_small_tower(**_small_sizes(cfg)), list(keys.LAYERS))
    return build_guidance(keys.NAME, list(keys.LAYERS))


def pixel_loss(cfg: CfgNode) -> dict[str, Any]:
    """What :func:`~ovrs.modeling.losses.segmentation_loss` makes of unlabelled pixels and of the number of classes.

    Raises:
        ConfigError: a word that is none of the choices.
    """
    loss = cfg.MODEL.LOSS
    for key, choices in (("IGNORED", get_args(Ignored)), ("REDUCTION", get_args(Reduction))):
        if loss[key] not in choices:
            raise ConfigError(f"MODEL.LOSS.{key} is {loss[key]!r}; choose {' or '.join(choices)}")
    return {"ignored": loss.IGNORED, "reduction": loss.REDUCTION}


def training_classes(cfg: CfgNode, part: str, way_out: str) -> tuple[VocabularyClass, ...]:
    """The classes that the training sets give labels of, with the synonyms of all; they must have the same ones.

    Args:
        part: of the system, which is bound to them.
        way_out: what to choose where they differ.

    Raises:
        ConfigError: there is no training set, or two have different classes.
    """
    register_files(cfg.DATASETS.FILES)
    if not cfg.DATASETS.TRAIN:
        raise ConfigError(f"DATASETS.TRAIN is empty: {part} is bound to the classes of the training sets; {way_out}")
    seen_only = cfg.DATASETS.TRAIN_CLASSES == "seen"
    classes = [
        trained_classes(vocabulary_of(name), seen_only=seen_only, hidden=cfg.DATASETS.HIDDEN_CLASSES)
        for name in cfg.DATASETS.TRAIN
    ]
    names = [[cls.name for cls in kept.values()] for kept in classes]
    for name, others in zip(cfg.DATASETS.TRAIN, names, strict=True):
        if others != names[0]:
            raise ConfigError(
                f"DATASETS.TRAIN: {part} is bound to one list of classes, and {cfg.DATASETS.TRAIN[0]} and {name} have "
                f"different ones; {way_out}"
            )
    return tuple(_with_all_synonyms(same) for same in zip(*(kept.values() for kept in classes), strict=True))


def _with_all_synonyms(same: Sequence[VocabularyClass]) -> VocabularyClass:
    """The first of ``same``, a class as several data sets have it, with the synonyms of each."""
    words = {normalized(word): word for cls in reversed(same) for word in reversed(cls.words)}
    first = same[0]
    return replace(first, synonyms=tuple(word for key, word in reversed(words.items()) if key != normalized(first.name)))


def check_decoder(cfg: CfgNode, channels: int) -> None:
    """Refuse sizes with which the cost volume's embedding and the upsampling decoder cannot be built.

    Args:
        channels: those that enter the decoder.

    Raises:
        ConfigError: names them.
    """
    model = cfg.MODEL
    dims, guidance_dims = model.DECODER.DIMS, model.GUIDANCE.DECODER_DIMS
    for key, given in (("MODEL.DECODER.DIMS", dims), ("MODEL.GUIDANCE.DECODER_DIMS", guidance_dims)):
        if len(given) != 2:
            raise ConfigError(f"{key} needs two entries, for the stages at 2x and 4x; got {list(given)}")
    if any(guided >= entering for guided, entering in zip(guidance_dims, (channels, dims[0]), strict=True)):
        raise ConfigError(
            f"MODEL.GUIDANCE.DECODER_DIMS is {list(guidance_dims)}; they must be below the channels that enter the "
            f"decoder's two stages, {channels} and {dims[0]}"
        )
    if model.COST.KERNEL < 1 or model.COST.KERNEL % 2 == 0:
        raise ConfigError(f"MODEL.COST.KERNEL is {model.COST.KERNEL}; it must be odd")


def _cached(cfg: CfgNode, encoder: GuidanceEncoder) -> GuidanceEncoder:
    """The encoder with its features kept on disk; refused where an image is never the same twice."""
    drawn = [type(step).__name__ for step in SegmentationMapper(cfg, True).augmentations.augs if not _always_the_same(step)]
    if drawn:
        raise ConfigError(
            f"MODEL.GUIDANCE.CACHE keeps features of images that come back as they were, but INPUT asks for "
            f"{', '.join(dict.fromkeys(drawn))}; turn these off (CROP_SIZE 0, SCALE_JITTER (), FLIP, QUARTER_TURNS and "
            "COLOR_JITTER False, one MIN_SIZE_TRAIN), or the cache"
        )
    return CachedGuidance(encoder, cfg.MODEL.GUIDANCE.CACHE, cfg.MODEL.GUIDANCE.CACHE_PRECISION)


def _always_the_same(step: Augmentation) -> bool:
    return isinstance(step, ResizeShortestEdge) and len(set(step.short_edge_length)) == 1
