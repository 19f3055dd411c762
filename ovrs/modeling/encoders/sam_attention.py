"""Blocks of SAM's image encoder, read faster than segment_anything reads them, with the same weights and the same result.

Two differences (the order of sums aside):

- SAM pads the grid so that its windows fit, and padding is zeros *before* the projection to queries, keys and values. What a
  zero becomes there is the bias, so the padding is not projected: at 384 pixels that is 208 of 784 tokens.
- Its relative positions are a term ``q . R_h[y - y'] + q . R_w[x - x']`` added to ``q . k`` (Li et al., MViTv2, 2022, eq. 4).
  With ``[q, q R_h, q R_w]`` for queries and ``[k, 1 at y', 1 at x']`` for keys that is one scalar product, so attention is the
  plain one, fused, and no map of every pair of tokens is ever written: the only bias that fused attention on GPUs takes.

In bf16 a block of ViT-L takes 0.7 times as long for it (docs/performance.md).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from segment_anything.modeling.image_encoder import Attention, Block, window_unpartition
from torch import Tensor

from ovrs.modeling.attention import attend

# Channels of a head are filled up with zeros to a multiple of this, which is what matrix units of processors take at a time.
_CHANNELS = 32


def sam_block(block: Block, x: Tensor) -> Tensor:
    """One block of segment_anything's image encoder on tokens ``x`` [B, H, W, C] -> the same shape."""
    height, width = x.shape[1:3]
    window = block.window_size
    qkv = block.attn.qkv(block.norm1(x))
    if window:
        qkv = _windows(_padded(qkv, block.attn.qkv.bias, window), window)
    mixed = _attention(block.attn, qkv)
    if window:
        padded = (height + -height % window, width + -width % window)
        mixed = window_unpartition(mixed, window, padded, (height, width))
    x = x + block.attn.proj(mixed)
    return x + block.mlp(block.norm2(x))


def _padded(qkv: Tensor, bias: Tensor, window: int) -> Tensor:
    """[B, H, W, 3C] to multiples of ``window``, with what the projection makes of zeros."""
    batch, height, width, channels = qkv.shape
    if not (height % window or width % window):
        return qkv
    size = (batch, height + -height % window, width + -width % window, channels)
    padded = bias.to(qkv.dtype).expand(size).clone()
    padded[:, :height, :width] = qkv
    return padded


def _windows(x: Tensor, window: int) -> Tensor:
    """[B, H, W, C], sides multiples of ``window`` -> [B * windows, window, window, C]."""
    batch, height, width, channels = x.shape
    x = x.view(batch, height // window, window, width // window, window, channels)
    return x.transpose(2, 3).reshape(-1, window, window, channels)


def _attention(attention: Attention, qkv: Tensor) -> Tensor:
    """Attention within each grid: ``qkv`` [B, H, W, 3C] -> [B, H, W, C], not projected yet."""
    batch, height, width, _ = qkv.shape
    qkv = qkv.reshape(batch, height * width, 3, attention.num_heads, -1).permute(2, 0, 3, 1, 4)
    query, key, value = qkv.unbind(0)  # [B, heads, H*W, d]
    dim = value.shape[-1]
    # Positions are multiplied with the queries as they are, and these alone are scaled.
    queries, keys = [query * attention.scale], [key]
    if attention.use_rel_pos:
        queries += _positions_of(attention, query, height, width)
        keys += [axis.to(key.dtype).expand(batch, attention.num_heads, -1, -1) for axis in _places(height, width, key.device)]
    spare = -sum(part.shape[-1] for part in keys) % _CHANNELS
    query, key = F.pad(torch.cat(queries, dim=-1), (0, spare)), F.pad(torch.cat(keys, dim=-1), (0, spare))
    # Fused attention wants as many channels of values as of keys.
    value = F.pad(value, (0, key.shape[-1] - dim))
    mixed = attend(query, key, value, scale=1.0)[..., :dim]
    return mixed.transpose(1, 2).reshape(batch, height, width, -1)


def _positions_of(attention: Attention, query: Tensor, height: int, width: int) -> list[Tensor]:
    """``q . R_h`` and ``q . R_w`` of every query with every row and every column: [B, heads, H*W, H] and [B, heads, H*W, W]."""
    grid = query.unflatten(2, (height, width))
    rows, columns = (
        _relative(table, side).to(query.dtype) for side, table in ((height, attention.rel_pos_h), (width, attention.rel_pos_w))
    )
    down = torch.einsum("bnhwc,hkc->bnhwk", grid, rows)
    across = torch.einsum("bnhwc,wkc->bnhwk", grid, columns)
    return [down.flatten(2, 3), across.flatten(2, 3)]


def _relative(table: Tensor, side: int) -> Tensor:
    """R[y - y'] of every two places of an axis [side, side, d], from the ``table`` [L, d] of distances, resized to them.

    segment_anything's ``get_rel_pos``, which looks them up by numbers made on the CPU: on a GPU every look-up waits for those.
    """
    if len(table) != 2 * side - 1:
        table = F.interpolate(table.T[None], size=2 * side - 1, mode="linear")[0].T
    # Windows of the table: the one at y holds the distances y - (side - 1) to y, of which that to y' = 0 is the last.
    return table.unfold(0, side, 1).flip(2).transpose(1, 2)


def _places(height: int, width: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """In which row [H*W, H] and in which column [H*W, W] each token is, a 1 each."""
    rows = torch.eye(height, device=device)[:, None].expand(-1, width, -1)
    columns = torch.eye(width, device=device)[None].expand(height, -1, -1)
    return rows.reshape(-1, height), columns.reshape(-1, width)
