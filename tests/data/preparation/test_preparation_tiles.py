"""Pixels: images and label maps from bytes, labels, and tiles."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ovrs.data.preparation.images import is_whole, read_index, read_rgb, write_tile
from ovrs.data.preparation.labels import from_colors, from_indices, shifted
from ovrs.data.preparation.tiling import Tiling, cut, is_labelled, starts
from ovrs.errors import DataError, OutputError


def encoded(pixels, kind="PNG", **options):
    buffer = io.BytesIO()
    (pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)).save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.fixture
def photo():
    return np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP"])
def test_colours_come_as_they_are(photo, kind):
    assert np.array_equal(read_rgb(encoded(photo, kind), "x"), photo)


def test_grey_palette_and_alpha_become_colours(photo):
    grey = photo[..., 0]
    assert np.array_equal(read_rgb(encoded(grey), "x"), np.stack([grey] * 3, axis=2))
    paletted = Image.fromarray(grey % 4)
    paletted.putpalette([0, 0, 0, 10, 20, 30, 40, 50, 60, 70, 80, 90])
    colors = np.array([(0, 0, 0), (10, 20, 30), (40, 50, 60), (70, 80, 90)])
    assert np.array_equal(read_rgb(encoded(paletted), "x"), colors[grey % 4])
    alpha = np.dstack([photo, grey])
    assert np.array_equal(read_rgb(encoded(alpha), "x"), photo)


def test_deep_pixels_are_no_photo():
    with pytest.raises(DataError, match="x.tif: its pixels are uint16, expected uint8"):
        read_rgb(encoded(np.zeros((4, 4), np.uint16), "TIFF"), "x.tif")


def test_a_label_map_gives_its_numbers_and_not_its_colours():
    values = np.arange(16, dtype=np.uint8).reshape(4, 4)
    image = Image.fromarray(values)
    image.putpalette([255 - value for value in range(48)])
    assert np.array_equal(read_index(encoded(image), "x"), values)
    with pytest.raises(DataError, match="x: has 3 bands of uint8, expected one of whole numbers"):
        read_index(encoded(np.zeros((4, 4, 3), np.uint8)), "x")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
@pytest.mark.parametrize("share", [0.01, 0.5, 0.999])
def test_a_part_of_an_image_is_an_error(kind, share):
    data = encoded(np.random.default_rng(0).integers(0, 256, (120, 130, 3), dtype=np.uint8), kind)
    with pytest.raises(DataError, match="a.img: is no image that can be read, or is damaged .* download its archive again"):
        read_rgb(data[: int(len(data) * share)], "a.img")


def test_a_changed_byte_of_a_png_is_an_error(photo):
    data = bytearray(encoded(photo))
    data[len(data) // 2] ^= 255
    with pytest.raises(DataError, match="a.png: is no image that can be read, or is damaged"):
        read_rgb(bytes(data), "a.png")


def test_bytes_that_point_to_other_files_are_no_image(photo, tmp_path):
    (tmp_path / "secret.png").write_bytes(encoded(photo))
    pointing = (
        '<VRTDataset rasterXSize="30" rasterYSize="20"><VRTRasterBand dataType="Byte" band="1"><SimpleSource>'
        f"<SourceFilename>{tmp_path}/secret.png</SourceFilename><SourceBand>1</SourceBand>"
        "</SimpleSource></VRTRasterBand></VRTDataset>"
    )
    with pytest.raises(DataError, match="is no image"):
        read_rgb(pointing.encode(), "x.png")


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_a_tile_is_whole_or_not(photo, tmp_path, suffix):
    path = tmp_path / f"deep/er/tile{suffix}"
    assert not is_whole(path)
    write_tile(path, photo)
    assert is_whole(path)
    path.write_bytes(path.read_bytes()[:-1])
    assert not is_whole(path)
    path.write_bytes(b"")
    assert not is_whole(path)


def test_a_tile_that_cannot_be_written_leaves_nothing(photo, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match="cannot be written"):
        write_tile(tmp_path / "file/tile.png", photo)


def test_numbers_become_labels():
    values = np.array([[0, 1], [2, 17]], np.uint8)
    assert from_indices(shifted(17))(encoded(values), "x").tolist() == [[255, 0], [1, 16]]
    assert shifted(2, first=0, ignored=(9,)) == {0: 0, 1: 1, 9: 255}
    # Two published values may become one class, as a background and an other do.
    merged = from_indices(shifted(7, ignored=()) | {0: 6})
    assert merged(encoded(np.array([[0, 1], [6, 7]], np.uint8)), "x").tolist() == [[6, 0], [5, 6]]


def test_a_number_of_no_class_is_named_with_its_pixels():
    values = np.array([[0, 1, 1], [3, 3, 4]], np.uint8)
    with pytest.raises(DataError, match=r"m.png: label 3 and 1 others in 3 of 6 pixels .*known: 1 to 2; 0 is ignored"):
        from_indices(shifted(2))(encoded(values), "m.png")


def test_several_colours_may_be_one_class():
    decode = from_colors({(255, 0, 0): 0, (200, 0, 0): 0, (0, 0, 255): 1, (0, 0, 0): 255})
    pixels = np.array([[(255, 0, 0), (200, 0, 0), (0, 0, 255), (0, 0, 0)]], np.uint8)
    assert decode(encoded(pixels), "x").tolist() == [[0, 0, 1, 255]]


def test_a_colour_must_match_exactly():
    decode = from_colors({(255, 0, 0): 0, (0, 0, 0): 255})
    with pytest.raises(DataError, match=r"m.png: colour #fe0000 in 1 of 2 pixels belongs to no class"):
        decode(encoded(np.array([[(254, 0, 0), (0, 0, 0)]], np.uint8)), "m.png")


@given(
    length=st.integers(1, 90),
    size=st.integers(1, 40),
    stride=st.integers(1, 40),
    edge=st.sampled_from(["shift", "pad", "drop"]),
)
def test_tiles_start_in_order_and_lose_nothing(length, size, stride, edge):
    found = starts(length, size, stride, edge)
    assert found == sorted(set(found)) and all(0 <= start < length for start in found)
    if edge != "pad" and length >= size:
        assert all(start + size <= length for start in found)
    if edge != "drop" and stride <= size:
        covered = {pixel for start in found for pixel in range(start, start + size)}
        assert covered >= set(range(length))
    if edge == "drop" and length >= size:
        assert found == list(range(0, length - size + 1, stride))


def test_padding_is_black_and_ignored(photo):
    labels = np.zeros((20, 30), np.uint8)
    tiles = {(tile.top, tile.left): tile for tile in cut(photo, labels, Tiling(16, edge="pad"))}
    assert set(tiles) == {(0, 0), (0, 16), (16, 0), (16, 16)}
    corner = tiles[16, 16]
    assert corner.image.shape == (16, 16, 3) and np.array_equal(corner.image[:4, :14], photo[16:, 16:])
    assert not corner.image[4:].any() and (corner.labels == 255).sum() == 256 - 4 * 14


def test_images_stay_whole_without_a_size(photo):
    (tile,) = cut(photo, np.zeros((20, 30), np.uint8), Tiling(None))
    assert tile.image is photo


def test_a_tile_needs_labels():
    labels = np.full((10, 10), 255, np.uint8)
    assert not is_labelled(labels, Tiling(10))
    labels[0, :5] = 3
    assert is_labelled(labels, Tiling(10, least=0.05)) and not is_labelled(labels, Tiling(10, least=0.06))


def test_a_size_must_be_positive():
    with pytest.raises(ValueError, match="must be positive"):
        Tiling(0)


def test_a_map_taller_than_a_strip_is_decoded_whole():
    values = np.random.default_rng(0).integers(1, 4, (1100, 3), dtype=np.uint8)
    assert np.array_equal(from_indices(shifted(3))(encoded(values), "x"), values - 1)
    values[5] = values[1050] = 7
    with pytest.raises(DataError, match="label 7 in 6 of 3,300 pixels"):
        from_indices(shifted(3))(encoded(values), "x")
