"""SAR goes where its image goes, and keeps its values when colours change."""

import numpy as np
import pytest
from detectron2.data import transforms as T
from fvcore.transforms.transform import BlendTransform, HFlipTransform, PadTransform, TransformList, VFlipTransform
from PIL import Image

from ovrs.data.augmentation import QuarterTurnTransform, build_augmentations
from ovrs.data.crops import RandomSquareCrop
from ovrs.data.sar.geometry import moved_as_image
from ovrs.errors import ConfigError
from ovrs.inference.resampling import Window, resampled


@pytest.fixture
def sar():
    return np.random.default_rng(0).normal(-12, 6, (2, 12, 16)).astype(np.float32)


@pytest.mark.parametrize(
    ("step", "by_hand"),
    [
        (HFlipTransform(16), lambda sar: sar[:, :, ::-1]),
        (VFlipTransform(12), lambda sar: sar[:, ::-1]),
        *((QuarterTurnTransform(k, 12, 16), lambda sar, k=k: np.rot90(sar, k, axes=(1, 2))) for k in range(4)),
        (T.CropTransform(3, 2, 7, 5), lambda sar: sar[:, 2:7, 3:10]),
        (PadTransform(1, 2, 3, 4, pad_value=128), lambda sar: np.pad(sar, ((0, 0), (2, 4), (1, 3)), constant_values=np.nan)),
        (T.ResizeTransform(12, 16, 12, 16), lambda sar: sar),
        (T.ColorTransform(lambda image: image * 0), lambda sar: sar),
        (BlendTransform(0, 1, 0), lambda sar: sar),
    ],
    ids=lambda value: type(value).__name__,
)
def test_each_step_is_what_one_does_by_hand(sar, step, by_hand):
    assert np.array_equal(moved_as_image(sar, step), by_hand(sar), equal_nan=True)


@pytest.mark.parametrize("size", [(24, 40), (5, 6), (18, 7)])
def test_a_resize_weighs_pixels_as_the_images_own_does(size):
    image = np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    step = T.ResizeTransform(12, 16, *size)
    found = moved_as_image(image.transpose(2, 0, 1).astype(np.float32), step)
    assert found.shape == (3, *size)
    assert abs(found - step.apply_image(image).transpose(2, 0, 1)).max() <= 1.0  # the image is rounded, twice
    wanted = Image.fromarray(image[..., 0].astype(np.float32)).resize(size[::-1], Image.Resampling.BILINEAR)
    assert np.array_equal(found[0], np.asarray(wanted))


def test_nothing_is_made_up_where_nothing_was_measured(sar):
    sar[:, :, :4] = np.nan
    found = moved_as_image(sar, T.ResizeTransform(12, 16, 24, 32))
    assert np.isnan(found[:, :, :7]).all() and np.isfinite(found[:, :, 10:]).all()


@pytest.mark.parametrize("size", [(16, 24), (32, 48), (80, 120)])
def test_gaps_grow_no_more_than_where_a_scene_is_read(size):
    """The means of training leave out what was not measured as those of use do, and keep its area."""
    values = np.full((1, 64, 96), -10, np.float32)
    values[0, :, 48:] = -20
    values[0, 20:36, 40:56] = np.nan
    found = moved_as_image(values, T.ResizeTransform(64, 96, *size))
    used = resampled(
        lambda top, bottom, left, right: values[:, top:bottom, left:right], (64, 96), size, Window(0, size[0], 0, size[1])
    )
    pixels = size[0] * size[1] / (64 * 96)
    assert abs(np.isnan(found).sum() / pixels - 256) < 40
    assert (np.isnan(found) == np.isnan(used)).mean() > 0.98
    assert np.nanmin(found) >= -20.001 and np.nanmax(found) <= -9.999


def test_a_whole_recipe_keeps_image_and_sar_together():
    """Red and SAR are one and the same before, and after whatever is drawn."""
    steps = T.AugmentationList(
        build_augmentations(shortest_edges=(0,), scale_jitter=(0.5, 2.0), crop=20, quarter_turns=True, color_jitter=False)
    )
    ramp = np.add.outer(np.linspace(0, 150, 24), np.linspace(0, 100, 32)).astype(np.uint8)
    for seed in range(30):
        np.random.seed(seed)
        sample = T.AugInput(np.stack([ramp] * 3, -1), sem_seg=np.zeros_like(ramp))
        found = moved_as_image(ramp[None].astype(np.float32), steps(sample))[0]
        beyond = sample.sem_seg == 255
        assert np.array_equal(np.isnan(found), beyond)
        assert abs(found - sample.image[..., 0])[~beyond].max() <= 1.0


def test_a_crop_of_a_small_image_has_no_value_beyond_it(sar):
    found = moved_as_image(sar, RandomSquareCrop(20).get_transform(np.zeros((12, 16, 3), np.uint8)))
    assert found.shape == (2, 20, 20) and np.isnan(found).sum() == 2 * (400 - 12 * 16)


def test_what_nobody_thought_of_is_refused(sar):
    with pytest.raises(ConfigError, match="RotationTransform, one of the augmentations, has no rule for SAR"):
        moved_as_image(sar, TransformList([T.RotationTransform(12, 16, 30)]))
