"""The SAR-like channel and the clouds: what is dark, what is bright, what the speckle is, and that the clear image stays."""

import numpy as np
import pytest

from ovrs.data.scenes import Label, Scene, draw_scene
from ovrs.data.scenes.canvas import Raised
from ovrs.data.scenes.radar import VIEW_DB, backscatter, view

SQUARE = np.array([[40.0, 40.0], [60.0, 40.0], [60.0, 60.0], [40.0, 60.0]])


def flat(label: Label, size: int = 128) -> tuple[np.ndarray, np.ndarray]:
    """An image and labels of one surface."""
    return np.full((size, size, 3), 110, np.uint8), np.full((size, size), label, np.uint8)


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [draw_scene(23, index, size=96) for index in range(16)]


def test_it_has_the_image_s_pixels_and_is_the_same_every_time(scenes):
    scene = scenes[3]
    assert scene.sar.shape == scene.labels.shape and scene.sar.dtype == np.float32
    assert scene.sar_view.shape == scene.labels.shape and scene.sar_view.dtype == np.uint8
    assert np.isfinite(scene.sar).all() and (scene.sar > 0).all()
    again = draw_scene(23, 3, size=96)
    assert again.expressions is not None  # computed before, in another order
    assert (again.sar == scene.sar).all()


def test_water_is_dark_and_metal_bright(scenes):
    power = {label: [] for label in Label}
    for scene in scenes:
        for label in Label:
            here = scene.labels == label
            if here.sum() > 30:
                power[label].append(scene.sar[here].mean())
    mean = {label: np.mean(values) for label, values in power.items() if values}
    for bright in (Label.SHIP, Label.BUILDING, Label.VEHICLE):
        assert mean[bright] > 10 * mean[Label.WATER]
    assert mean[Label.TREE] > mean[Label.GRASS] > mean[Label.WATER]
    assert mean[Label.GRASS] > mean[Label.ROAD]


@pytest.mark.parametrize("looks", [1, 4, 16])
def test_speckle_is_multiplicative_with_the_variance_of_its_looks(looks):
    power = backscatter(*flat(Label.WATER, 256), [], 0.5, np.random.default_rng(0), looks=looks)
    assert power.var() / power.mean() ** 2 == pytest.approx(1 / looks, rel=0.15)
    brighter = backscatter(*flat(Label.TREE, 256), [], 0.5, np.random.default_rng(0), looks=looks)
    assert brighter.std() > 5 * power.std(), "the noise grows with the signal"


def test_a_building_leans_towards_the_sensor_hides_what_lies_behind_and_shines_at_its_foot():
    image, labels = flat(Label.GRASS)
    labels[40:60, 40:60] = Label.BUILDING
    for seed in range(4):
        low, high = (
            backscatter(image, labels, [Raised((SQUARE,), height, Label.BUILDING)], 0.5, np.random.default_rng(seed), looks=200)
            for height in (0.01, 8.0)
        )
        rows, columns = np.indices(labels.shape)
        brighter = (high > 3 * low) & (labels == Label.GRASS)
        darker = (high < 0.3 * low) & (labels == Label.GRASS)
        assert brighter.sum() > 60 and darker.sum() > 60
        towards = np.array([columns[brighter].mean() - 49.5, rows[brighter].mean() - 49.5])
        behind = np.array([columns[darker].mean() - 49.5, rows[darker].mean() - 49.5])
        assert towards @ behind < -0.8 * np.hypot(*towards) * np.hypot(*behind)
        edge = low[34:66, 34:66].max()
        assert edge > 3 * np.median(low[labels == Label.BUILDING]), "the double bounce of wall and ground"


def test_the_view_is_decibels():
    low, high = VIEW_DB
    shown = view(np.array([0.0, 10 ** (low / 10), 10 ** (0.05 * (low + high)), 10 ** (high / 10), 1e9], np.float32))
    assert shown[0] == shown[1] == 0 and shown[3] == shown[4] == 255 and abs(int(shown[2]) - 127) <= 1


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_clouds_cover_their_share_and_leave_all_else_as_it_is(share):
    clear, cloudy = draw_scene(29, 1, size=96), draw_scene(29, 1, size=96, clouds=share)
    assert (cloudy.image == clear.image).all() and (cloudy.sar == clear.sar).all()
    assert cloudy.description == clear.description
    cover = cloudy.cloud_cover
    assert cover.min() >= 0 and cover.max() <= 1 and (cover > 0).mean() == pytest.approx(share, abs=0.02)
    dense = cover > 0.97
    assert dense.any() and cloudy.cloudy[dense].min() > 150
    assert cloudy.cloudy[dense].astype(float).std() < clear.image[dense].astype(float).std() or clear.image[dense].std() < 15


def test_a_cloud_s_shadow_darkens_what_is_clear():
    scene = draw_scene(29, 2, size=128, clouds=0.4)
    free = scene.cloud_cover == 0
    assert (scene.cloudy[free] <= scene.image[free]).all()
    assert (scene.cloudy[free].astype(int) < scene.image[free].astype(int) - 8).any()


def test_without_clouds_the_sky_is_clear():
    scene = draw_scene(29, 1, size=64)
    assert (scene.cloudy == scene.image).all() and not scene.cloud_cover.any()
