"""Class refinement: linear attention between the classes of one patch, guided by their text (AerOSeg eq. 6)."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ovrs.modeling.blocks.classes import map_classes
from ovrs.modeling.precision import without_autocast

EPSILON = 1e-6


class ClassRefinement(nn.Module):
    """T^cls of eq. 6: a linear transformer (Katharopoulos et al. 2020) over the class axis, without positions.

    The class axis is padded to ``padding`` with copies of one learned token, as CAT-Seg does. The copies are identical, and
    linear attention is a sum over tokens, so with ``fold`` they count as one token of that weight: the same result (to
    rounding) at the cost of the real classes alone.

    Args:
        dim: channels of the cost features.
        text_dim: channels of the projected text guidance P_l.
        heads: attention heads.
        padding: length the class axis is padded to; 0 for none.
        fold: compute the padding as one weighted token.
    """

    def __init__(self, *, dim: int, text_dim: int, heads: int = 4, padding: int = 256, fold: bool = True) -> None:
        super().__init__()
        self.heads, self.padding, self.fold = heads, padding, fold
        self.norm1 = nn.LayerNorm(dim)
        self.q = nn.Linear(dim + text_dim, dim)
        self.k = nn.Linear(dim + text_dim, dim)
        self.v = nn.Linear(dim, dim)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), nn.ReLU(inplace=True), nn.Linear(4 * dim, dim))
        if padding:
            self.padding_tokens = nn.Parameter(torch.zeros(1, 1, dim))
            self.padding_guidance = nn.Parameter(torch.zeros(1, 1, text_dim))

    def forward(self, phi: Tensor, text: Tensor, *, pooling: int = 1, chunk: int = 0) -> Tensor:
        """``phi`` [B, N, H, W, C] and ``text`` [B, N, T] -> phi'' [B, N, H, W, C].

        Args:
            pooling: attention runs on averages over squares of this many patches.
            chunk: classes computed at a time outside the sums over classes.
        """
        refined = phi if pooling == 1 else map_classes(lambda part: pool_patches(part, pooling), phi, chunk)
        text = text[:, :, None, None]
        extra = max(self.padding - phi.shape[1], 0)
        if extra and not self.fold:
            refined, text = self._pad(refined, text, extra)
            extra = 0
        refined = self._attend(refined, text, extra, chunk)[:, : phi.shape[1]]
        refined = map_classes(lambda part: part + self.mlp(self.norm2(part)), refined, chunk)
        if pooling != 1:
            refined = map_classes(lambda part: unpool_patches(part, phi.shape[2:4]), refined, chunk)
        return phi + refined

    def _pad(self, x: Tensor, text: Tensor, extra: int) -> tuple[Tensor, Tensor]:
        batch, _, height, width, dim = x.shape
        tokens = self.padding_tokens.to(x.dtype).view(1, 1, 1, 1, dim).expand(batch, extra, height, width, dim)
        guidance = self.padding_guidance.to(text.dtype).view(1, 1, 1, 1, -1).expand(batch, extra, 1, 1, text.shape[-1])
        return torch.cat([x, tokens], dim=1), torch.cat([text, guidance], dim=1)

    def _attend(self, x: Tensor, text: Tensor, extra: int, chunk: int) -> Tensor:
        """x + linear attention among its classes and ``extra`` padding tokens: [B, N, h, w, C]."""
        context, total = self._gather(x, text, extra, chunk)
        result = x if torch.is_grad_enabled() else torch.empty_like(x)
        for part in self._parts(x.shape[1], chunk):
            query = self._feature(self.q, self.norm1(x[:, part]), text[:, part])
            with without_autocast(x.device.type):
                weight = 1 / (torch.einsum("bnyxhd,byxhd->bnyxh", query, total) + EPSILON)
                mixed = torch.einsum("bnyxhd,byxhde,bnyxh->bnyxhe", query, context, weight).flatten(-2)
            if torch.is_grad_enabled():
                return x + mixed
            result[:, part] = x[:, part] + mixed
        return result

    def _gather(self, x: Tensor, text: Tensor, extra: int, chunk: int) -> tuple[Tensor, Tensor]:
        """Sums over all classes: key-value products [B, h, w, heads, d, d] and keys [B, h, w, heads, d]."""
        context: Tensor | float = 0.0
        total: Tensor | float = 0.0
        for part in self._parts(x.shape[1], chunk):
            normed = self.norm1(x[:, part])
            key, value = self._feature(self.k, normed, text[:, part]), self._split(self.v(normed)).float()
            with without_autocast(x.device.type):
                context = context + torch.einsum("bnyxhd,bnyxhe->byxhde", key, value)
                total = total + key.sum(dim=1)
        assert isinstance(context, Tensor) and isinstance(total, Tensor)
        if extra:
            normed = self.norm1(self.padding_tokens)
            key, value = self._feature(self.k, normed, self.padding_guidance), self._split(self.v(normed)).float()
            with without_autocast(x.device.type):
                context = context + extra * torch.einsum("bnhd,bnhe->bhde", key, value)[:, None, None]
                total = total + extra * key.sum(dim=1)[:, None, None]
        return context, total

    def _feature(self, layer: nn.Linear, x: Tensor, text: Tensor) -> Tensor:
        """elu + 1 of a projection of ``[x, text]``; the text's half is computed once, not at every patch.

        In single precision whatever the autocast, as all sums over classes are: up to 256 positive terms lose too much in half.
        """
        dim = x.shape[-1]
        projected = F.linear(x, layer.weight[:, :dim], layer.bias) + F.linear(text, layer.weight[:, dim:])
        return F.elu(self._split(projected).float()) + 1

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1))

    @staticmethod
    def _parts(classes: int, chunk: int) -> Iterator[slice]:
        step = chunk if chunk and not torch.is_grad_enabled() else classes
        return (slice(start, start + step) for start in range(0, classes, step))


def pool_patches(x: Tensor, size: int) -> Tensor:
    """Averages over size x size patches of [B, N, H, W, C]; what a border leaves over is averaged as it is."""
    pooled = F.avg_pool2d(x.flatten(0, 1).permute(0, 3, 1, 2), size, ceil_mode=True)
    return pooled.permute(0, 2, 3, 1).unflatten(0, x.shape[:2])


def unpool_patches(x: Tensor, size: torch.Size) -> Tensor:
    """Bilinear back to ``size`` with aligned corners, as CAT-Seg does."""
    if x.shape[2:4] == size:
        return x
    large = F.interpolate(x.flatten(0, 1).permute(0, 3, 1, 2), size=tuple(size), mode="bilinear", align_corners=True)
    return large.permute(0, 2, 3, 1).unflatten(0, x.shape[:2])
