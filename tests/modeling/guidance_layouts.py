"""The layouts in which guidance encoders are published: names and shapes, written down from the owners' code.

Sources: facebookresearch/sam2 sam2/modeling/backbones/hieradet.py and sam2/configs; facebookresearch/dino and dinov2
vision_transformer.py; facebookresearch/dinov3 models/vision_transformer.py and hub/backbones.py;
facebookresearch/perception_models core/vision_encoder/pe.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import torch
from torch import Tensor

Shapes = dict[str, tuple[int, ...]]


def linear(name: str, out: int, into: int) -> Shapes:
    return {f"{name}.weight": (out, into), f"{name}.bias": (out,)}


def norm(name: str, width: int) -> Shapes:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def random_state(shapes: Shapes, seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(shape, generator=generator) * 0.2 for name, shape in shapes.items()}


# ---------------------------------------------------------------------- SAM 2


def sam2(*, width: int, stages: list[int], background: int, window: int = 8) -> Shapes:
    """``image_encoder.trunk.*`` and one name of each of its neighbours in the file."""
    found: Shapes = {
        "pos_embed": (1, width, background, background),
        "pos_embed_window": (1, width, window, window),
        "patch_embed.proj.weight": (width, 3, 7, 7),
        "patch_embed.proj.bias": (width,),
    }
    block = 0
    for stage, depth in enumerate(stages):
        for place in range(depth):
            wide, narrow = width * 2**stage, width * 2 ** (stage - 1 if stage and not place else stage)
            name = f"blocks.{block}"
            found |= norm(f"{name}.norm1", narrow) | norm(f"{name}.norm2", wide)
            found |= linear(f"{name}.attn.qkv", 3 * wide, narrow) | linear(f"{name}.attn.proj", wide, wide)
            found |= linear(f"{name}.mlp.layers.0", 4 * wide, wide) | linear(f"{name}.mlp.layers.1", wide, 4 * wide)
            found |= linear(f"{name}.proj", wide, narrow) if wide != narrow else {}
            block += 1
    others = {
        "image_encoder.neck.convs.0.conv.bias": (256,),
        "memory_attention.norm.weight": (256,),
        "no_mem_embed": (1, 1, 256),
    }
    return {f"image_encoder.trunk.{name}": shape for name, shape in found.items()} | others


SAM2_SIZES = {
    "sam2_hiera_base_plus": {"width": 112, "stages": [2, 3, 16, 3], "background": 14},
    "sam2_hiera_large": {"width": 144, "stages": [2, 6, 36, 4], "background": 7},
}


def transformers_sam2(name: str) -> str:
    name = name.removeprefix("image_encoder.trunk.").replace("patch_embed.proj", "patch_embed.projection")
    name = name.replace("mlp.layers.0", "mlp.proj_in").replace("mlp.layers.1", "mlp.proj_out")
    return re.sub(r"\.norm([12])\.", r".layer_norm\1.", name)


# ------------------------------------------------------------------ plain ViTs


def dino(*, width: int, depth: int, patch: int, grid: int) -> Shapes:
    found: Shapes = {
        "cls_token": (1, 1, width),
        "pos_embed": (1, 1 + grid * grid, width),
        "patch_embed.proj.weight": (width, 3, patch, patch),
        "patch_embed.proj.bias": (width,),
    }
    for number in range(depth):
        name = f"blocks.{number}"
        found |= norm(f"{name}.norm1", width) | norm(f"{name}.norm2", width)
        found |= linear(f"{name}.attn.qkv", 3 * width, width) | linear(f"{name}.attn.proj", width, width)
        found |= linear(f"{name}.mlp.fc1", 4 * width, width) | linear(f"{name}.mlp.fc2", width, 4 * width)
    return found | norm("norm", width)


def dinov2(*, width: int, depth: int, patch: int, grid: int, registers: int = 0) -> Shapes:
    scales: Shapes = {f"blocks.{number}.ls{i}.gamma": (width,) for number in range(depth) for i in (1, 2)}
    more: Shapes = {"register_tokens": (1, registers, width)} if registers else {}
    return dino(width=width, depth=depth, patch=patch, grid=grid) | scales | more | {"mask_token": (1, width)}


def dinov3(*, width: int, depth: int, heads: int, patch: int = 16) -> Shapes:
    """With ``local_cls_norm``, as the satellite ViT-L has it."""
    found = dinov2(width=width, depth=depth, patch=patch, grid=1, registers=4)
    del found["pos_embed"]
    found["storage_tokens"] = found.pop("register_tokens")
    masks: Shapes = {f"blocks.{number}.attn.qkv.bias_mask": (3 * width,) for number in range(depth)}
    return found | masks | {"rope_embed.periods": (width // heads // 4,)} | norm("local_cls_norm", width)


def perception(*, width: int, depth: int, patch: int, grid: int, out: int = 0) -> Shapes:
    """With ``out`` PE-Core, the image tower under ``visual.`` beside the text tower; without PE-Spatial."""
    found: Shapes = {
        "class_embedding": (width,),
        "positional_embedding": (1 + grid * grid, width),
        "conv1.weight": (width, 3, patch, patch),
        **norm("ln_pre", width),
    }
    for number in range(depth):
        name = f"transformer.resblocks.{number}"
        found |= norm(f"{name}.ln_1", width) | norm(f"{name}.ln_2", width) | linear(f"{name}.attn.out_proj", width, width)
        found |= {f"{name}.attn.in_proj_weight": (3 * width, width), f"{name}.attn.in_proj_bias": (3 * width,)}
        found |= linear(f"{name}.mlp.c_fc", 4 * width, width) | linear(f"{name}.mlp.c_proj", width, 4 * width)
    if not out:
        return found
    pool = norm("attn_pool.layernorm", width) | linear("attn_pool.attn.out_proj", width, width)
    pool |= {"attn_pool.probe": (1, 1, width), "proj": (width, out), **norm("ln_post", width)}
    pool |= {"attn_pool.attn.in_proj_weight": (3 * width, width), "attn_pool.attn.in_proj_bias": (3 * width,)}
    pool |= linear("attn_pool.mlp.c_fc", 4 * width, width) | linear("attn_pool.mlp.c_proj", width, 4 * width)
    return {f"visual.{name}": shape for name, shape in (found | pool).items()} | {
        "logit_scale": (),
        "positional_embedding": (32, 8),
    }


def for_transformers(state: dict[str, Tensor], layers: str) -> dict[str, Tensor]:
    """A published DINO, DINOv2 or DINOv3 under the names of transformers, which has ``layers`` for ``blocks``."""
    return {name: value for key, tensor in state.items() for name, value in _for_transformers(key, tensor, layers)}


def _for_transformers(key: str, value: Tensor, layers: str) -> Iterator[tuple[str, Tensor]]:
    top = {"cls_token": "cls_token", "mask_token": "mask_token", "pos_embed": "position_embeddings"}
    top |= {"register_tokens": "register_tokens", "storage_tokens": "register_tokens"}
    if key in top:
        yield f"embeddings.{top[key]}", value
    elif key.startswith("patch_embed.proj"):
        yield f"embeddings.patch_embeddings.projection.{key.split('.')[-1]}", value
    elif ".qkv." in key and "mask" not in key:
        stem, kind = key.replace("blocks", layers).replace(".attn.qkv", ".attention").rsplit(".", 1)
        for part, piece in zip("qkv", value.chunk(3), strict=True):
            yield f"{stem}.{part}_proj.{kind}", piece
    elif key.startswith("blocks") and "mask" not in key:
        name = key.replace("blocks", layers).replace("attn.proj", "attention.o_proj")
        yield re.sub(r"\.ls([12])\.gamma", r".layer_scale\1.lambda1", name), value
