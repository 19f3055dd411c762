"""Features of a pre-trained encoder beside a Swin transformer that is not: what lets a small system learn from few images."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from ovrs.modeling.blocks.resizing import resize_features
from ovrs.modeling.encoders.guidance_contract import GuidanceEncoder
from ovrs.modeling.guidance_input import read_guidance
from ovrs.modeling.segmentation_model import PixelNormalization


class StageGuidance(nn.Module):
    """One layer of the encoder a stage, projected by a 1x1 convolution to the stage's channels. In no paper.

    Args:
        encoder: with as many layers as there are stages.
        normalization: its pixel statistics.
        channels: of the stages.
        strides: of the stages.
    """

    def __init__(
        self, *, encoder: GuidanceEncoder, normalization: PixelNormalization, channels: Sequence[int], strides: Sequence[int]
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.normalization = normalization
        self.strides = tuple(strides)
        self.projections = nn.ModuleList(
            nn.Conv2d(encoder.channels[layer], width, 1) for layer, width in zip(encoder.layers, channels, strict=True)
        )

    def forward(self, images: Tensor) -> list[Tensor]:
        """Images [B, 3, H, W] in 0..255, sides multiples of the last stride -> [B, C_i, H / stride_i, W / stride_i]."""
        height, width = images.shape[-2:]
        layers = read_guidance(self.encoder, self.normalization, images, 0)
        return [
            resize_features(project(features), (height // stride, width // stride))
            for project, features, stride in zip(self.projections, layers, self.strides, strict=True)
        ]
