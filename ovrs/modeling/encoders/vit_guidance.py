"""Plain vision transformers of timm as guidance encoders: DINO, DINOv2, DINOv3, perception encoders."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import timm
import torch
import torch.nn.functional as F
from timm.models.eva import Eva
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from ovrs.errors import ConfigError
from ovrs.modeling.encoders.guidance_contract import GuidanceEncoder, Layer
from ovrs.modeling.encoders.positions import resize_grid
from ovrs.modeling.fitting import WithoutInitialValues
from ovrs.modeling.sizes import same_size

Resize = Literal["bicubic", "antialiased", "bilinear"]

RESIZES: dict[Resize, Callable[[Tensor, tuple[int, int]], Tensor]] = {
    "bicubic": resize_grid,
    "antialiased": lambda grid, size: F.interpolate(grid, size, mode="bicubic", align_corners=False, antialias=True),
    "bilinear": lambda grid, size: F.interpolate(grid, size, mode="bilinear", align_corners=False),
}


class VitGuidance(GuidanceEncoder):
    """A plain vision transformer, its features taken after chosen blocks, at any input size.

    Features are the patch tokens of a block as they leave it, before any final norm; class and register tokens stay inside.
    Blocks above the deepest one asked for are neither kept nor computed. Absolute position embeddings are resized as
    :func:`resize_of` says; rotary ones are made for the grid.

    Args:
        encoder: of timm, made with ``dynamic_img_size``.
        name: timm's name of it.
        layers: blocks counted from 1, as for SAM.

    Raises:
        ConfigError: a block that does not exist.
    """

    def __init__(self, encoder: Any, name: str, layers: Sequence[Layer]) -> None:
        super().__init__()
        self.name = name
        depth = len(encoder.blocks)
        for layer in layers:
            if not (isinstance(layer, int) and 1 <= layer <= depth):
                raise ConfigError(f"guidance layer {layer!r}: blocks 1 to {depth} exist")
        encoder.prune_intermediate_layers([int(layer) - 1 for layer in layers], prune_norm=True, prune_head=True)
        self.encoder = encoder
        self.layers = tuple(layers)
        self.channels = dict.fromkeys(layers, encoder.embed_dim)
        self.stride = encoder.patch_embed.patch_size[0]
        self.resize = resize_of(name)

    def features(self, x: Tensor) -> dict[Layer, Tensor]:
        """Features of normalised images ``x`` [B, 3, H*patch, W*patch], each [B, C, H, W]."""
        patches = self.encoder.patch_embed(x)
        height, width = patches.shape[1:3]
        tokens = self.encoder.norm_pre(self._tokens(patches))
        found: dict[Layer, Tensor] = {}
        rope = getattr(self.encoder, "rope", None)
        rotations = None if rope is None else rope.get_embed(shape=(height, width))
        for number, block in enumerate(self.encoder.blocks, start=1):
            if rotations is None:
                tokens = block(tokens)
            else:  # of all blocks, or (RoPE-ViT) of each block its own
                tokens = block(tokens, rope=rotations[number - 1] if self.encoder.rope_mixed else rotations)
            if number in self.layers:
                found[number] = tokens[:, self.encoder.num_prefix_tokens :].mT.unflatten(2, (height, width))
        return {layer: found[layer] for layer in self.layers}

    def _tokens(self, patches: Tensor) -> Tensor:
        """[B, H, W, C] -> [B, prefix + H * W, C], with absolute positions where the encoder has them."""
        encoder = self.encoder
        prefix = [token.expand(len(patches), -1, -1) for token in (encoder.cls_token, encoder.reg_token) if token is not None]
        tokens = patches.flatten(1, 2)
        if encoder.pos_embed is None:
            return torch.cat([*prefix, tokens], dim=1)
        positions = self._position_embedding(patches.shape[1], patches.shape[2]).to(tokens.dtype)
        if encoder.no_embed_class:  # class and register tokens have no position
            return torch.cat([*prefix, tokens + positions], dim=1)
        return torch.cat([*prefix, tokens], dim=1) + positions

    def _position_embedding(self, height: int, width: int) -> Tensor:
        """[1, (prefix +) H * W, C] from the trained grid; kept per size while it cannot change."""
        weight, trained = self.encoder.pos_embed, self.encoder.patch_embed.grid_size
        if same_size(trained, (height, width)):
            return weight
        first = weight.shape[1] - trained[0] * trained[1]
        resize, size = RESIZES[self.resize], (height, width)

        def make() -> Tensor:
            grid = weight[:, first:].float().mT.unflatten(2, trained)
            return torch.cat([weight[:, :first].float(), resize(grid, size).flatten(2).mT], dim=1)

        return self._positions(weight, size, make)


def is_plain(name: str) -> bool:
    """Whether a model of timm is a plain vision transformer, whose blocks all have one grid.

    Raises:
        ConfigError: timm has no such model.
    """
    with torch.device("meta"), WithoutInitialValues():
        return isinstance(_create(name), (VisionTransformer, Eva))


def build_vit(name: str, layers: Sequence[Layer]) -> VitGuidance:
    """A plain vision transformer by timm's name, random weights.

    Raises:
        ConfigError: timm has no such model, or it has no such block.
    """
    encoder = _create(name, dynamic_img_size=True)
    if name.startswith("vit_pe_"):  # Meta counts rotary positions in patches at every size; timm stretches the trained grid's
        encoder.rope.ref_feat_shape = None
    return VitGuidance(encoder, name, layers)


def resize_of(name: str) -> Resize:
    """How the publisher of a model's weights brings position embeddings to another grid, by timm's name of the model.

    Bicubic without antialiasing for DINO and DINOv2, with it for DINOv2 with registers (as transformers has them; Meta's first
    code for both also stretches the grid by a tenth of a patch), bilinear for perception encoders. timm itself resizes all of
    them bicubically with antialiasing, which is what other models get here.
    """
    if name.startswith("vit_pe_"):
        return "bilinear"
    return "bicubic" if "dino" in name and "_reg" not in name else "antialiased"


def _create(name: str, **arguments: Any) -> Any:
    try:
        return timm.create_model(name, pretrained=False, **arguments)
    except (RuntimeError, ValueError, AssertionError) as error:
        raise ConfigError(f"timm model {name!r}: {error}") from error
