"""Levels of a plain vision transformer: blocks of it, and those of the backbone that a small one stands on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ovrs.errors import ConfigError
from ovrs.modeling.blocks.level_adapters import LevelAdapters
from ovrs.modeling.encoders.backbones import BackboneStem, read_levels
from ovrs.modeling.encoders.clip_image import ClipImage

STEM = "stem"  # "stem1" is level 1 of the backbone, from 0, the finest


@dataclass(frozen=True)
class TowerLevels:
    """Which levels of towers of one architecture are read.

    Attributes:
        stem: levels of the backbone under the tower, from 0.
        blocks: of the tower, from 1.
        channels: of the levels, those of the backbone first.
        strides: of the levels, in pixels.
    """

    stem: tuple[int, ...]
    blocks: tuple[int, ...]
    channels: tuple[int, ...]
    strides: tuple[int, ...]

    @classmethod
    def of(cls, tower: ClipImage, layers: Sequence[int | str]) -> TowerLevels:
        """Levels by name: ``stem<n>`` and then blocks, each finer or earlier than the next.

        Raises:
            ConfigError: the tower has no such level, or they are not in order.
        """
        stem = [_stem_level(tower, layer) for layer in layers if isinstance(layer, str)]
        blocks = [layer for layer in layers if isinstance(layer, int)]
        last = len(tower.transformer.resblocks)
        in_order = all(sorted(set(part)) == part for part in (stem, blocks)) and list(layers[len(stem) :]) == blocks
        if not blocks or not in_order or not 1 <= blocks[0] <= blocks[-1] <= last:
            raise ConfigError(
                f"layers {list(layers)}: give levels of the backbone in their order, if any, then blocks 1 to {last}"
            )
        known = tower.conv1.backbone.feature_info if stem else []
        return cls(
            stem=tuple(stem),
            blocks=tuple(blocks),
            channels=(*(known[level]["num_chs"] for level in stem), *[tower.width] * len(blocks)),
            strides=(*(known[level]["reduction"] for level in stem), *[tower.patch] * len(blocks)),
        )

    def read(self, tower: ClipImage, x: Tensor) -> list[Tensor]:
        """The levels [B, channels, H, W] of normalised images ``x`` [B, 3, H*patch, W*patch]; none behind the last is run."""
        levels, patches = self._stem_and_patches(tower, x)
        return [*levels, *tower.levels(patches, _grid(tower, x), self.blocks)]

    def read_with_dense(self, tower: ClipImage, x: Tensor) -> tuple[list[Tensor], Tensor]:
        """As :meth:`read`, and the dense embeddings [B, C, H, W] of the same pass."""
        levels, patches = self._stem_and_patches(tower, x)
        seen = tower.read(patches, _grid(tower, x), self.blocks)
        return [*levels, *seen.taps], seen.dense

    def _stem_and_patches(self, tower: ClipImage, x: Tensor) -> tuple[list[Tensor], Tensor]:
        stem = tower.conv1
        if not self.stem:
            return [], stem(x)
        assert isinstance(stem, BackboneStem)
        found = read_levels(stem.backbone, x.contiguous(memory_format=torch.channels_last), [*self.stem, stem.level])
        return found[:-1], stem.projection(found[-1])


class TowerPyramid(nn.Module):
    """Levels of a tower brought to the strides and the channels of a pyramid; the tower itself belongs to somebody else.

    Args:
        levels: which are read.
        adapters: from those to ``dim`` channels at ``strides``.
        dim: channels of all that comes out.
        strides: of what comes out, in pixels.
    """

    def __init__(self, levels: TowerLevels, adapters: LevelAdapters, *, dim: int, strides: Sequence[int]) -> None:
        super().__init__()
        self.levels = levels
        self.adapters = adapters
        self.strides = tuple(strides)
        self.channels = (dim,) * len(self.strides)

    def forward(self, x: Tensor, tower: ClipImage) -> list[Tensor]:
        """The levels [B, dim, h, w] of normalised images ``x`` [B, 3, H*patch, W*patch]."""
        return self.adapters(self.levels.read(tower, x))


def _stem_level(tower: ClipImage, layer: str) -> int:
    stem, number = tower.conv1, layer.removeprefix(STEM)
    if not isinstance(stem, BackboneStem):
        raise ConfigError(f"layer {layer!r}: the tower stands on no backbone; MODEL.VISION_LANGUAGE.SMALL.STEM timm:<model>")
    if not layer.startswith(STEM) or not number.isdecimal() or int(number) > stem.level:
        raise ConfigError(f"layer {layer!r}: the tower's backbone has the levels {STEM}0 to {STEM}{stem.level}")
    return int(number)


def _grid(tower: ClipImage, x: Tensor) -> tuple[int, int]:
    return x.shape[-2] // tower.patch, x.shape[-1] // tower.patch
