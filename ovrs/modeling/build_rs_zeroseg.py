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
from ovrs.modeling.build import build_guidance_encoder, shared_parts
from ovrs.modeling.encoders.vision_language import VisionLanguageEncoder
from ovrs.modeling.segmentation_model import PixelNormalization


def rs_zeroseg_parts(cfg: CfgNode) -> dict[str, Any]:
    """The arguments of :class:`~ovrs.modeling.rs_zeroseg.RSZeroSeg`."""
    model, keys = cfg.MODEL, cfg.MODEL.RS_ZEROSEG
    if list(model.VISION_LANGUAGE.ROTATIONS) != [0]:
        raise ConfigError("RS-ZeroSeg reads images as they are: MODEL.VISION_LANGUAGE.ROTATIONS must be [0]")
    if any(scale <= 0 for scale in keys.SCALES):
        raise ConfigError(f"MODEL.RS_ZEROSEG.SCALES is {list(keys.SCALES)}; multiples of the grid are above 0")
    encoder = None if model.GUIDANCE.NAME == "clip" else build_guidance_encoder(cfg, ["F_RSI"])
    if encoder is None:
        raise ConfigError("RS-ZeroSeg needs a second encoder: MODEL.GUIDANCE.NAME clip is none")
    shared = shared_parts(cfg)
    vision_language: VisionLanguageEncoder = shared["vision_language"]
    (layer,) = encoder.layers
    weight = keys.ALIGNMENT_WEIGHT
    return {
        **shared,
        "vision_normalization": PixelNormalization(model.VISION_LANGUAGE.PIXEL_MEAN, model.VISION_LANGUAGE.PIXEL_STD),
        "guidance_encoder": encoder,
        "guidance_normalization": PixelNormalization(model.GUIDANCE.PIXEL_MEAN, model.GUIDANCE.PIXEL_STD),
        "guidance_size": model.GUIDANCE.INPUT_SIZE,
        "fusion": DualStreamFusion(vision_dim=vision_language.dim, remote_dim=encoder.channels[layer], dim=keys.DIM),
        "alignment": MultiScaleAlignment(dim=keys.DIM, out_dim=keys.FEATURE_DIM, heads=keys.HEADS, scales=keys.SCALES),
        "head": _head(cfg, vision_language.dim),
        "text_projection": nn.Linear(keys.FEATURE_DIM, vision_language.dim) if weight else None,
        "alignment_of": keys.ALIGNMENT,
        "alignment_weight": weight,
        "ignored": model.LOSS.IGNORED,
    }


def _head(cfg: CfgNode, text_dim: int) -> nn.Module:
    keys, decoder = cfg.MODEL.RS_ZEROSEG, cfg.MODEL.DECODER
    gate = TextGate(text_dim=text_dim, feature_dim=keys.FEATURE_DIM, dim=keys.GATE_DIM or text_dim)
    if keys.HEAD == "carh":
        return CategoryAdaptiveHead(gate=gate, dim=keys.FEATURE_DIM, hidden=keys.HEAD_DIM)
    if keys.HEAD == "cosine":
        return CosineHead(gate=gate)
    if keys.HEAD == "decoder":
        return GatedDecoderHead.build(
            gate=gate,
            dim=keys.FEATURE_DIM,
            kernel=cfg.MODEL.COST.KERNEL,
            dims=decoder.DIMS,
            guidance_dims=cfg.MODEL.GUIDANCE.DECODER_DIMS,
            attention=decoder.ATTENTION,
        )
    raise ConfigError(f"MODEL.RS_ZEROSEG.HEAD is {keys.HEAD!r}; choose carh, cosine or decoder")
