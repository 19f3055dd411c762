"""From a configuration to the parts of AerOSeg, and of CAT-Seg and OVRS, which are other settings of them."""

from __future__ import annotations

from typing import Any

from detectron2.config import CfgNode
from torch import nn

from ovrs.errors import ConfigError
from ovrs.modeling.blocks.back_projection import SemanticBackProjection
from ovrs.modeling.blocks.class_refinement import ClassRefinement
from ovrs.modeling.blocks.cost_volume import CostEmbedding
from ovrs.modeling.blocks.guidance_projection import GuidanceProjection
from ovrs.modeling.blocks.refinement import RefinementBlock
from ovrs.modeling.blocks.spatial_refinement import SpatialRefinement
from ovrs.modeling.blocks.text_gate import TextGate
from ovrs.modeling.blocks.upsampling import UpsamplingDecoder
from ovrs.modeling.build import build_guidance_encoder, check_decoder, pixel_loss, shared_parts, training_classes
from ovrs.modeling.encoders.vision_language import VisionLanguageEncoder
from ovrs.modeling.losses import LossSettings
from ovrs.modeling.segmentation_model import PixelNormalization

POOLED = "MODEL.BACK_PROJECTION.POOL_CLASSES True trains on any number"


def aeroseg_parts(cfg: CfgNode) -> dict[str, Any]:
    """The arguments of :class:`~ovrs.modeling.aeroseg.AerOSeg`."""
    model, read_rotations = cfg.MODEL, _read_rotations(cfg)
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
        "read_rotations": read_rotations,
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
        "text_gate": _text_gate(cfg) if refine.TEXT_GATE else None,
        "back_projection": _back_projection(cfg, {"guidance": channels[2], "clip": vision_language.dim, "rgb": 3}),
        "back_target": model.BACK_PROJECTION.TARGET,
        "max_classes": model.MAX_CLASSES,
        "pooling": (refine.POOLING_TRAIN, refine.POOLING_TEST),
        "loss": LossSettings(
            **pixel_loss(cfg),
            bce_weight=loss.BCE_WEIGHT,
            semantic_weight=loss.SEMANTIC_WEIGHT,
            semantic_reduction=loss.SEMANTIC_REDUCTION,
            alignment_weight=loss.ALIGNMENT_WEIGHT,
        ),
    }


def _text_gate(cfg: CfgNode) -> TextGate:
    guidance = cfg.MODEL.GUIDANCE
    return TextGate(text_dim=guidance.TEXT_DIM, feature_dim=guidance.SPATIAL_DIM, dim=guidance.TEXT_DIM)


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
    classes = 0 if keys.POOL_CLASSES else len(training_classes(cfg, "back-projection", POOLED))
    return SemanticBackProjection(classes=classes, dim=cfg.MODEL.COST.DIM, hidden=keys.HIDDEN, target_dim=dims[keys.TARGET])


def _read_rotations(cfg: CfgNode) -> list[int]:
    """The rotations of evaluation, the image as it is known by the first of them, on which guidance and losses rest."""
    trained, read = list(cfg.MODEL.VISION_LANGUAGE.ROTATIONS), list(cfg.TEST.ROTATIONS)
    if read and (read[0] != trained[0] or len(set(read)) < len(read) or not set(read) <= set(trained)):
        raise ConfigError(
            f"TEST.ROTATIONS is {read}; give some of MODEL.VISION_LANGUAGE.ROTATIONS, {trained}, each once and {trained[0]} "
            "first, or [] for all of them"
        )
    return read


def _check_sizes(cfg: CfgNode) -> None:
    model = cfg.MODEL
    if model.REFINEMENT.HEADS < 1 or model.COST.DIM % model.REFINEMENT.HEADS or model.REFINEMENT.WINDOW < 1:
        raise ConfigError(
            f"MODEL.COST.DIM ({model.COST.DIM}) must be a multiple of MODEL.REFINEMENT.HEADS ({model.REFINEMENT.HEADS}), "
            f"and MODEL.REFINEMENT.WINDOW ({model.REFINEMENT.WINDOW}) positive"
        )
    check_decoder(cfg, model.COST.DIM)
