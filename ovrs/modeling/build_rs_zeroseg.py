"""From a configuration to the parts of RS-ZeroSeg."""

from __future__ import annotations

from typing import Any

from detectron2.config import CfgNode
from torch import nn

from ovrs.errors import ConfigError
from ovrs.modeling.blocks.category_head import CategoryAdaptiveHead, CosineHead, GatedDecoderHead
from ovrs.modeling.blocks.dual_stream import DualStreamFusion
from ovrs.modeling.blocks.multi_scale_alignment import MultiScaleAlignment
from ovrs.modeling.blocks.text_gate import TextGate
from ovrs.modeling.build import build_guidance_encoder, check_decoder, pixel_loss, shared_parts
from ovrs.modeling.encoders.vision_language import VisionLanguageEncoder
from ovrs.modeling.segmentation_model import PixelNormalization

HEADS = ("carh", "cosine", "decoder")
# Channels of a group of the group norms in the blocks that are shared with AerOSeg's decoder.
GROUP = 16


def rs_zeroseg_parts(cfg: CfgNode) -> dict[str, Any]:
    """The arguments of :class:`~ovrs.modeling.rs_zeroseg.RSZeroSeg`."""
    model, keys = cfg.MODEL, cfg.MODEL.RS_ZEROSEG
    _check(cfg)
    encoder = build_guidance_encoder(cfg, ["F_RSI"])
    assert encoder is not None
    shared = shared_parts(cfg)
    vision_language: VisionLanguageEncoder = shared["vision_language"]
    (layer,) = encoder.layers
    return {
        **shared,
        "vision_normalization": PixelNormalization(model.VISION_LANGUAGE.PIXEL_MEAN, model.VISION_LANGUAGE.PIXEL_STD),
        "guidance_encoder": encoder,
        "guidance_normalization": PixelNormalization(model.GUIDANCE.PIXEL_MEAN, model.GUIDANCE.PIXEL_STD),
        "guidance_size": model.GUIDANCE.INPUT_SIZE,
        "fusion": DualStreamFusion(vision_dim=vision_language.dim, remote_dim=encoder.channels[layer], dim=keys.DIM),
        "multi_scale": MultiScaleAlignment(dim=keys.DIM, out_dim=keys.FEATURE_DIM, heads=keys.HEADS, scales=keys.SCALES),
        "head": _head(cfg, vision_language.dim),
        "text_projection": nn.Linear(keys.FEATURE_DIM, vision_language.dim) if keys.ALIGN_LOSS_WEIGHT else None,
        "align_loss": keys.ALIGN_LOSS,
        "align_loss_weight": keys.ALIGN_LOSS_WEIGHT,
        **pixel_loss(cfg),
    }


def _check(cfg: CfgNode) -> None:
    """Refuse what cannot be built, before an encoder is."""
    model, keys = cfg.MODEL, cfg.MODEL.RS_ZEROSEG
    if list(model.VISION_LANGUAGE.ROTATIONS) != [0]:
        raise ConfigError("RS-ZeroSeg reads images as they are: MODEL.VISION_LANGUAGE.ROTATIONS must be [0]")
    if model.GUIDANCE.NAME == "clip":
        raise ConfigError(
            "RS-ZeroSeg needs a second encoder: MODEL.GUIDANCE.NAME is clip, which adds none; choose timm:<model> or sam_vit_l"
        )
    if keys.HEAD not in HEADS:
        raise ConfigError(f"MODEL.RS_ZEROSEG.HEAD is {keys.HEAD!r}; choose carh, cosine or decoder")
    if keys.ALIGN_LOSS_WEIGHT < 0:
        raise ConfigError(f"MODEL.RS_ZEROSEG.ALIGN_LOSS_WEIGHT is {keys.ALIGN_LOSS_WEIGHT}; it must be 0 or above")
    for name, least in (("DIM", 1), ("HEADS", 1), ("FEATURE_DIM", 1), ("HEAD_DIM", 1), ("GATE_DIM", 0)):
        if keys[name] < least:
            raise ConfigError(f"MODEL.RS_ZEROSEG.{name} is {keys[name]}; it must be {least} or above")
    if keys.DIM % keys.HEADS:
        raise ConfigError(f"MODEL.RS_ZEROSEG.DIM ({keys.DIM}) must be a multiple of MODEL.RS_ZEROSEG.HEADS ({keys.HEADS})")
    if keys.FEATURE_DIM % max(keys.FEATURE_DIM // GROUP, 1):
        raise ConfigError(f"MODEL.RS_ZEROSEG.FEATURE_DIM is {keys.FEATURE_DIM}; choose a multiple of {GROUP}")
    if not all(isinstance(scale, int | float) and 0.001 <= scale <= 1000 for scale in keys.SCALES):
        raise ConfigError(f"MODEL.RS_ZEROSEG.SCALES is {list(keys.SCALES)}; they are multiples of the grid, from 0.001 to 1000")
    if keys.HEAD == "decoder":
        check_decoder(cfg, keys.FEATURE_DIM)


def _head(cfg: CfgNode, text_dim: int) -> nn.Module:
    keys, decoder = cfg.MODEL.RS_ZEROSEG, cfg.MODEL.DECODER
    gate = TextGate(text_dim=text_dim, feature_dim=keys.FEATURE_DIM, dim=keys.GATE_DIM or text_dim)
    if keys.HEAD == "carh":
        return CategoryAdaptiveHead(gate=gate, dim=keys.FEATURE_DIM, hidden=keys.HEAD_DIM)
    if keys.HEAD == "cosine":
        return CosineHead(gate=gate)
    return GatedDecoderHead.build(
        gate=gate,
        dim=keys.FEATURE_DIM,
        kernel=cfg.MODEL.COST.KERNEL,
        dims=decoder.DIMS,
        guidance_dims=cfg.MODEL.GUIDANCE.DECODER_DIMS,
        attention=decoder.ATTENTION,
    )
