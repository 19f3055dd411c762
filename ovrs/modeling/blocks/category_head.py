"""Heads that turn features and words into one map a class: RS-ZeroSeg's category-adaptive refinement head, and two others.

All take features [B, C, H, W], text [N, T] (or of each image its own [B, N, T]) and how many classes to compute at a time, and
give logits [B, N, H, W].
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from ovrs.modeling.blocks.classes import map_classes
from ovrs.modeling.blocks.cost_volume import CostEmbedding
from ovrs.modeling.blocks.guidance_projection import GuidanceProjection
from ovrs.modeling.blocks.text_gate import TextGate
from ovrs.modeling.blocks.upsampling import UpsamplingDecoder


class CategoryAdaptiveHead(nn.Module):
    """CARH: S_k = proj(F * A_k), as logits; the projection is the same for all classes (RS-ZeroSeg section 3.4).

    Args:
        gate: gives A_k.
        dim: channels of the features.
        hidden: channels between the two convolutions of the projection.
    """

    def __init__(self, *, gate: TextGate, dim: int, hidden: int) -> None:
        super().__init__()
        self.gate = gate
        self.proj = nn.Sequential(nn.Conv2d(dim, hidden, 3, padding=1), nn.GELU(), nn.Conv2d(hidden, 1, 1))

    def forward(self, features: Tensor, text: Tensor, *, chunk: int = 0) -> Tensor:
        """See the module. Gated features are the largest tensor by far: ``chunk`` bounds how many classes of them there are."""
        shared = self.gate.project(features)

        def logits(words: Tensor) -> Tensor:
            gated = features.unsqueeze(1) * self.gate.compare(shared, words).sigmoid().unsqueeze(2)
            return self.proj(gated.flatten(0, 1)).squeeze(1).unflatten(0, words.shape[:2])

        return map_classes(logits, text.expand(len(features), -1, -1), chunk)


class CosineHead(nn.Module):
    """The gate by itself, before its sigmoid: the least that can tell classes apart ("without CARH" in Table 2).

    Args:
        gate: gives the scaled cosines.
    """

    def __init__(self, *, gate: TextGate) -> None:
        super().__init__()
        self.gate = gate

    def forward(self, features: Tensor, text: Tensor, *, chunk: int = 0) -> Tensor:
        """See the module."""
        shared = self.gate.project(features)
        return map_classes(lambda words: self.gate.compare(shared, words), text.expand(len(features), -1, -1), chunk)


class GatedDecoderHead(nn.Module):
    """AerOSeg's decoder behind the gate: features of a quarter of the sides, enlarged with the fine ones as guidance.

    A class enters as F * A_k plus an embedding of the cosine itself: the decoder's norms would undo the level of A_k, which
    says how sure a class is.

    Args:
        gate: gives A_k.
        embedding: of the cosines, to the channels of the features.
        decoder: two stages of upsampling.
        guidance: projections of the features for the decoder's stages at 2x and 4x.
    """

    def __init__(
        self, *, gate: TextGate, embedding: CostEmbedding, decoder: UpsamplingDecoder, guidance: nn.ModuleList
    ) -> None:
        super().__init__()
        self.gate = gate
        self.embedding = embedding
        self.decoder = decoder
        self.guidance = guidance

    @classmethod
    def build(
        cls, *, gate: TextGate, dim: int, kernel: int, dims: Sequence[int], guidance_dims: Sequence[int], attention: bool
    ) -> GatedDecoderHead:
        """The head over features of ``dim`` channels; the rest as in :class:`CostEmbedding` and :class:`UpsamplingDecoder`."""
        return cls(
            gate=gate,
            embedding=CostEmbedding(channels=1, dim=dim, kernel=kernel),
            decoder=UpsamplingDecoder(dim=dim, dims=dims, guidance_dims=guidance_dims, attention=attention),
            guidance=nn.ModuleList(GuidanceProjection(channels=dim, dim=width) for width in guidance_dims),
        )

    def forward(self, features: Tensor, text: Tensor, *, chunk: int = 0) -> Tensor:
        """See the module; the sides of the features must be multiples of 4."""
        coarse = F.avg_pool2d(features, self.decoder.scale)
        height, width = coarse.shape[-2:]
        cosines = self.gate.compare(self.gate.project(coarse), text.expand(len(features), -1, -1))
        gated = coarse.permute(0, 2, 3, 1).unsqueeze(1) * cosines.sigmoid().unsqueeze(-1)
        phi = gated + self.embedding(cosines.unsqueeze(1), chunk=chunk)
        sizes = ((2 * height, 2 * width), (4 * height, 4 * width))
        guidance = [project(features, size) for project, size in zip(self.guidance, sizes, strict=True)]
        return self.decoder(phi, guidance, chunk=chunk)
