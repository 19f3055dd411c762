"""Scenes read in windows: depths, bands, stretches, grids, nodata; and what cannot be read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from numpy.typing import NDArray
from PIL import Image
from rasterio.enums import ColorInterp

from ovrs.errors import InputError
from ovrs.inference.nodata import border_black
from ovrs.inference.opening import open_scene
from ovrs.inference.rasters import ImageInput
from ovrs.inference.reading import ReadOptions
from ovrs.inference.scene import ArrayScene
from ovrs.inference.stretch import Stretch, StretchRule

Writer = Callable[..., Path]


def noise(shape: tuple[int, ...], dtype: Any = np.uint8, low: float = 1, high: float = 255, seed: int = 0) -> NDArray[Any]:
    return np.random.default_rng(seed).uniform(low, high, shape).astype(dtype)


def windows(height: int, width: int) -> list[tuple[int, int, int, int]]:
    return [(0, height, 0, width), (3, 20, 5, 31), (height - 7, height, width - 9, width), (10, 11, 0, width)]


def test_windows_of_a_file_are_pieces_of_it(write_tiff: Writer) -> None:
    bands = noise((3, 90, 70))
    with open_scene(write_tiff(bands, tiled=True, blockxsize=16, blockysize=16)) as scene:
        assert scene.model_size == (90, 70) and dict(scene.facts) == {"BANDS": "1,2,3"}
        for top, bottom, left, right in windows(90, 70):
            assert np.array_equal(scene.read(top, bottom, left, right), bands[:, top:bottom, left:right])
            assert scene.valid(top, bottom, left, right).all()
        assert scene.reduced((30, 20)).shape == (30, 20, 3)


@pytest.mark.parametrize(("dtype", "high"), [(np.uint16, 9000), (np.int16, 3000), (np.float32, 0.4), (np.float64, 4e5)])
def test_other_depths_are_stretched_between_percentiles_of_the_whole_scene(write_tiff: Writer, dtype: Any, high: float) -> None:
    bands = noise((3, 90, 70), dtype, high / 10, high)
    bands[:, :45] = bands[:, :45] / 2  # a darker half, which must stay darker
    low, top = np.percentile(bands.reshape(3, -1), (2, 98), axis=1)
    expected = ((bands - low[:, None, None]) / (top - low)[:, None, None] * 255).clip(0, 255)
    with open_scene(write_tiff(bands)) as scene:
        read = scene.read(0, 90, 0, 70)
        assert np.abs(read.astype(float) - expected).max() <= 0.51
        assert np.array_equal(scene.read(40, 60, 10, 30), read[:, 40:60, 10:30])
        assert f"{low[0]:g} to {top[0]:g}; " in dict(scene.facts)["STRETCH"]


def test_stretches_by_values_by_percent_and_none(write_tiff: Writer) -> None:
    bands = noise((3, 40, 50), np.uint16, 0, 600)
    path = write_tiff(bands)

    def read(text: str) -> NDArray[np.uint8]:
        with open_scene(path, ReadOptions(stretch=StretchRule.parse(text), nodata="none")) as scene:
            return scene.read(0, 40, 0, 50)

    assert np.array_equal(read("none"), bands.clip(0, 255))
    assert np.abs(read("100,500") - ((bands.astype(float) - 100) / 400 * 255).clip(0, 255)).max() <= 0.51
    whole = read("0%,100%")
    assert whole.min() == 0 and whole.max() == 255
    with open_scene(write_tiff(noise((3, 9, 9))), ReadOptions(stretch=StretchRule.parse("0%,50%"))) as scene:
        assert scene.read(0, 9, 0, 9).max() == 255


def test_a_band_of_one_value_has_nothing_to_stretch(write_tiff: Writer) -> None:
    with open_scene(write_tiff(np.full((3, 20, 20), 7000, np.uint16))) as scene:
        assert (scene.read(0, 20, 0, 20) == 0).all() and scene.valid(0, 20, 0, 20).all()


@pytest.mark.parametrize("text", ["strong", "1,2,3", "2%,98", "5,5", "9,1", "-1%,50%", "1%,101%", "nan,3", "", "0,inf"])
def test_other_stretches_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="stretch"):
        StretchRule.parse(text)


def test_infinite_and_missing_values_become_ends_of_the_range() -> None:
    values = np.array([np.nan, -np.inf, np.inf, 0.5], np.float32).reshape(1, 1, 4).repeat(3, axis=0)
    assert Stretch((0.0,) * 3, (1.0,) * 3)(values)[0, 0].tolist() == [0, 0, 255, 128]


def test_nan_declared_nodata_and_values_are_not_valid(write_tiff: Writer) -> None:
    bands = noise((3, 40, 50), np.float32)
    bands[1, 5:9, 7:11] = np.nan
    with open_scene(write_tiff(bands)) as scene:
        assert (~scene.valid(0, 40, 0, 50)).sum() == 16 and not scene.valid(6, 7, 8, 9)
    deep = noise((3, 40, 50), np.uint16, 1, 9000)
    deep[:, 5:9, 7:11] = 65535
    for nodata, profile in ((65535, {}), ("auto", {"nodata": 65535})):
        with open_scene(write_tiff(deep, **profile), ReadOptions(nodata=nodata)) as scene:
            assert (~scene.valid(0, 40, 0, 50)).sum() == 16
            assert scene.read(0, 40, 0, 50)[:, 20:].mean() < 140  # what is no image does not bend the stretch


def test_an_undeclared_collar_is_found_as_in_the_whole_image(write_tiff: Writer) -> None:
    bands = noise((3, 120, 90), low=60)
    rows, columns = np.mgrid[:120, :90]
    bands[:, rows + 2 * columns < 80] = 0
    bands[:, 60:70, 40:50] = 0
    expected = ~border_black(bands.transpose(1, 2, 0))
    assert not expected.all()
    with open_scene(write_tiff(bands)) as scene:
        for top, bottom, left, right in windows(120, 90):
            assert np.array_equal(scene.valid(top, bottom, left, right), expected[top:bottom, left:right])
    with open_scene(write_tiff(bands, nodata=7), ReadOptions(nodata="auto")) as scene:  # declared, but nowhere
        assert np.array_equal(scene.valid(0, 120, 0, 90), expected)


def test_columns_that_hold_an_image_are_known_on_the_model_s_grid(write_tiff: Writer) -> None:
    bands = noise((3, 60, 80))
    bands[:, :30, :40] = 0
    for gsd, scale in ((None, 1), (1.0, 2), (0.25, 0.5)):
        with open_scene(write_tiff(bands, nodata=0), ReadOptions(gsd=gsd)) as scene:
            width, half = scene.model_size[1], round(40 / scale)
            columns = scene.holds_image(0, round(30 / scale), 0, width)
            assert len(columns) == width == round(80 / scale)
            assert not columns[:half].any() and columns[half:].all()
            assert np.array_equal(scene.holds_image(0, round(30 / scale), half - 4, half + 6), columns[half - 4 : half + 6])
            assert scene.holds_image(round(30 / scale), round(60 / scale), 0, width).all()


@pytest.mark.parametrize(
    "transform",
    [
        Affine(0.5, 0, 5e5, 0, -0.5, 4e6),
        Affine(0.5, 0, 5e5, 0, 0.5, 4e6),
        Affine.translation(5e5, 4e6) @ Affine.rotation(30) @ Affine.scale(0.5, -0.5),
    ],
    ids=["north up", "south up", "rotated"],
)
def test_the_model_s_grid_covers_the_same_ground(write_tiff: Writer, transform: Affine) -> None:
    small = noise((3, 30, 40))
    bands = small.repeat(4, axis=1).repeat(4, axis=2)
    path = write_tiff(bands, transform=transform)
    with open_scene(path, ReadOptions(gsd=2.0)) as scene:
        assert scene.model_size == (30, 40) and (scene.height, scene.width) == (120, 160)
        assert np.abs(scene.read(0, 30, 0, 40).astype(int) - small).max() <= 1
        assert np.array_equal(scene.read(10, 20, 7, 31), scene.read(0, 30, 0, 40)[:, 10:20, 7:31])
        assert scene.place.transform == transform and dict(scene.facts)["GSD"] == "2 m"
    with open_scene(path, ReadOptions(gsd=0.25)) as scene:
        finer = scene.read(0, 240, 0, 320)
        assert np.abs(finer[:, 3::8, 3::8].astype(int) - small).max() <= 1


def test_arrays_and_pictures_have_the_same_grids(quadrants: NDArray[np.uint8]) -> None:
    place = {"crs": rasterio.crs.CRS.from_epsg(32631), "transform": Affine(0.5, 0, 5e5, 0, -0.5, 4e6)}
    scene = ArrayScene(ImageInput.from_array(quadrants, **place), gsd=1.0)
    assert scene.model_size == (24, 32) and scene.read(0, 24, 0, 32)[:, 0, 0].tolist() == [200, 20, 20]
    assert open_scene(Image.fromarray(quadrants)).valid(0, 48, 0, 64).all()
    clear = np.dstack([quadrants, np.where(np.arange(64) < 5, 0, 255)[None].repeat(48, 0)]).astype(np.uint8)
    assert not open_scene(Image.fromarray(clear)).valid(0, 48, 0, 5).any()


@pytest.mark.parametrize("gsd", [0.0, -1.0, float("nan"), float("inf"), 0.01])
def test_other_ground_sample_distances_are_refused(write_tiff: Writer, gsd: float) -> None:
    with pytest.raises(InputError, match="--gsd"):
        open_scene(write_tiff(noise((3, 20, 20))), ReadOptions(gsd=gsd))


def test_a_ground_sample_distance_needs_a_place(quadrants: NDArray[np.uint8]) -> None:
    with pytest.raises(InputError, match="no coordinate reference system"):
        open_scene(quadrants, ReadOptions(gsd=1.0))


def test_alpha_of_a_single_band_and_of_bands_chosen(write_tiff: Writer) -> None:
    bands = noise((4, 30, 30))
    bands[3] = 255
    bands[3, :10] = 0
    colors = (ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha)
    with open_scene(write_tiff(bands, colors=colors), ReadOptions(bands=(3, 2, 1))) as scene:
        assert np.array_equal(scene.read(0, 30, 0, 30), bands[[2, 1, 0]])
        assert not scene.valid(0, 10, 0, 30).any() and scene.valid(10, 30, 0, 30).all()


def test_a_file_cut_in_the_middle_is_found_out_where_it_is_read(write_tiff: Writer) -> None:
    path = write_tiff(noise((3, 400, 300)), nodata=0)
    path.write_bytes(path.read_bytes()[:200_000])
    with pytest.raises(InputError, match=r"image\.tif: the TIFF is truncated"), open_scene(path) as scene:
        scene.read(390, 400, 0, 300)


@pytest.mark.parametrize(("dtype", "value"), [(np.int16, -9999), (np.uint16, 65535), (np.float32, -3.4e38), (np.float32, 0.1)])
def test_a_nodata_value_of_the_file_s_type_is_no_image_and_is_mixed_with_none(
    write_tiff: Writer, dtype: Any, value: float
) -> None:
    bands = noise((3, 60, 80), dtype, 1, 3000)
    clean = bands.copy()
    bands[:, :30, :30] = value
    bands[0, 50, 50] = value  # one band alone is no nodata
    inside = np.zeros((60, 80), bool)
    inside[:30, :30] = True
    clean[:, :30, :30] = bands[:, 31:, 31:60].mean()
    with open_scene(write_tiff(bands), ReadOptions(nodata=value)) as scene:
        assert np.array_equal(scene.valid(0, 60, 0, 80), ~inside) and dict(scene.facts)["NODATA"] == str(value)
        assert 100 < scene.read(40, 60, 0, 80).mean() < 155  # the stretch is that of the image
    # At twice the pixel size a pixel of the model's covers an odd border.
    bands[:, 30, :] = bands[:, :, 30] = 1500
    rule = StretchRule.parse("0,3000")
    with open_scene(write_tiff(bands, "coarse.tif"), ReadOptions(nodata=value, gsd=0.8, stretch=rule)) as scene:
        read = scene.read(0, *scene.model_size[:1], 0, scene.model_size[1])
        edge = read[:, 19:20, 2:17]  # between rows 30 and 31, half of it nodata in some columns
        assert scene.model_size[0] == 38 and edge.min() > 60


def test_a_nodata_value_that_the_type_cannot_hold_is_refused(write_tiff: Writer, tmp_path: Path) -> None:
    for dtype, bad in ((np.uint8, (256, -1, 0.5, float("nan"))), (np.int16, (65535,)), (np.float32, (1e39,))):
        path = write_tiff(noise((3, 9, 9), dtype))
        for value in bad:
            with pytest.raises(InputError, match=rf"image\.tif: --nodata .*{np.dtype(dtype).name}"):
                open_scene(path, ReadOptions(nodata=value))
    Image.new("RGB", (8, 8)).save(tmp_path / "picture.png")
    with pytest.raises(InputError, match=r"picture\.png: --nodata 256 .*of 0\.\.255"):
        open_scene(tmp_path / "picture.png", ReadOptions(nodata=256))
