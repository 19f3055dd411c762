"""From a configuration to the parts of MAFN."""

from __future__ import annotations

from typing import Any

from detectron2.config import CfgNode
from torch import nn

from ovrs.errors import ConfigError
from ovrs.modeling.blocks.adaptive_noise import AdaptiveNoise
from ovrs.modeling.blocks.correlation_fusion import CorrelationFusion
from ovrs.modeling.blocks.cross_scale import CrossScaleInteraction
from ovrs.modeling.blocks.multi_scale_refinement import MultiScaleRefinement, PlainRefinement, TopDownDecoder
from ovrs.modeling.build import build_guidance_encoder, model_parts
from ovrs.modeling.build_backbones import build_image_encoder, build_text_encoder
from ovrs.modeling.encoders.swin import SwinStages
from ovrs.modeling.segmentation_model import PixelNormalization
from ovrs.modeling.stage_guidance import StageGuidance


def mafn_parts(cfg: CfgNode) -> dict[str, Any]:
    """The arguments of :class:`~ovrs.modeling.mafn.MAFN`."""
    model, keys = cfg.MODEL, cfg.MODEL.MAFN
    image_encoder, text_encoder = build_image_encoder(cfg), build_text_encoder(cfg)
    if keys.NOISE:  # after the weights are in place: theirs hold none
        image_encoder.wrap_attention(lambda channels: AdaptiveNoise(dim=channels, heads=keys.HEADS, start=keys.NOISE_START))
    text_encoder.freeze_shift()  # it would cancel in word attention: in the softmax over words, and in the norm over places
    channels = image_encoder.channels
    return {
        **model_parts(cfg),
        "normalization": PixelNormalization(model.IMAGE.PIXEL_MEAN, model.IMAGE.PIXEL_STD),
        "image_encoder": image_encoder,
        "text_encoder": text_encoder,
        "fusions": nn.ModuleList(
            CorrelationFusion(
                dim=width,
                text_dim=text_encoder.dim,
                decoder_input=keys.DECODER_INPUT,
                last=number == len(channels) - 1,
                correlation=keys.CORRELATION,
                radius=keys.RADIUS,
                windows=keys.WINDOWS,
            )
            for number, width in enumerate(channels)
        ),
        "cross_scale": _cross_scale(cfg, image_encoder),
        "decoder": TopDownDecoder(dims=channels, dim=keys.DECODER_DIM, refine=_refinement(cfg)),
        "guidance": _guidance(cfg, image_encoder),
        "blind": keys.BLIND,
    }


def _cross_scale(cfg: CfgNode, image_encoder: SwinStages) -> CrossScaleInteraction | None:
    keys = cfg.MODEL.MAFN
    if not keys.CROSS_SCALE:
        return None
    if len(keys.CROSS_SCALE_GRID) != 2:
        raise ConfigError(f"MODEL.MAFN.CROSS_SCALE_GRID is {list(keys.CROSS_SCALE_GRID)}; give its height and width")
    height, width = keys.CROSS_SCALE_GRID
    return CrossScaleInteraction(dims=image_encoder.channels, grid=(height, width), heads=keys.HEADS, head_dim=keys.HEAD_DIM)


def _refinement(cfg: CfgNode) -> Any:
    keys = cfg.MODEL.MAFN.REFINEMENT
    if not keys.ENABLED:
        return PlainRefinement
    return lambda dim: MultiScaleRefinement(
        dim=dim, kernels=keys.KERNELS, summed=keys.SUM, rotated_kernels=keys.ROTATED_KERNELS, dropout=keys.DROPOUT
    )


def _guidance(cfg: CfgNode, image_encoder: SwinStages) -> StageGuidance | None:
    if not cfg.MODEL.MAFN.GUIDED:
        return None
    names = [f"stage {number}" for number in range(1, len(image_encoder.channels) + 1)]
    encoder = None if cfg.MODEL.GUIDANCE.NAME == "clip" else build_guidance_encoder(cfg, names)
    if encoder is None:
        raise ConfigError("MODEL.MAFN.GUIDED needs an encoder: MODEL.GUIDANCE.NAME clip is none")
    normalization = PixelNormalization(cfg.MODEL.GUIDANCE.PIXEL_MEAN, cfg.MODEL.GUIDANCE.PIXEL_STD)
    return StageGuidance(
        encoder=encoder, normalization=normalization, channels=image_encoder.channels, strides=image_encoder.strides
    )
