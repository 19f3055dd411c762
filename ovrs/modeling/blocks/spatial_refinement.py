"""Spatial refinement: two Swin blocks, one class at a time, guided by dense features of the image (AerOSeg eq. 5)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ovrs.modeling.attention import attend
from ovrs.modeling.blocks.classes import map_classes
from ovrs.modeling.sizes import known


class Mlp(nn.Module):
    """Linear, GELU, linear."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        """[..., C] -> [..., C]."""
        return self.fc2(F.gelu(self.fc1(x)))


class GuidedWindowAttention(nn.Module):
    """Window attention whose queries and keys are read from ``[x, guidance]`` and whose values from ``x`` alone.

    The guidance is the same for every class, so its half of the query and key projections is computed once an image:
    ``W [x, g] = W_x x + W_g g``.
    """

    def __init__(self, *, dim: int, guidance_dim: int, heads: int, window: int, shift: int) -> None:
        super().__init__()
        self.dim, self.heads, self.window, self.shift = dim, heads, window, shift
        self.q = nn.Linear(dim + guidance_dim, dim)
        self.k = nn.Linear(dim + guidance_dim, dim)
        self.v = nn.Linear(dim, dim)
        self.proj = nn.Linear(dim, dim)
        self._masks: dict[tuple[object, ...], Tensor | None] = {}

    def forward(self, x: Tensor, guidance: Tensor | None) -> Tensor:
        """``x`` [B, N, H, W, C] with ``guidance`` [B, 1, H, W, G] -> [B, N, H, W, C]."""
        height, width = x.shape[2:4]
        # A grid no larger than one window is one window, and there is nothing to shift.
        windows = (self._window(height), self._window(width))
        shifts = (self.shift if known(height > self.window) else 0, self.shift if known(width > self.window) else 0)
        parts = self._partition(self._project(x, guidance), windows, shifts)
        mask = self._mask(height, width, windows, shifts, x.device)
        mixed = self._attend(*parts, mask)
        return self.proj(self._merge(mixed, x.shape, windows, shifts))

    def _attend(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
        return attend(query, key, value, mask=mask)

    def _window(self, length: int) -> int:
        return self.window if known(length >= self.window) else length

    def _project(self, x: Tensor, guidance: Tensor | None) -> Tensor:
        """Queries, keys and values [B, N, H, W, 3C], in one product."""
        weight = torch.cat([self.q.weight[:, : self.dim], self.k.weight[:, : self.dim], self.v.weight])
        projected = F.linear(x, weight, torch.cat([self.q.bias, self.k.bias, self.v.bias]))
        if guidance is not None:
            shared = F.linear(guidance, torch.cat([self.q.weight[:, self.dim :], self.k.weight[:, self.dim :]]))
            projected += F.pad(shared, (0, self.dim))  # values know no guidance
        return projected

    def _partition(self, qkv: Tensor, windows: tuple[int, int], shifts: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
        """[B, N, H, W, 3C] -> queries, keys and values [B*N, windows*heads, wh*ww, d]."""
        height, width = qkv.shape[2:4]
        if not _divides(windows, (height, width)):
            qkv = F.pad(qkv, (0, 0, 0, -width % windows[1], 0, -height % windows[0]))
        if any(shifts):
            qkv = qkv.roll((-shifts[0], -shifts[1]), dims=(2, 3))
        rows, columns = qkv.shape[2] // windows[0], qkv.shape[3] // windows[1]
        qkv = qkv.reshape(-1, rows, windows[0], columns, windows[1], 3, self.heads, self.dim // self.heads)
        qkv = qkv.permute(5, 0, 1, 3, 6, 2, 4, 7)  # 3, BN, rows, columns, heads, wh, ww, d
        qkv = qkv.reshape(3, -1, rows * columns * self.heads, windows[0] * windows[1], self.dim // self.heads)
        return qkv[0], qkv[1], qkv[2]

    def _merge(self, mixed: Tensor, shape: torch.Size, windows: tuple[int, int], shifts: tuple[int, int]) -> Tensor:
        """Undo :meth:`_partition`: [B*N, windows*heads, wh*ww, d] -> [B, N, H, W, C]."""
        batch, classes, height, width, dim = shape
        rows, columns = -(-height // windows[0]), -(-width // windows[1])
        mixed = mixed.reshape(-1, rows, columns, self.heads, *windows, dim // self.heads)
        mixed = mixed.permute(0, 1, 4, 2, 5, 3, 6).reshape(batch, classes, rows * windows[0], columns * windows[1], dim)
        if any(shifts):
            mixed = mixed.roll(shifts, dims=(2, 3))
        return mixed[:, :, :height, :width]

    def _mask(
        self, height: int, width: int, windows: tuple[int, int], shifts: tuple[int, int], device: torch.device
    ) -> Tensor | None:
        """[1, windows*heads, L, L]: 0 where two tokens of a window are neighbours in the image, else -inf; None if all are."""
        if torch.compiler.is_compiling():  # sizes may be open then, and no key
            return self._make_mask(height, width, windows, shifts, device)
        key = (height, width, windows, shifts, device)
        if key not in self._masks:
            if len(self._masks) >= 16:  # sizes differ from image to image only at a scene's edges
                self._masks.clear()
            self._masks[key] = self._make_mask(height, width, windows, shifts, device)
        return self._masks[key]

    def _make_mask(
        self, height: int, width: int, windows: tuple[int, int], shifts: tuple[int, int], device: torch.device
    ) -> Tensor | None:
        if _divides(windows, (height, width)) and not any(shifts):
            return None
        rows, columns = _regions(height, windows[0], shifts[0]), _regions(width, windows[1], shifts[1])
        number = rows[:, None] * REGIONS + columns[None, :]
        down, across = number.shape[0] // windows[0], number.shape[1] // windows[1]
        tiles = number.reshape(down, windows[0], across, windows[1])
        tiles = tiles.transpose(1, 2).flatten(0, 1).flatten(1)
        apart = tiles[:, :, None] != tiles[:, None, :]
        mask = torch.zeros(apart.shape).masked_fill_(apart, float("-inf"))
        return mask.repeat_interleave(self.heads, dim=0)[None].to(device)


REGIONS = 4  # of one axis: of the image or padding, carried from the other side by the roll or not


def _divides(windows: tuple[int, int], grid: tuple[int, int]) -> bool:
    return all(known(length % window == 0) for window, length in zip(windows, grid, strict=True))


def _regions(length: int, window: int, shift: int) -> Tensor:
    """A number for each padded and shifted position of one axis: only equal numbers may attend to each other."""
    padded = -(-length // window) * window
    region = (torch.arange(padded) >= length).long()  # 1: padding
    if shift:
        region = region.roll(-shift)
        region[padded - shift :] += 2  # what the roll carried from the other side
    return region


class SwinBlock(nn.Module):
    """One pre-norm Swin block (Liu et al. 2021) without position bias, guided."""

    def __init__(self, *, dim: int, guidance_dim: int, heads: int, window: int, shift: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attn = GuidedWindowAttention(dim=dim, guidance_dim=guidance_dim, heads=heads, window=window, shift=shift)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = Mlp(dim, 4 * dim)

    def forward(self, x: Tensor, guidance: Tensor | None) -> Tensor:
        """``x`` [B, N, H, W, C], ``guidance`` [B, 1, H, W, G] -> [B, N, H, W, C]."""
        x = x + self.attn(self.norm1(x), guidance)
        return x + self.mlp(self.norm2(x))


class SpatialRefinement(nn.Module):
    """T^sp of eq. 5: windows, then shifted windows, each class on its own.

    Args:
        dim: channels of the cost features.
        guidance_dim: channels of the projected guidance P_v(F_g^3); 0 for none.
        heads: attention heads.
        window: side of a window in patches.
    """

    def __init__(self, *, dim: int, guidance_dim: int, heads: int = 4, window: int = 12) -> None:
        super().__init__()
        self.block_1 = SwinBlock(dim=dim, guidance_dim=guidance_dim, heads=heads, window=window, shift=0)
        self.block_2 = SwinBlock(dim=dim, guidance_dim=guidance_dim, heads=heads, window=window, shift=window // 2)
        self.guidance_norm = nn.LayerNorm(guidance_dim) if guidance_dim else None

    def forward(self, phi: Tensor, guidance: Tensor | None, *, chunk: int = 0) -> Tensor:
        """``phi`` [B, N, H, W, C] and ``guidance`` [B, G, H, W] -> phi' [B, N, H, W, C]."""
        dense = None
        if self.guidance_norm is not None and guidance is not None:
            dense = self.guidance_norm(guidance.permute(0, 2, 3, 1)).unsqueeze(1)
        return map_classes(lambda part: self.block_2(self.block_1(part, dense), dense), phi, chunk)
