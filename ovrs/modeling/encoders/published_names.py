"""Names of published vision-language weights, CLIP's and SigLIP's, and ours."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from ovrs.errors import WeightsError
from ovrs.modeling.encoders.clip_image import ClipImage
from ovrs.modeling.encoders.siglip_image import SiglipImage
from ovrs.modeling.encoders.vision_language import VisionLanguageEncoder

# The archives of OpenAI also hold three integers that describe the architecture; the bias is that of SigLIP's sigmoid loss,
# which moves all scores alike, and no loss here reads it.
SKIPPED = ("input_resolution", "context_length", "vocab_size", "logit_bias")
POOL = "visual.trunk.attn_pool."


def vision_language_state(encoder: VisionLanguageEncoder, state: Mapping[str, Tensor], origin: str) -> dict[str, Tensor]:
    """What of ``state`` is the encoder's, published names turned into those of ``encoder``, whole systems taken apart.

    Raises:
        WeightsError: OpenAI's own weights for an architecture with another activation, which no shape would tell.
    """
    prefix = "vision_language."
    own = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
    if own:
        return own
    if isinstance(encoder.visual, ClipImage) and not encoder.visual.quick_gelu and "input_resolution" in state:
        raise WeightsError(
            f"{origin}: OpenAI's weights, which are trained with quick GELU; let MODEL.VISION_LANGUAGE.NAME end in -quickgelu"
        )
    # open_clip trains on several GPUs inside a wrapper that leaves its name in the file.
    published = {name.removeprefix("module."): value for name, value in state.items()}
    names = from_siglip_names if isinstance(encoder.visual, SiglipImage) else from_clip_names
    own = split_fused_attention(names(published))
    # open_clip writes the scale as one number or as a list of one.
    return {name: value.reshape(()) if name == "logit_scale" and value.numel() == 1 else value for name, value in own.items()}


def from_clip_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """CLIP's names to :class:`VisionLanguageEncoder`'s: what is not the image tower or the scale is the text tower."""
    return {
        name if name.startswith("visual.") or name == "logit_scale" else f"text_tower.{name.removeprefix('text.')}": value
        for name, value in state.items()
        if name not in SKIPPED
    }


def from_siglip_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """SigLIP's names in open_clip's files to ours, attention still fused as CLIP's files have it."""
    named = {_renamed(name): value for name, value in from_clip_names(state).items()}
    for kind in ("weight", "bias"):
        parts = [f"{POOL}{part}.{kind}" for part in ("q", "kv")]
        if all(part in named for part in parts):
            named[f"{POOL}attn.in_proj_{kind}"] = torch.cat([named.pop(part) for part in parts])
    return named


def _renamed(name: str) -> str:
    name = re.sub(r"(blocks\.\d+\.attn\.)qkv\.", r"\1in_proj_", name)
    name = re.sub(r"(blocks\.\d+\.attn\.)proj\.", r"\1out_proj.", name)
    return name.replace(f"{POOL}proj.", f"{POOL}attn.out_proj.")


def split_fused_attention(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """``attn.in_proj_weight`` [3C, C] becomes ``attn.{q,k,v}_proj_weight``, as SplitAttention has them."""
    split: dict[str, Tensor] = {}
    for name, value in state.items():
        if name.endswith("attn.in_proj_weight"):
            stem = name.removesuffix("in_proj_weight")
            split.update({f"{stem}{part}_proj_weight": piece for part, piece in zip("qkv", value.chunk(3), strict=True)})
        else:
            split[name] = value
    return split
