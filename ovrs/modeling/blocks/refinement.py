"""One correlation feature refinement block of AerOSeg and CAT-Seg: space first, then classes."""

from __future__ import annotations

from torch import Tensor, nn

from ovrs.modeling.blocks.class_refinement import ClassRefinement
from ovrs.modeling.blocks.spatial_refinement import SpatialRefinement


class RefinementBlock(nn.Module):
    """One correlation feature refinement block: spatial (eq. 5), then class (eq. 6)."""

    def __init__(self, *, spatial: SpatialRefinement, classes: ClassRefinement) -> None:
        super().__init__()
        self.spatial = spatial
        self.classes = classes

    def forward(self, phi: Tensor, guidance: Tensor, text: Tensor, *, pooling: int, chunk: int) -> Tensor:
        """phi [B, N, H, W, C], guidance [B, G, H, W], text [B, N, T] -> phi'' [B, N, H, W, C]."""
        return self.classes(self.spatial(phi, guidance, chunk=chunk), text, pooling=pooling, chunk=chunk)
