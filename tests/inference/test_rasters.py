"""Reading images: what is accepted, what is nodata, how large a pixel is, and what is refused."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from rasterio.enums import ColorInterp
from rasterio.transform import from_origin

from ovrs.errors import InputError
from ovrs.inference.nodata import parse_nodata
from ovrs.inference.opening import open_scene
from ovrs.inference.rasters import ImageInput, read_header
from ovrs.inference.reading import ReadOptions

Rgb = NDArray[np.uint8]
Writer = Callable[..., Path]
ALPHA = (ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha)


def read_image(path: Path, **options: Any) -> SimpleNamespace:
    """All of a scene."""
    with open_scene(path, ReadOptions(**options)) as scene:
        size = 0, scene.height, 0, scene.width
        rgb, place = scene.read(*size).transpose(1, 2, 0), scene.place
        return SimpleNamespace(
            rgb=rgb, valid=scene.valid(*size), crs=place.crs, transform=place.transform, pixel_area=place.pixel_area
        )


@pytest.mark.parametrize("suffix", ["png", "webp", "jpg"])
def test_pictures_are_read_as_rgb_without_a_place(tmp_path: Path, quadrants: Rgb, suffix: str) -> None:
    path = tmp_path / f"image.{suffix}"
    Image.fromarray(quadrants).save(path, **({"lossless": True} if suffix == "webp" else {}))
    image = read_image(path)
    assert image.rgb.dtype == np.uint8 and image.valid.all()
    assert image.crs is None and image.pixel_area is None
    tolerance = 40 if suffix == "jpg" else 0
    assert np.abs(image.rgb.astype(int) - quadrants).mean() <= tolerance / 10


def test_geotiff_keeps_crs_and_transform(quadrants: Rgb, write_tiff: Writer) -> None:
    image = read_image(write_tiff(quadrants.transpose(2, 0, 1)))
    assert image.crs.to_epsg() == 32631
    assert image.transform == from_origin(500_000, 4_000_000, 0.5, 0.5)
    assert image.pixel_area == pytest.approx(0.25)
    assert np.array_equal(image.rgb, quadrants)


def test_bands_named_blue_green_red_come_out_red_first(quadrants: Rgb, write_tiff: Writer) -> None:
    colors = (ColorInterp.blue, ColorInterp.green, ColorInterp.red)
    path = write_tiff(quadrants[..., ::-1].transpose(2, 0, 1), colors=colors, photometric="MINISBLACK")
    assert np.array_equal(read_image(path).rgb, quadrants)


def test_web_mercator_and_degrees_give_area_on_the_ground(quadrants: Rgb, write_tiff: Writer) -> None:
    bands = quadrants.transpose(2, 0, 1)
    mercator = read_image(write_tiff(bands, crs="EPSG:3857", transform=from_origin(0, 8_399_737.89, 1, 1)))  # 60 degrees north
    assert mercator.pixel_area == pytest.approx(0.25, rel=0.01)
    degrees = read_image(write_tiff(bands, crs="EPSG:4326", transform=from_origin(10, 0, 1e-5, 1e-5)))
    assert degrees.pixel_area == pytest.approx(1.1132 * 1.1057, rel=0.001)


def test_feet_become_metres(quadrants: Rgb, write_tiff: Writer) -> None:
    path = write_tiff(quadrants.transpose(2, 0, 1), crs="EPSG:2263", transform=from_origin(980_000, 200_000, 1, 1))
    assert read_image(path).pixel_area == pytest.approx(0.3048006**2, rel=1e-3)


def test_declared_nodata_is_left_out(quadrants: Rgb, write_tiff: Writer) -> None:
    quadrants[:10, :10] = 255
    valid = read_image(write_tiff(quadrants.transpose(2, 0, 1), nodata=255), nodata="none").valid
    assert not valid[:10, :10].any() and valid.sum() == valid.size - 100


def test_alpha_and_mask_are_left_out(quadrants: Rgb, write_tiff: Writer, tmp_path: Path) -> None:
    alpha = np.full((48, 64), 255, dtype=np.uint8)
    alpha[5:9, 7:11] = 0
    expected = alpha > 0
    bands = np.concatenate([quadrants.transpose(2, 0, 1), alpha[None]])
    assert np.array_equal(read_image(write_tiff(bands, "a.tif", ALPHA)).valid, expected)
    assert np.array_equal(read_image(write_tiff(bands[:3], "m.tif", mask=alpha)).valid, expected)
    Image.fromarray(bands.transpose(1, 2, 0)).save(tmp_path / "a.png")
    assert np.array_equal(read_image(tmp_path / "a.png").valid, expected)


def test_black_corner_is_nodata_but_black_inside_and_specks_are_not(tmp_path: Path, quadrants: Rgb) -> None:
    quadrants[:20, :20] = 0
    quadrants[30:45, 30:45] = 0
    quadrants[-2:, -2:] = 0
    path = tmp_path / "corner.png"
    Image.fromarray(quadrants).save(path)
    expected = np.ones((48, 64), dtype=bool)
    expected[:20, :20] = False
    assert np.array_equal(read_image(path).valid, expected)
    assert read_image(path, nodata="none").valid.all()
    assert not read_image(path, nodata=0).valid[35, 35]


def test_jpeg_fringe_of_a_black_corner_is_nodata_too(tmp_path: Path, quadrants: Rgb) -> None:
    quadrants[:20, :20] = 0
    quadrants[20:24, :20] = 3
    Image.fromarray(quadrants).save(tmp_path / "fringe.png")
    valid = read_image(tmp_path / "fringe.png").valid
    assert not valid[:24, :20].any() and valid[24:].all()


def test_palette_and_its_transparency_are_resolved(tmp_path: Path, quadrants: Rgb) -> None:
    picture = Image.fromarray(quadrants).quantize(8)
    picture.save(tmp_path / "plain.png")
    assert np.abs(read_image(tmp_path / "plain.png").rgb.astype(int) - quadrants).max() < 12
    picture.save(tmp_path / "clear.png", transparency=picture.getpixel((0, 0)))
    valid = read_image(tmp_path / "clear.png").valid
    assert not valid[:24, :32].any() and valid[24:].all()


def test_exif_orientation_is_applied(tmp_path: Path, quadrants: Rgb) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate by 90 degrees clockwise to see it upright
    Image.fromarray(quadrants).save(tmp_path / "turned.jpg", exif=exif, quality=95)
    image = read_image(tmp_path / "turned.jpg")
    assert image.rgb.shape == (64, 48, 3)
    assert image.rgb[5, 5].argmax() == 2  # blue was at the lower left


def _damage(tmp_path: Path, quadrants: Rgb, suffix: str) -> Path:
    noise = np.random.default_rng(0).integers(0, 255, (200, 200, 3), dtype=np.uint8)
    path = tmp_path / f"cut.{suffix}"
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif"])
def test_truncated_file_is_refused(tmp_path: Path, quadrants: Rgb, suffix: str) -> None:
    path = _damage(tmp_path, quadrants, suffix)
    with pytest.raises(InputError, match=rf"cut\.{suffix}.*(truncated|damaged)"):
        read_image(path)


def test_missing_empty_and_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("this is not a picture at all, only words")
    Image.new("RGB", (8, 8)).save(tmp_path / "old.bmp")
    cases = {"absent.tif": "no such file", "empty.png": "is empty", "text.png": "no PNG", "old.bmp": "no PNG", "": "folder"}
    for name, reason in cases.items():
        with pytest.raises(InputError, match=reason):
            read_header(tmp_path / name)


@pytest.mark.parametrize(("mode", "reason"), [("I;16", "sixteen bits"), ("CMYK", "CMYK")])
def test_pictures_of_other_bands_are_refused(tmp_path: Path, mode: str, reason: str) -> None:
    path = tmp_path / ("image.jpg" if mode == "CMYK" else "image.png")
    Image.new(mode, (8, 8)).save(path)
    with pytest.raises(InputError, match=reason) as caught:
        read_header(path)
    assert mode == "CMYK" or "--bands, --stretch" in str(caught.value)


@pytest.mark.parametrize("mode", ["L", "1", "LA"])
def test_grey_pictures_stand_for_all_three_bands(tmp_path: Path, mode: str) -> None:
    Image.new(mode, (8, 8), 255 if mode != "LA" else (200, 255)).save(tmp_path / "grey.png")
    image = read_image(tmp_path / "grey.png", nodata="none")
    assert image.rgb.min() == image.rgb.max() == (200 if mode == "LA" else 255) and image.valid.all()


def test_sixteen_bit_colour_png_is_not_silently_reduced(tmp_path: Path) -> None:
    cv2 = pytest.importorskip("cv2")
    cv2.imwrite(str(tmp_path / "deep.png"), np.full((8, 8, 3), 40_000, dtype=np.uint16))
    with pytest.raises(InputError, match="sixteen bits"):
        read_header(tmp_path / "deep.png")


def test_a_single_band_stands_for_all_three(write_tiff: Writer) -> None:
    bands = np.random.default_rng(0).integers(1, 255, (1, 16, 16), dtype=np.uint8)
    assert np.array_equal(read_image(write_tiff(bands)).rgb, bands.repeat(3, axis=0).transpose(1, 2, 0))


def test_many_bands_must_be_chosen_from(write_tiff: Writer) -> None:
    bands = np.arange(12, dtype=np.uint8)[:, None, None].repeat(16, axis=1).repeat(16, axis=2)
    path = write_tiff(bands, photometric="MINISBLACK")
    with pytest.raises(InputError, match=r"image\.tif: has 12 bands.*--bands"):
        read_header(path)
    assert read_image(path, bands=(4, 3, 12), nodata="none").rgb[0, 0].tolist() == [3, 2, 11]
    for bad in ((4, 3, 13), (0, 1, 2)):
        with pytest.raises(InputError, match=f"no band {13 if 13 in bad else 0} "):
            read_header(path, ReadOptions(bands=bad))


def test_fourth_band_that_is_no_alpha_is_left_out(write_tiff: Writer) -> None:
    bands = np.stack([np.full((16, 16), value, np.uint8) for value in (10, 20, 30, 0)])
    path = write_tiff(bands, colors=(*ALPHA[:3], ColorInterp.undefined), photometric="RGB", alpha="no")
    image = read_image(path)
    assert image.rgb[0, 0].tolist() == [10, 20, 30] and image.valid.all()


def test_numbers_of_a_colour_table_are_not_taken_for_brightness(write_tiff: Writer) -> None:
    path = write_tiff(np.ones((1, 8, 8), np.uint8), photometric="palette", colors=[ColorInterp.palette])
    with pytest.raises(InputError, match=r"numbers of colours in a table.*-expand rgb"):
        open_scene(path)
    assert open_scene(path, ReadOptions(bands=(1, 1, 1))).read(0, 8, 0, 8).max() == 1
    with pytest.raises(InputError, match="give three"):
        ReadOptions(bands=(1, 2))  # type: ignore[arg-type]


def test_complex_values_are_refused(write_tiff: Writer) -> None:
    with pytest.raises(InputError, match="not real numbers"):
        read_header(write_tiff(np.ones((3, 16, 16), dtype=np.complex64)))


def test_huge_image_is_refused_from_its_header(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("RGB", (300, 200)).save(tmp_path / "large.png")
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("decoded"))
    with pytest.raises(InputError, match=r"large\.png.*60,000 pixels.*59,999 allowed"):
        read_header(tmp_path / "large.png", ReadOptions(max_picture=59_999))


def test_our_limit_replaces_pillows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("RGB", (300, 200), (9, 9, 9)).save(tmp_path / "large.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert read_image(tmp_path / "large.png").rgb.shape[1] == 300
    assert Image.MAX_IMAGE_PIXELS == 100


def test_arrays_are_checked(quadrants: Rgb) -> None:
    assert ImageInput.from_array(quadrants).place.height == 48
    for bad in (quadrants.astype(np.float32), quadrants[..., 0], quadrants[:0]):
        with pytest.raises(InputError, match="uint8 of shape"):
            ImageInput.from_array(bad)
    with pytest.raises(InputError, match="mask"):
        ImageInput.from_array(quadrants, np.ones((2, 2), dtype=bool))


def test_nodata_option_is_parsed() -> None:
    texts = ("auto", "NONE", "255", "-9999", "65535", "-3.4e38", "18446744073709551615")
    assert [parse_nodata(text) for text in texts] == ["auto", "none", 255, -9999, 65535, -3.4e38, 2**64 - 1]
    assert math.isnan(parse_nodata("NaN"))
    for bad in ("black", "", "inf", "-inf", "1e999", "1,2"):
        with pytest.raises(InputError, match="--nodata"):
            parse_nodata(bad)
