"""From a configuration to the parts of a system: the one place where configuration keys become constructor arguments."""

from __future__ import annotations

import logging
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.data.transforms import Augmentation, ResizeShortestEdge
from torch import nn

from ovrs.data.catalog import register_files, vocabulary_of
from ovrs.data.folds import trained_classes
from ovrs.data.mapper import SegmentationMapper
from ovrs.errors import ConfigError
from ovrs.modeling.blocks.back_projection import SemanticBackProjection
from ovrs.modeling.blocks.class_refinement import ClassRefinement
from ovrs.modeling.blocks.cost_volume import CostEmbedding
from ovrs.modeling.blocks.guidance_projection import GuidanceProjection
from ovrs.modeling.blocks.refinement import RefinementBlock
from ovrs.modeling.blocks.spatial_refinement import SpatialRefinement
from ovrs.modeling.blocks.upsampling import UpsamplingDecoder
from ovrs.modeling.checkpoints import load_vision_language
from ovrs.modeling.encoders.backbones import BackboneStem
from ovrs.modeling.encoders.guidance import build_guidance
from ovrs.modeling.encoders.guidance_cache import CachedGuidance
from ovrs.modeling.encoders.guidance_contract import GuidanceEncoder
from ovrs.modeling.encoders.vision_language import VisionLanguageEncoder, build_open_clip, build_small
from ovrs.modeling.fitting import parameters_on_meta
from ovrs.modeling.losses import LossSettings
from ovrs.modeling.pretrained import IMAGENET, load_backbone, load_guidance
from ovrs.modeling.published.configured import configured_weights
from ovrs.modeling.published.entry import Part
from ovrs.modeling.segmentation_model import PixelNormalization
from ovrs.modeling.windows import InferenceSettings
from ovrs.vocabulary import TEMPLATES

logger = logging.getLogger(__name__)


def shared_parts(cfg: CfgNode) -> dict[str, Any]:
    """The arguments of :class:`~ovrs.modeling.segmentation_model.SegmentationModel`."""
    return {
        "vision_language": build_vision_language(cfg),
        "templates": templates(cfg.MODEL.PROMPTS),
        "precision": cfg.MODEL.PRECISION,
        "fixed_size": cfg.MODEL.FIXED_SIZE,
        "class_chunk": cfg.MODEL.CLASS_CHUNK,
        "inference": InferenceSettings(cfg.TEST.INFERENCE, cfg.TEST.TILE, cfg.TEST.OVERLAP, cfg.TEST.GLOBAL_VIEW),
    }


def templates(prompts: str | list[str]) -> tuple[str, ...]:
    """A preset's templates by name, or the list as it is."""
    if not isinstance(prompts, str):
        return tuple(prompts)
    if prompts not in TEMPLATES:
        raise ConfigError(f"MODEL.PROMPTS is {prompts!r}; choose {', '.join(TEMPLATES)}, or give a list of templates")
    return TEMPLATES[prompts]


def build_vision_language(cfg: CfgNode) -> VisionLanguageEncoder:
    """The encoder under ``MODEL.VISION_LANGUAGE``, with its own weights where a file is named."""
    keys = cfg.MODEL.VISION_LANGUAGE
    weights = _weights(keys, "vision_language")
    taps = cfg.MODEL.GUIDANCE.LAYERS if cfg.MODEL.GUIDANCE.NAME == "clip" else []
    if keys.NAME == "small":
        small = keys.SMALL
        encoder = build_small(
            image_size=small.IMAGE_SIZE,
            patch=small.PATCH,
            width=small.WIDTH,
            layers=small.LAYERS,
            heads=small.HEADS,
            dim=small.EMBED_DIM,
            stem=small.STEM,
            taps=taps,
            train=keys.TRAIN,
        )
    else:
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


def _weights(keys: CfgNode, part: Part) -> str:
    """The file that an encoder's ``WEIGHTS`` names, by its path or as the table of published weights does."""
    if keys.WEIGHTS in ("", IMAGENET):
        return str(keys.WEIGHTS)
    return str(configured_weights(keys.WEIGHTS, part=part, architecture=keys.NAME, mean=keys.PIXEL_MEAN, std=keys.PIXEL_STD))


def build_guidance_encoder(cfg: CfgNode) -> GuidanceEncoder | None:
    """The encoder under ``MODEL.GUIDANCE``; None where the vision-language encoder guides itself."""
    keys = cfg.MODEL.GUIDANCE
    if keys.NAME == "clip":
        if len(keys.LAYERS) != 2 or cfg.MODEL.VISION_LANGUAGE.ROTATIONS[0] != 0:
            raise ConfigError("MODEL.GUIDANCE.NAME clip needs two LAYERS and ROTATIONS that begin with 0")
        if keys.CACHE:
            raise ConfigError("MODEL.GUIDANCE.CACHE keeps features of a guidance encoder, and with NAME clip there is none")
        return None
    if len(keys.LAYERS) != 3:
        raise ConfigError(f"MODEL.GUIDANCE.LAYERS needs three entries (F_g^1, F_g^2, F_g^3), got {list(keys.LAYERS)}")
    weights = _weights(keys, "guidance")
    with parameters_on_meta() if weights else nullcontext():
        encoder = build_guidance(keys.NAME, list(keys.LAYERS), train=keys.TRAIN, unit_variance=keys.UNIT_VARIANCE)
    if weights:
        load_guidance(encoder, weights)
    elif not cfg.MODEL.WEIGHTS:
        logger.warning("%s has random weights: neither MODEL.GUIDANCE.WEIGHTS nor MODEL.WEIGHTS names a file", keys.NAME)
    return _cached(cfg, encoder) if keys.CACHE else encoder


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


def aeroseg_parts(cfg: CfgNode) -> dict[str, Any]:
    """The arguments of :class:`~ovrs.modeling.aeroseg.AerOSeg`."""
    model = cfg.MODEL
    shared = shared_parts(cfg)
    vision_language: VisionLanguageEncoder = shared["vision_language"]
    encoder = build_guidance_encoder(cfg)
    if encoder is None:
        # The dense embeddings guide the spatial blocks; blocks later, earlier the decoder (see AerOSeg._guidance).
        channels = [vision_language.width, vision_language.width, vision_language.dim]
    else:
        channels = [encoder.channels[layer] for layer in encoder.layers]
    _check_sizes(cfg)
    rotations = list(model.VISION_LANGUAGE.ROTATIONS)
    guidance, refine, loss = model.GUIDANCE, model.REFINEMENT, model.LOSS
    blocks = [
        RefinementBlock(
            spatial=SpatialRefinement(
                dim=model.COST.DIM, guidance_dim=guidance.SPATIAL_DIM, heads=refine.HEADS, window=refine.WINDOW
            ),
            classes=ClassRefinement(
                dim=model.COST.DIM,
                text_dim=guidance.TEXT_DIM,
                heads=refine.HEADS,
                padding=refine.CLASS_PADDING,
                fold=refine.FOLD_PADDING,
            ),
        )
        for _ in range(refine.BLOCKS)
    ]
    return {
        **shared,
        "vision_normalization": PixelNormalization(model.VISION_LANGUAGE.PIXEL_MEAN, model.VISION_LANGUAGE.PIXEL_STD),
        "guidance_encoder": encoder,
        "guidance_normalization": PixelNormalization(guidance.PIXEL_MEAN, guidance.PIXEL_STD),
        "guidance_size": guidance.INPUT_SIZE,
        "rotations": rotations,
        "cost_embedding": CostEmbedding(
            channels=len(rotations) * len(shared["templates"]), dim=model.COST.DIM, kernel=model.COST.KERNEL
        ),
        "spatial_guidance": GuidanceProjection(channels=channels[2], dim=guidance.SPATIAL_DIM),
        "text_guidance": nn.Sequential(nn.Linear(vision_language.dim, guidance.TEXT_DIM), nn.ReLU()),
        "decoder_guidance": nn.ModuleList(_decoder_guidance(cfg, channels)),
        "refinement": nn.ModuleList(blocks),
        "decoder": UpsamplingDecoder(
            dim=model.COST.DIM, dims=model.DECODER.DIMS, guidance_dims=guidance.DECODER_DIMS, attention=model.DECODER.ATTENTION
        ),
        "back_projection": _back_projection(cfg, {"guidance": channels[2], "clip": vision_language.dim, "rgb": 3}),
        "back_target": model.BACK_PROJECTION.TARGET,
        "max_classes": model.MAX_CLASSES,
        "pooling": (refine.POOLING_TRAIN, refine.POOLING_TEST),
        "loss": LossSettings(
            ignored=loss.IGNORED,
            reduction=loss.REDUCTION,
            bce_weight=loss.BCE_WEIGHT,
            semantic_weight=loss.SEMANTIC_WEIGHT,
            semantic_reduction=loss.SEMANTIC_REDUCTION,
            alignment_weight=loss.ALIGNMENT_WEIGHT,
        ),
    }


def _decoder_guidance(cfg: CfgNode, channels: list[int]) -> list[GuidanceProjection]:
    """Projections of F_g^2 to the 2x stage and of F_g^1 to the 4x stage (eq. 10)."""
    keys = cfg.MODEL.GUIDANCE
    # CAT-Seg's transposed convolutions go to 256 channels at 2x and 128 at 4x: eight times what the stages take.
    return [
        GuidanceProjection(channels=width, dim=dim, upsample=keys.UPSAMPLE, scale=scale, middle=8 * dim)
        for width, dim, scale in zip((channels[1], channels[0]), keys.DECODER_DIMS, (2, 4), strict=True)
    ]


def _back_projection(cfg: CfgNode, dims: dict[str, int]) -> SemanticBackProjection | None:
    """T^sem for the training set's classes; None where it is off or there is nothing to train on."""
    keys = cfg.MODEL.BACK_PROJECTION
    if keys.TARGET == "none":
        return None
    if keys.TARGET not in dims:
        raise ConfigError(f"MODEL.BACK_PROJECTION.TARGET is {keys.TARGET!r}; choose {', '.join(dims)} or none")
    if not (keys.POOL_CLASSES or cfg.DATASETS.TRAIN):
        return None
    classes = 0 if keys.POOL_CLASSES else _training_classes(cfg)
    return SemanticBackProjection(classes=classes, dim=cfg.MODEL.COST.DIM, hidden=keys.HIDDEN, target_dim=dims[keys.TARGET])


def _training_classes(cfg: CfgNode) -> int:
    """How many classes the training sets give labels of; they must have the same ones."""
    register_files(cfg.DATASETS.FILES)
    seen_only = cfg.DATASETS.TRAIN_CLASSES == "seen"
    classes = [
        trained_classes(vocabulary_of(name), seen_only=seen_only, hidden=cfg.DATASETS.HIDDEN_CLASSES)
        for name in cfg.DATASETS.TRAIN
    ]
    names = [[cls.name for cls in kept.values()] for kept in classes]
    for name, others in zip(cfg.DATASETS.TRAIN, names, strict=True):
        if others != names[0]:
            raise ConfigError(
                f"DATASETS.TRAIN: back-projection is bound to one list of classes, and {cfg.DATASETS.TRAIN[0]} and {name} have "
                "different ones; MODEL.BACK_PROJECTION.POOL_CLASSES True trains on any number"
            )
    return len(names[0])


def _check_sizes(cfg: CfgNode) -> None:
    model = cfg.MODEL
    if model.REFINEMENT.HEADS < 1 or model.COST.DIM % model.REFINEMENT.HEADS or model.REFINEMENT.WINDOW < 1:
        raise ConfigError(
            f"MODEL.COST.DIM ({model.COST.DIM}) must be a multiple of MODEL.REFINEMENT.HEADS ({model.REFINEMENT.HEADS}), "
            f"and MODEL.REFINEMENT.WINDOW ({model.REFINEMENT.WINDOW}) positive"
        )
    for key, dims in (("MODEL.DECODER.DIMS", model.DECODER.DIMS), ("MODEL.GUIDANCE.DECODER_DIMS", model.GUIDANCE.DECODER_DIMS)):
        if len(dims) != 2:
            raise ConfigError(f"{key} needs two entries, for the stages at 2x and 4x; got {list(dims)}")
