"""Swin written plainly, without rolling and masks; and the layout in which Microsoft publishes it.

Source of the layout: microsoft/Swin-Transformer models/swin_transformer.py.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from guidance_layouts import Shapes, linear, norm


def official(*, width: int, depths: list[int], heads: list[int], window: int, classes: int, grid: int) -> Shapes:
    """``grid`` is the side of the first stage's grid at the trained size; masks are kept where a block is shifted."""
    found: Shapes = {"patch_embed.proj.weight": (width, 3, 4, 4), "patch_embed.proj.bias": (width,)}
    found |= norm("patch_embed.norm", width)
    tokens = window * window
    for stage, depth in enumerate(depths):
        dim = width * 2**stage
        for place in range(depth):
            name = f"layers.{stage}.blocks.{place}"
            found |= norm(f"{name}.norm1", dim) | norm(f"{name}.norm2", dim)
            found |= linear(f"{name}.attn.qkv", 3 * dim, dim) | linear(f"{name}.attn.proj", dim, dim)
            found |= linear(f"{name}.mlp.fc1", 4 * dim, dim) | linear(f"{name}.mlp.fc2", dim, 4 * dim)
            found[f"{name}.attn.relative_position_bias_table"] = ((2 * window - 1) ** 2, heads[stage])
            found[f"{name}.attn.relative_position_index"] = (tokens, tokens)
            side = grid // 2**stage
            if place % 2 and side > window:
                found[f"{name}.attn_mask"] = ((side // window) ** 2, tokens, tokens)
        if stage + 1 < len(depths):
            found |= norm(f"layers.{stage}.downsample.norm", 4 * dim)
            found[f"layers.{stage}.downsample.reduction.weight"] = (2 * dim, 4 * dim)
    return found | norm("norm", width * 2 ** (len(depths) - 1)) | linear("head", classes, width * 2 ** (len(depths) - 1))


def plain_stages(stages, image):
    """All stages for one image [3, H, W], each [C, h, w]."""
    x = F.conv2d(image[None], stages.patch_embed.proj.weight, stages.patch_embed.proj.bias, stride=4)[0].permute(1, 2, 0)
    x = stages.patch_embed.norm(x)
    found = []
    for number, layer in enumerate(stages.layers):
        if number:
            corners = [x[row::2, column::2] for column in (0, 1) for row in (0, 1)]
            x = layer.downsample.reduction(layer.downsample.norm(torch.cat(corners, dim=-1)))
        for place, block in enumerate(layer.blocks):
            x = x + plain_attention(block.attn, block.norm1(x), shifted=place % 2 == 1)
            x = x + block.mlp(block.norm2(x))
        found.append(x.permute(2, 0, 1))
    return found


def plain_attention(attention, x, *, shifted):
    """``x`` [h, w, C]: filled up with zeros to whole windows; cells of the shifted grid are cut off where the image ends."""
    height, width, dim = x.shape
    side = attention.window_size[0]
    rows, columns = (-(-length // side) * side for length in (height, width))
    filled = torch.zeros(rows, columns, dim, dtype=x.dtype)
    filled[:height, :width] = x
    out = torch.zeros_like(filled)
    for top, bottom in pairwise(_edges(rows, side, shifted and height > side)):
        for left, right in pairwise(_edges(columns, side, shifted and width > side)):
            cell = filled[top:bottom, left:right].reshape(-1, dim)
            places = torch.cartesian_prod(torch.arange(top, bottom), torch.arange(left, right))
            offset = places[:, None] - places[None] + side - 1
            bias = attention.relative_position_bias_table[offset[..., 0] * (2 * side - 1) + offset[..., 1]]
            query, key, value = attention.qkv(cell).unflatten(1, (3, attention.num_heads, -1)).permute(1, 2, 0, 3)
            scores = query @ key.mT / query.shape[-1] ** 0.5 + bias.permute(2, 0, 1)
            mixed = (scores.softmax(-1) @ value).transpose(0, 1).flatten(1)
            out[top:bottom, left:right] = attention.proj(mixed).view(bottom - top, right - left, dim)
    return out[:height, :width]


def _edges(length, side, shifted):
    inner = range(side // 2 if shifted else 0, length, side)
    return sorted({0, *inner, length})
