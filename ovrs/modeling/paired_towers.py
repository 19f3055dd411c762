"""Two image towers, of the optical image and of SAR, and one pyramid of what both see (TSMNet section 2.2)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ovrs.modeling.blocks.level_adapters import LevelAdapters
from ovrs.modeling.blocks.modality_fusion import ModalityFusion
from ovrs.modeling.blocks.rectification import FeatureRectification
from ovrs.modeling.encoders.clip_image import ClipImage
from ovrs.modeling.encoders.tower_levels import TowerLevels
from ovrs.modeling.paired_inputs import COLOURS
from ovrs.modeling.segmentation_model import PixelNormalization


@dataclass(frozen=True)
class PairedFeatures:
    """What two towers see.

    Attributes:
        levels: z of eq. 3, finest first, each [B, C, H_i, W_i].
        optical: the optical image alone in the space of words [B, E, H, W], one embedding a patch; zeros where it is absent.
    """

    levels: list[Tensor]
    optical: Tensor


class PairedTowers(nn.Module):
    """Both towers' levels, rectified by each other and fused; the optical tower is the vision-language encoder's own.

    A modality of which an image has no number at all is absent: its levels are zeros. A pixel without a number, in an image
    that has others, is taken for the mean.

    Args:
        optical_normalization: pixel statistics of the optical tower.
        sar_normalization: of SAR, one a polarisation.
        sar_tower: a copy of the optical tower, cut behind the deepest of ``tower_levels``.
        tower_levels: what is read of both, one a level, the finest first.
        adapters: of the optical and of the SAR tower, from what is read to levels.
        dim: C, channels of the levels.
        strides: of the levels, in pixels.
        rectification: MFRM, shared by all levels; None leaves the levels as they are (Table 4).
        fusion: MFFM, shared by all levels.
        scales: that by which optical and SAR levels are multiplied, before MFRM and again before MFFM (the authors' code).
        batch_statistics: whether batch norms of the SAR tower learn theirs, where it has some.
    """

    def __init__(
        self,
        *,
        optical_normalization: PixelNormalization,
        sar_normalization: PixelNormalization,
        sar_tower: ClipImage,
        tower_levels: TowerLevels,
        adapters: tuple[LevelAdapters, LevelAdapters],
        dim: int,
        strides: Sequence[int],
        rectification: FeatureRectification | None,
        fusion: ModalityFusion,
        scales: tuple[float, float],
        batch_statistics: bool = False,
    ) -> None:
        super().__init__()
        self.optical_normalization = optical_normalization
        self.sar_normalization = sar_normalization
        self.bands = len(sar_normalization.mean)
        # The copy knows images of three channels; at first it is shown a grey one.
        self.sar_bands = nn.Conv2d(self.bands, COLOURS, 1)
        nn.init.constant_(self.sar_bands.weight, 1 / self.bands)
        nn.init.zeros_(self.sar_bands.bias)  # type: ignore[arg-type]
        self.sar_tower = sar_tower
        self.tower_levels = tower_levels
        self.dim = dim
        self.strides = tuple(strides)
        self.optical_adapters, self.sar_adapters = adapters
        self.rectification = rectification
        self.fusion = fusion
        self.scales = scales
        self.batch_statistics = batch_statistics

    def forward(self, images: Tensor, visual: ClipImage) -> PairedFeatures:
        """What both see of ``images`` [B, 3 or 3 + S, H, W], NaN where nothing was measured; ``visual``: the optical tower."""

        def read_optical(x: Tensor) -> list[Tensor]:
            seen, dense = self.tower_levels.read_with_dense(visual, x)
            return [*self.optical_adapters(seen), dense]

        def read_sar(y: Tensor) -> list[Tensor]:
            return self.sar_adapters(self.tower_levels.read(self.sar_tower, self.sar_bands(y)))

        height, width = images.shape[-2:]
        absent = [images.new_zeros(len(images), self.dim, -(-height // stride), -(-width // stride)) for stride in self.strides]
        dense = images.new_zeros(len(images), visual.dim, height // visual.patch, width // visual.patch)
        colours, sar = images[:, :COLOURS], images[:, COLOURS:]
        *x, optical = _where_measured(self.optical_normalization(colours), read_optical) or [*absent, dense]  # eq. 1
        y = (_where_measured(self.sar_normalization(sar), read_sar) if sar.shape[1] else None) or absent
        return PairedFeatures([self._fused(*pair) for pair in zip(x, y, strict=True)], optical)

    def train(self, mode: bool = True) -> PairedTowers:
        """The copied tower stays in evaluation mode unless ``batch_statistics``, as the tower that it is a copy of."""
        super().train(mode)
        self.sar_tower.train(mode and self.batch_statistics)
        return self

    def _fused(self, x: Tensor, y: Tensor) -> Tensor:
        optical, sar = self.scales
        if self.rectification is not None:
            x, y = self.rectification(optical * x, sar * y)  # eq. 2
        fused: Tensor = self.fusion(optical * x, sar * y)  # eq. 3
        return fused


def _where_measured(x: Tensor, read: Callable[[Tensor], list[Tensor]]) -> list[Tensor] | None:
    """What ``read`` makes of normalised images [B, C, H, W] that have a number somewhere, and zeros for the others.

    None where none of them has, unless gradients are wanted: then they come back as zeros, for every process must have the
    same parameters in its graph.
    """
    there = ~x.isnan().flatten(1).all(dim=1)
    x = x.nan_to_num(nan=0.0)
    if bool(there.all()):
        return read(x)
    if not bool(there.any()):
        return [0 * part for part in read(x)] if torch.is_grad_enabled() else None
    rows = there.nonzero()[:, 0]  # the others would count in batch norms
    return [part.new_zeros(len(x), *part.shape[1:]).index_copy(0, rows, part) for part in read(x[rows])]
