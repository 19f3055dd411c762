"""Levels of a small image tower: those of its backbone and blocks of its own, with and without dense embeddings."""

from copy import deepcopy

import pytest
import torch

from ovrs.errors import ConfigError
from ovrs.modeling.encoders.backbones import read_levels
from ovrs.modeling.encoders.small import build_small_tower
from ovrs.modeling.encoders.tower_levels import TowerLevels

SIZES = {"image_size": 64, "patch": 16, "width": 48, "layers": 3, "heads": 2, "dim": 32}
STEM = "timm:tf_efficientnet_lite0"


@pytest.fixture(scope="module")
def tower():
    torch.manual_seed(0)
    return build_small_tower(**SIZES, stem=STEM).eval()


@torch.no_grad()
@pytest.mark.parametrize(
    ("layers", "channels", "strides"),
    [
        (["stem1", "stem2", 1, 2], (24, 40, 48, 48), (4, 8, 16, 16)),
        (["stem3", 3], (112, 48), (16, 16)),
        ([1, 2, 3], (48, 48, 48), (16, 16, 16)),
    ],
)
def test_levels_are_the_backbone_s_and_the_blocks_own(tower, layers, channels, strides):
    levels = TowerLevels.of(tower, layers)
    assert (levels.channels, levels.strides) == (channels, strides)
    images = torch.randn(2, 3, 64, 96)
    found = levels.read(tower, images)
    last = images.contiguous(memory_format=torch.channels_last)
    expected = read_levels(tower.conv1.backbone, last, levels.stem) if levels.stem else []
    expected += tower.levels(tower.conv1(images), (4, 6), levels.blocks)
    assert [tuple(level.shape) for level in found] == [(2, c, 64 // s, 96 // s) for c, s in zip(channels, strides, strict=True)]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    with_dense, dense = levels.read_with_dense(tower, images)
    torch.testing.assert_close(with_dense, found, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(dense, tower(images).dense, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_a_tower_cut_behind_its_deepest_level_gives_the_same(tower):
    levels, images = TowerLevels.of(tower, ["stem1", 2]), torch.randn(1, 3, 64, 64)
    cut = deepcopy(tower)
    cut.cut(2)
    assert len(cut.transformer.resblocks) == 2
    torch.testing.assert_close(levels.read(cut, images), levels.read(tower, images))


@pytest.mark.parametrize(
    ("layers", "said"),
    [
        (["stem4", 1], "the levels stem0 to stem3"),
        (["level1", 1], "'level1': the tower's backbone has the levels"),
        (["stem1"], "then blocks 1 to 3"),
        ([1, "stem1"], "then blocks 1 to 3"),
        (["stem2", "stem1", 1], "then blocks 1 to 3"),
        ([2, 1], "then blocks 1 to 3"),
        ([0, 1], "then blocks 1 to 3"),
        ([1, 4], "then blocks 1 to 3"),
    ],
)
def test_layers_that_a_tower_does_not_have_are_refused(tower, layers, said):
    with pytest.raises(ConfigError, match=said):
        TowerLevels.of(tower, layers)


def test_a_tower_without_a_backbone_has_no_levels_of_one():
    with pytest.raises(ConfigError, match="the tower stands on no backbone"):
        TowerLevels.of(build_small_tower(**SIZES), ["stem1", 1])
