"""Crossmodal attention fusion: the image reads the text, the text reads what that made of the image (MetaSegNet eqs. 4 to 7).

Wang et al., "MetaSegNet: Metadata-collaborative Vision-Language Representation Learning for Semantic Segmentation of Remote
Sensing Images" (IEEE TGRS 2024), section II-C.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ovrs.errors import ConfigError
from ovrs.modeling.blocks.cross_attention import CrossAttention

LONGEST_WAVE = 10_000.0  # of the sines, in places (Vaswani et al., 2017)


class SequenceProjections(nn.Module):
    """F_img and F_text: what two encoders give, each behind a norm, at one width.

    Args:
        image_dim: channels of the image encoder's map.
        text_dim: channels of the text encoder's tokens.
        dim: C.
    """

    def __init__(self, *, image_dim: int, text_dim: int, dim: int = 256) -> None:
        super().__init__()
        self.image = nn.Sequential(nn.LayerNorm(image_dim), nn.Linear(image_dim, dim))
        self.text = nn.Sequential(nn.LayerNorm(text_dim), nn.Linear(text_dim, dim))

    def forward(self, image: Tensor, text: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """``image`` [B, I, H, W] and ``text`` [B, L, T], with ``mask`` [B, L] -> [B, C, H, W] and [B, L, C].

        What stands where ``mask`` is false never matters, be it NaN.
        """
        seen = self.image(image.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return seen, self.text(text.masked_fill(~mask.unsqueeze(2), 0))


class CrossmodalAttention(nn.Module):
    """F' = F + attention(Q = F, K = V = the other modality), F_out = F' + MLP(norm(F')) (eqs. 5 and 4).

    Eqs. 6 and 7 write the same two steps for the text in the other order, and with each other's result; here both modalities
    go through eq. 5 and then eq. 4. What is projected goes through a norm first.

    Args:
        dim: C, channels of both.
        heads: attention heads; must divide ``dim``.

    Raises:
        ConfigError: ``dim`` is no multiple of ``heads``.
    """

    def __init__(self, *, dim: int, heads: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.context_norm = nn.LayerNorm(dim)
        self.attn = CrossAttention(query_dim=dim, context_dim=dim, dim=dim, heads=heads, bias=False)
        self.mlp = _perceptron(dim)

    def forward(self, x: Tensor, context: Tensor, *, mask: Tensor | None = None) -> Tensor:
        """``x`` [B, L, C] and ``context`` [B, M, C], whose ``mask`` [B, M] is true where it may be read -> [B, L, C]."""
        x = x + self.attn(self.norm(x), self.context_norm(context), mask=mask)  # eqs. 5 and 7
        return x + self.mlp(x)  # eqs. 4 and 6


class JointLayer(nn.Module):
    """A block of a vision transformer over both modalities: self-attention, then a perceptron, each behind a norm.

    Args:
        dim: C, channels.
        heads: attention heads; must divide ``dim``.
    """

    def __init__(self, *, dim: int, heads: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.attn = CrossAttention(query_dim=dim, context_dim=dim, dim=dim, heads=heads, bias=False)
        self.mlp = _perceptron(dim)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """``x`` [B, L, C], whose ``mask`` [B, L] is true where it may be read -> [B, L, C]."""
        normal = self.norm(x)
        x = x + self.attn(normal, normal, mask=mask)
        return x + self.mlp(x)


class CrossmodalFusion(nn.Module):
    """Both crossmodal attentions, then both modalities as one sequence that knows its places, through ``layers`` blocks.

    Places of the image have sines of their row and of their column, tokens of the text sines of their number, and either
    modality has a vector that says which it is. Padding is read by nobody.

    Args:
        dim: C, channels of both; a multiple of 4.
        heads: attention heads; must divide ``dim``.
        layers: of the joint encoder.

    Raises:
        ConfigError: ``dim`` is no multiple of 4 or of ``heads``.
    """

    def __init__(self, *, dim: int = 256, heads: int = 8, layers: int = 2) -> None:
        super().__init__()
        if dim % 4:
            raise ConfigError(f"crossmodal fusion of {dim} channels: sines of rows and of columns take a multiple of 4")
        self.image = CrossmodalAttention(dim=dim, heads=heads)
        self.text = CrossmodalAttention(dim=dim, heads=heads)
        self.modality_embed = nn.Parameter(torch.randn(2, dim) * 0.02)
        self.layers = nn.ModuleList(JointLayer(dim=dim, heads=heads) for _ in range(layers))
        self.norm = nn.LayerNorm(dim)

    def forward(self, image: Tensor, text: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """``image`` [B, C, H, W] and ``text`` [B, L, C], whose ``mask`` [B, L] is true where it has a token -> both again."""
        height, width = image.shape[-2:]
        seen = image.flatten(2).mT
        seen = self.image(seen, text, mask=mask)  # eqs. 5 and 4
        said = self.text(text, seen)  # eqs. 7 and 6: the text reads the image as eq. 4 leaves it
        seen = seen + grid_sines(height, width, seen) + self.modality_embed[0]
        said = said + sines(torch.arange(text.shape[1], device=text.device), said) + self.modality_embed[1]
        both = torch.cat([seen, said], dim=1)
        readable = torch.cat([mask.new_ones(len(mask), height * width), mask], dim=1)
        for layer in self.layers:
            both = layer(both, readable)
        seen, said = self.norm(both).split([height * width, text.shape[1]], dim=1)
        return seen.mT.unflatten(2, (height, width)), said


def sines(places: Tensor, like: Tensor, dim: int = 0) -> Tensor:
    """Sines and cosines of ``places`` [L] at ``dim`` / 2 wave lengths from 2 pi to 20,000 pi -> [L, dim].

    ``dim`` is even; 0 takes the channels of ``like``, which the result is of the kind of.
    """
    half = (dim or like.shape[-1]) // 2
    waves = LONGEST_WAVE ** (-torch.arange(half, device=like.device, dtype=torch.float32) / half)
    angles = places.to(torch.float32)[:, None] * waves
    return torch.cat([angles.sin(), angles.cos()], dim=1).to(like.dtype)


def grid_sines(height: int, width: int, like: Tensor) -> Tensor:
    """Those of the row, then those of the column, of every place, row by row -> [height * width, channels of ``like``]."""
    half = like.shape[-1] // 2
    down, across = (sines(torch.arange(length, device=like.device), like, half) for length in (height, width))
    grid = torch.cat([down[:, None].expand(-1, width, -1), across[None].expand(height, -1, -1)], dim=2)
    return grid.flatten(0, 1)


def _perceptron(dim: int) -> nn.Sequential:
    return nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))
