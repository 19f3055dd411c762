"""The small image tower as a guidance encoder: what a mini model has learnt to see, handed on to another."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ovrs.errors import ConfigError
from ovrs.modeling.encoders.backbones import BackboneStem, read_levels
from ovrs.modeling.encoders.clip_image import ClipImage
from ovrs.modeling.encoders.guidance_contract import GuidanceEncoder, Layer


class TowerGuidance(GuidanceEncoder):
    """Levels of the backbone under a small image tower, and the tower's dense embeddings, in one pass.

    Args:
        tower: of :func:`~ovrs.modeling.encoders.small.build_small_tower`, on a backbone of timm.
        layers: levels of the backbone from 0, the finest, down to the one that the tower stands on; or "dense".

    Raises:
        ConfigError: a tower without a backbone, or a layer that it does not have.
    """

    def __init__(self, tower: ClipImage, layers: Sequence[Layer]) -> None:
        super().__init__()
        stem = tower.conv1
        if not isinstance(stem, BackboneStem):
            raise ConfigError("a small image tower guides by its backbone: MODEL.VISION_LANGUAGE.SMALL.STEM timm:<model>")
        for layer in layers:
            if layer != "dense" and not (isinstance(layer, int) and 0 <= layer <= stem.level):
                raise ConfigError(f"guidance layer {layer!r}: levels 0 to {stem.level} or 'dense' exist")
        self.tower = tower
        self.layers = tuple(layers)
        self.channels = {
            layer: tower.dim if layer == "dense" else stem.backbone.feature_info[layer]["num_chs"] for layer in layers
        }
        self.stride = tower.patch

    def unused_parameters(self) -> tuple[str, ...]:
        """Where no layer is dense, all that stands on the backbone; else what no dense embedding depends on."""
        if "dense" in self.layers:
            return tuple(f"tower.{name}" for name in self.tower.outside_dense_path())
        return tuple(f"tower.{name}" for name, _ in self.tower.named_parameters() if not name.startswith("conv1.backbone."))

    def features(self, x: Tensor) -> dict[Layer, Tensor]:
        """See the base class."""
        stem, size = self.tower.conv1, (x.shape[-2] // self.stride, x.shape[-1] // self.stride)
        dense = "dense" in self.layers
        levels = [*(layer for layer in self.layers if isinstance(layer, int)), *([stem.level] if dense else [])]
        read = read_levels(stem.backbone, x.contiguous(memory_format=torch.channels_last), levels)
        found: dict[Layer, Tensor] = dict(zip(levels, read, strict=True))
        if dense:
            found["dense"] = self.tower.read(stem.projection(read[-1]), size).dense
        return {layer: found[layer] for layer in self.layers}
