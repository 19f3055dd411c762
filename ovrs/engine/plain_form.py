"""AerOSeg, CAT-Seg and OVRS computed as their equations stand, which is what the public code of the peers does.

The benchmarks' reference, and the tests': the same parameters and the same result to rounding, without any of the ways round
that the blocks take. A class's padding is computed copy by copy at every patch, text and guidance are concatenated to every
class and patch before they are projected, prompts are padded to 77 tokens, every rotation is a call of its own, and attention
writes down its map of all pairs of tokens.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from segment_anything.modeling.image_encoder import Block
from torch import Tensor, nn

from ovrs.errors import ConfigError
from ovrs.modeling.aeroseg import AerOSeg
from ovrs.modeling.blocks.class_refinement import EPSILON, ClassRefinement, pool_patches, unpool_patches
from ovrs.modeling.blocks.spatial_refinement import GuidedWindowAttention, SpatialRefinement
from ovrs.modeling.blocks.upsampling import AttentionAwareUpsampling, UpsamplingDecoder
from ovrs.modeling.encoders.attention import QuickGelu, residual_block
from ovrs.modeling.encoders.guidance import SamGuidance
from ovrs.modeling.encoders.text import ClipText


def as_plain_form(model: nn.Module) -> None:
    """Make a built AerOSeg compute as its equations stand, in place. Its parameters stay, and so does its result to rounding.

    Raises:
        ConfigError: another system, of which no plain form is kept.
    """
    if not isinstance(model, AerOSeg):
        kept = "AerOSeg's, with CAT-Seg and OVRS, is the only one that is kept"
        raise ConfigError(f"no plain form of {type(model).__name__}: {kept}")
    for module in model.modules():
        # The parameters are the same ones, so nothing but the class of a part changes.
        if (plain := _PLAIN.get(type(module))) is not None:
            module.__class__ = plain
    model.class_chunk = 0


class PlainAerOSeg(AerOSeg):
    """One call of the encoder for each rotation."""

    def _encode(self, views: Tensor) -> tuple[Tensor, ...]:
        parts = [super(PlainAerOSeg, self)._encode(part) for part in views.chunk(len(self.rotations))]
        return tuple(torch.cat(maps) for maps in zip(*parts, strict=True))


class PlainClipText(ClipText):
    """All 77 tokens of every prompt, through all blocks."""

    def forward(self, texts: Sequence[str], context: Tensor | None = None) -> Tensor:
        """See :class:`ClipText`."""
        if context is not None:
            raise ConfigError("prompts with learned context have no plain form")
        numbers = self._numbers(texts).to(self.positional_embedding.device)
        return torch.cat([self._whole(part) for part in numbers.split(256)])

    def _whole(self, numbers: Tensor) -> Tensor:
        x = self.token_embedding(numbers) + self.positional_embedding
        causal = torch.full((x.shape[1], x.shape[1]), -torch.inf, device=x.device).triu(1)
        for block in self.transformer.resblocks:
            x = residual_block(block, x, mask=causal)
        return self.ln_final(x)[torch.arange(len(x), device=x.device), numbers.argmax(dim=1)] @ self.text_projection


class PlainQuickGelu(QuickGelu):
    """The activation as it is written, three tensors of its input's size a call."""

    def forward(self, x: Tensor) -> Tensor:
        """[...] -> [...]."""
        return x * torch.sigmoid(1.702 * x)


class PlainSamGuidance(SamGuidance):
    """segment_anything's own blocks."""

    @staticmethod
    def read_block(block: Block, tokens: Tensor) -> Tensor:
        """The block as it is."""
        return block(tokens)


class PlainSpatialRefinement(SpatialRefinement):
    """The guidance repeated, and normalised, for every class."""

    def forward(self, phi: Tensor, guidance: Tensor | None, *, chunk: int = 0) -> Tensor:
        """As the base class; nothing is cut in chunks."""
        dense = None
        if self.guidance_norm is not None and guidance is not None:
            dense = self.guidance_norm(repeat(guidance, "b g h w -> b n h w g", n=phi.shape[1]))
        return self.block_2(self.block_1(phi, dense), dense)


class PlainWindowAttention(GuidedWindowAttention):
    """Queries and keys projected from ``[x, guidance]`` as it stands, and the map of all pairs of tokens."""

    def _project(self, x: Tensor, guidance: Tensor | None) -> Tensor:
        guided = x if guidance is None else torch.cat([x, guidance], dim=-1)
        return torch.cat([self.q(guided), self.k(guided), self.v(x)], dim=-1)

    def _attend(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
        pairs = query * query.shape[-1] ** -0.5 @ key.transpose(-2, -1)
        return (pairs if mask is None else pairs + mask).softmax(dim=-1) @ value


class PlainClassRefinement(ClassRefinement):
    """Every copy of the padding computed at every patch, queries and MLP too; text concatenated to every patch."""

    def forward(self, phi: Tensor, text: Tensor, *, pooling: int = 1, chunk: int = 0) -> Tensor:
        """As the base class; nothing is cut in chunks."""
        pooled = phi if pooling == 1 else pool_patches(phi, pooling)
        batch, classes, height, width, _ = pooled.shape
        x = rearrange(pooled, "b n h w c -> (b h w) n c")
        text = repeat(text, "b n t -> (b h w) n t", h=height, w=width)
        if (extra := self.padding - classes) > 0:
            x = torch.cat([x, self.padding_tokens.to(x.dtype).expand(len(x), extra, -1)], dim=1)
            text = torch.cat([text, self.padding_guidance.to(text.dtype).expand(len(x), extra, -1)], dim=1)
        x = x + self._mixed(self.norm1(x), text)
        x = (x + self.mlp(self.norm2(x)))[:, :classes]
        refined = rearrange(x, "(b h w) n c -> b n h w c", b=batch, h=height)
        return phi + (refined if pooling == 1 else unpool_patches(refined, phi.shape[2:4]))

    def _mixed(self, x: Tensor, text: Tensor) -> Tensor:
        guided = torch.cat([x, text], dim=-1)
        query, key = (F.elu(self._split(layer(guided))) + 1 for layer in (self.q, self.k))
        context = torch.einsum("pnhd,pnhe->phde", key, self._split(self.v(x)))
        weight = 1 / (torch.einsum("pnhd,phd->pnh", query, key.sum(dim=1)) + EPSILON)
        return torch.einsum("pnhd,phde,pnh->pnhe", query, context, weight).flatten(-2)


class PlainUpsampling(AttentionAwareUpsampling):
    """Every class upsampled before their average is taken, and the guidance repeated for every class."""

    def share(self, x: Tensor, guidance: Tensor) -> Tensor:
        """The weighted guidance itself."""
        return self.weigh(x, guidance)

    def stage(self, x: Tensor, shared: Tensor) -> Tensor:
        """As the base class, of the weighted guidance."""
        large = self.up(x.flatten(0, 1)).unflatten(0, x.shape[:2])
        guidance = repeat(shared.to(large.dtype), "b g h w -> b n g h w", n=x.shape[1])
        return self.conv(torch.cat([large, guidance], dim=2).flatten(0, 1)).unflatten(0, x.shape[:2])

    def weigh(self, x: Tensor, guidance: Tensor) -> Tensor:
        """As the base class."""
        if not self.attention:
            return guidance
        average = self.up(x.flatten(0, 1)).unflatten(0, x.shape[:2]).mean(dim=1)
        by_channel = self.channel_weight(average.mean(dim=(2, 3), keepdim=True))  # eq. 8
        by_place = self.spatial_weight(average.mean(dim=1, keepdim=True))  # eq. 9
        return by_channel * guidance + by_place * guidance + guidance  # eq. 10


class PlainDecoder(UpsamplingDecoder):
    """Stage by stage."""

    def forward(self, phi: Tensor, guidance: Sequence[Tensor], *, chunk: int = 0) -> Tensor:
        """As the base class; nothing is cut in chunks."""
        x = phi.permute(0, 1, 4, 2, 3)
        for stage, features in zip(self.stages, guidance, strict=True):
            x = stage(x, features)
        return self._logits(x)


_PLAIN: dict[type[nn.Module], type[nn.Module]] = {
    AerOSeg: PlainAerOSeg,
    ClipText: PlainClipText,
    QuickGelu: PlainQuickGelu,
    SamGuidance: PlainSamGuidance,
    SpatialRefinement: PlainSpatialRefinement,
    GuidedWindowAttention: PlainWindowAttention,
    ClassRefinement: PlainClassRefinement,
    AttentionAwareUpsampling: PlainUpsampling,
    UpsamplingDecoder: PlainDecoder,
}
