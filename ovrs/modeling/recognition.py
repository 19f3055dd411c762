"""What a state dict seems to be, told by a few names that only one kind of model has: a hint for an error, no more."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

_SAM = {768: "ViT-B", 1024: "ViT-L", 1280: "ViT-H"}

# The first row fits whose every part occurs in some name; (parts, what it looks like and what to do with it).
_TELLTALES: tuple[tuple[tuple[str, ...], str], ...] = (
    (
        ("sem_seg_head.predictor.clip_model.", "decoder1.cconv."),
        "an OVRS checkpoint: convert it with tools/convert_checkpoint.py --layout ovrs",
    ),
    (
        ("sem_seg_head.predictor.clip_model.",),
        "a CAT-Seg checkpoint: convert it with tools/convert_checkpoint.py --layout catseg",
    ),
    (("vision_language.visual.", "refinement."), "a whole model of ovrs: name it in MODEL.WEIGHTS"),
    (("image_encoder.trunk.",), "SAM 2: a guidance encoder timm:sam2_hiera_..., for MODEL.GUIDANCE.WEIGHTS"),
    (("image_encoder.patch_embed.proj.weight",), "SAM's image encoder{sam}, for MODEL.GUIDANCE.WEIGHTS"),
    (
        ("vision_model.encoder.layers.", "text_model."),
        "CLIP or SigLIP under the names of transformers; take its open_clip file",
    ),
    (("visual.trunk.", "text."), "an open_clip model whose image tower is timm's, such as SigLIP"),
    (("visual.layer1.", "visual.attnpool."), "CLIP with a ResNet, which has no dense path here; take a ViT"),
    (("visual.transformer.resblocks.", "visual.conv1."), "CLIP{clip}, for MODEL.VISION_LANGUAGE.WEIGHTS"),
    (("blocks.0.attn.qkv.", "rel_pos_h"), "an image encoder of SAM cut out of its checkpoint"),
    (("blocks.0.attn.qkv.", "cls_token"), "a plain vision transformer, such as DINO's or timm's"),
    (("relative_position_bias_table",), "a Swin transformer"),
    (("embeddings.word_embeddings.",), "a language model such as BERT"),
    (("model.diffusion_model.",), "a diffusion model"),
    (("self_attn.q_proj.", "mlp.gate_proj."), "a large language model"),
    (("layer1.0.conv1.", "fc.weight"), "a ResNet classifier"),
)


def recognise(state: Mapping[str, Tensor]) -> str:
    """As ``"SAM's image encoder (ViT-L), for MODEL.GUIDANCE.WEIGHTS"``; "" where nothing is known."""
    for parts, looks in _TELLTALES:
        if all(any(part in name for name in state) for part in parts):
            return looks.format(sam=_sam_size(state), clip=_clip_size(state))
    return ""


def _sam_size(state: Mapping[str, Tensor]) -> str:
    patches = _named(state, "image_encoder.patch_embed.proj.weight")
    return f" ({_SAM[len(patches)]})" if patches is not None and patches.ndim == 4 and len(patches) in _SAM else ""


def _clip_size(state: Mapping[str, Tensor]) -> str:
    patches = _named(state, "visual.conv1.weight")
    return f" (ViT of width {patches.shape[0]}, patch {patches.shape[-1]})" if patches is not None and patches.ndim == 4 else ""


def _named(state: Mapping[str, Tensor], end: str) -> Tensor | None:
    return next((value for name, value in state.items() if name.endswith(end)), None)
