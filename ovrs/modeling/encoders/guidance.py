"""Guidance encoders by name: SAM's image encoder, pyramids and plain vision transformers of timm."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from segment_anything.modeling import ImageEncoderViT
from torch import Tensor, nn

from ovrs.errors import ConfigError
from ovrs.modeling.encoders.backbones import build_backbone, read_levels
from ovrs.modeling.encoders.guidance_contract import GuidanceEncoder, Layer, TrainMode
from ovrs.modeling.encoders.positions import resize_grid
from ovrs.modeling.encoders.sam_attention import sam_block
from ovrs.modeling.encoders.vit_guidance import build_vit, is_plain
from ovrs.modeling.sizes import same_size

# Depth, width, heads and global-attention blocks of SAM's published image encoders (Kirillov et al. 2023).
SAM_SIZES: dict[str, tuple[int, int, int, tuple[int, ...]]] = {
    "sam_vit_b": (12, 768, 12, (2, 5, 8, 11)),
    "sam_vit_l": (24, 1024, 16, (5, 11, 17, 23)),
    "sam_vit_h": (32, 1280, 16, (7, 15, 23, 31)),
}


class SamGuidance(GuidanceEncoder):
    """SAM's image encoder, its features taken after chosen blocks or the neck, at any input size.

    Args:
        encoder: segment_anything's image encoder.
        layers: blocks counted from 1 (8, 16 and 24 are the paper's for ViT-L), or "neck".
    """

    def __init__(self, encoder: ImageEncoderViT, layers: Sequence[Layer]) -> None:
        super().__init__()
        depth = len(encoder.blocks)
        for layer in layers:
            if layer != "neck" and not (isinstance(layer, int) and 1 <= layer <= depth):
                raise ConfigError(f"guidance layer {layer!r}: blocks 1 to {depth} or 'neck' exist")
        self.encoder = encoder
        self.layers = tuple(layers)
        width = encoder.patch_embed.proj.out_channels
        self.channels = {layer: encoder.neck[0].out_channels if layer == "neck" else width for layer in layers}
        self.stride = encoder.patch_embed.proj.stride[0]

    read_block = staticmethod(sam_block)

    def unused_parameters(self) -> tuple[str, ...]:
        """Blocks above the deepest layer asked for, and the neck unless it is one."""
        if "neck" in self.layers:
            return ()
        deepest = max(layer for layer in self.layers if isinstance(layer, int))
        return ("encoder.neck.", *(f"encoder.blocks.{i}." for i in range(deepest, len(self.encoder.blocks))))

    def features(self, x: Tensor) -> dict[Layer, Tensor]:
        """Features of normalised images ``x`` [B, 3, H*16, W*16], each [B, C, H, W]."""
        tokens = self.encoder.patch_embed(x)
        if self.encoder.pos_embed is not None:
            tokens = tokens + self._position_embedding(tokens.shape[1], tokens.shape[2]).to(tokens.dtype)
        found: dict[Layer, Tensor] = {}
        deepest = len(self.encoder.blocks) if "neck" in self.layers else max(n for n in self.layers if isinstance(n, int))
        for number, block in enumerate(self.encoder.blocks[:deepest], start=1):
            tokens = self.read_block(block, tokens)
            if number in self.layers:
                found[number] = tokens.permute(0, 3, 1, 2)
        if "neck" in self.layers:
            found["neck"] = self.encoder.neck(tokens.permute(0, 3, 1, 2))
        return {layer: found[layer] for layer in self.layers}

    def _position_embedding(self, height: int, width: int) -> Tensor:
        """[1, H, W, C], bicubic from the 64 x 64 grid of the 1024-pixel training; kept per size while it cannot change."""
        weight = self.encoder.pos_embed
        if same_size(weight.shape[1:3], (height, width)):
            return weight
        size = (height, width)
        return self._positions(weight, size, lambda: resize_grid(weight.permute(0, 3, 1, 2), size).permute(0, 2, 3, 1))


class PyramidGuidance(GuidanceEncoder):
    """Levels of a timm feature pyramid (level 0 is the finest).

    Of SAM 2 these are the stages of its Hiera, as they leave their last block: its 256-channel neck, which projects each stage
    and adds the coarsest to the one above it, is not used.
    """

    def __init__(self, name: str, layers: Sequence[Layer]) -> None:
        super().__init__()
        self.name = name
        self.layers = tuple(layers)
        self.levels = [int(layer) for layer in layers]
        self.encoder = build_backbone(name, self.levels)
        info = self.encoder.feature_info
        self.channels = {level: info[level]["num_chs"] for level in self.levels}
        self.stride = max(info[level]["reduction"] for level in self.levels)
        window = getattr(self.encoder, "pos_embed_window", None)
        if window is not None:  # Hiera repeats a window of positions over its first level, as often as it fits
            self.stride = math.lcm(self.stride, info[0]["reduction"] * window.shape[-1])

    def features(self, x: Tensor) -> dict[Layer, Tensor]:
        """See the base class."""
        x = x.contiguous(memory_format=torch.channels_last)
        return dict(zip(self.layers, read_levels(self.encoder, x, self.levels), strict=True))


def build_guidance(
    name: str, layers: Sequence[Layer], *, train: TrainMode = "freeze", unit_variance: bool = False
) -> GuidanceEncoder:
    """A guidance encoder by name: ``sam_vit_b|l|h``, or ``timm:<model>`` (a pyramid or a plain ViT, by the model's kind).

    Its weights are random.

    Raises:
        ConfigError: unknown name or layers.
    """
    if name in SAM_SIZES:
        depth, width, heads, global_blocks = SAM_SIZES[name]
        encoder: GuidanceEncoder = SamGuidance(
            build_sam_encoder(depth=depth, width=width, heads=heads, global_blocks=global_blocks), layers
        )
    elif name.startswith("timm:"):
        model = name.removeprefix("timm:")
        encoder = build_vit(model, layers) if is_plain(model) else PyramidGuidance(model, layers)
    else:
        raise ConfigError(f"guidance encoder {name!r}; choose {', '.join(SAM_SIZES)}, timm:<model> or clip")
    encoder.set_trainable(train)
    encoder.unit_variance = unit_variance
    return encoder


def build_sam_encoder(
    *, depth: int, width: int, heads: int, global_blocks: Sequence[int], image_size: int = 1024, window: int = 14
) -> ImageEncoderViT:
    """SAM's image encoder as published: patch 16, relative positions, a 256-channel neck, LayerNorm eps 1e-6."""
    return ImageEncoderViT(
        img_size=image_size,
        embed_dim=width,
        depth=depth,
        num_heads=heads,
        norm_layer=_sam_norm,
        use_rel_pos=True,
        window_size=window,
        global_attn_indexes=tuple(global_blocks),
    )


def _sam_norm(width: int) -> nn.LayerNorm:
    return nn.LayerNorm(width, eps=1e-6)
