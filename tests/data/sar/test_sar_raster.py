"""SAR rasters become decibels, whatever they hold; pairs that do not lie on one grid are refused, or resampled if asked."""

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio import warp
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.rpc import RPC
from sar_rasters import PLACE, UTM33, write_raster

from ovrs.data.sar import warping
from ovrs.data.sar.encoding import SarEncoding
from ovrs.data.sar.grids import Grid, PairError, differences
from ovrs.data.sar.raster import SarRaster, open_raster, read_rgb_bands, read_sar
from ovrs.data.sar.speckle import Speckle
from ovrs.errors import DataError

POWER = np.array([[1.0, 10.0, 0.01], [100.0, 0.5, 2.0]])


def read(path, encoding, size=(2, 3)):
    return read_sar([path], encoding, image="optical.png", size=size)


@pytest.mark.parametrize(
    ("scale", "values"),
    [
        ("intensity", POWER.astype(np.float32)),
        ("amplitude", np.sqrt(POWER).astype(np.float32)),
        ("db", (10 * np.log10(POWER)).astype(np.float32)),
    ],
)
@pytest.mark.parametrize("name", ["none", "boxcar", "lee", "refined_lee"])
def test_every_scale_ends_in_the_same_decibels(tmp_path, scale, values, name):
    encoding = SarEncoding(scale, speckle=Speckle(name, 3, 4.0))
    found = read(write_raster(tmp_path / "sar.tif", values[None]), encoding)
    wanted = 10 * np.log10(Speckle(name, 3, 4.0)(POWER.astype(np.float32)))
    assert found.dtype == np.float32 and found.shape == (1, 2, 3)
    assert np.allclose(found[0], wanted, atol=1e-4)


def test_whole_numbers_of_8_and_16_bits_are_amplitudes_too(tmp_path):
    for dtype in (np.uint8, np.uint16):
        path = write_raster(tmp_path / "sar.png", np.array([[[1, 10], [100, 0]]], dtype), driver="PNG")
        assert np.allclose(read(path, SarEncoding("amplitude"), (2, 2))[0], [[0, 20], [40, np.nan]], equal_nan=True)


def test_8bit_stays_as_it_is_and_its_zero_is_a_value(tmp_path):
    values = np.array([[[0, 7], [128, 255]]], np.uint8)
    path = write_raster(tmp_path / "sar.png", values, driver="PNG")
    assert np.array_equal(read(path, SarEncoding("8bit"), (2, 2)), values.astype(np.float32))
    given = read(path, SarEncoding("8bit", nodata=255.0), (2, 2))
    assert np.isnan(given[0, 1, 1]) and np.isfinite(given).sum() == 3


def test_what_was_not_measured_is_nan(tmp_path):
    values = np.array([[[-9999, 0, np.nan], [np.inf, -0.1, 1]]], np.float32)
    path = write_raster(tmp_path / "sar.tif", values, nodata=-9999)
    found = read(path, SarEncoding("intensity"))[0]
    assert np.isnan(found).tolist() == [[True, True, True], [True, True, False]] and found[1, 2] == 0
    decibels = write_raster(tmp_path / "db.tif", np.array([[[-99, 0, -20], [3, np.nan, -5]]], np.float32))
    found = read(decibels, SarEncoding("db", nodata=-99.0))[0]
    assert np.array_equal(found, [[np.nan, 0, -20], [3, np.nan, -5]], equal_nan=True)


def test_polarisations_are_bands_of_a_file_or_files(tmp_path):
    bands = np.arange(24, dtype=np.float32).reshape(4, 2, 3) - 30
    one = write_raster(tmp_path / "all.tif", bands)
    assert np.array_equal(read(one, SarEncoding("db", bands=(4, 2))), bands[[3, 1]])
    files = [write_raster(tmp_path / f"{name}.tif", bands[[k]]) for k, name in enumerate(("vv", "vh"))]
    assert np.array_equal(read_sar(files, SarEncoding("db"), image="o.png", size=(2, 3)), bands[:2])


@pytest.mark.parametrize(
    ("scale", "value", "message"),
    [
        ("8bit", 4031.0, "scale is 8bit, but values run from 4031 to 4031, beyond 0..255; give amplitude"),
        ("db", 4031.0, "scale is db, but values run .* give amplitude or intensity"),
        ("intensity", -13.0, "scale is intensity, but values run from -13 to -13, most of them below 0; give db"),
        ("amplitude", -13.0, "scale is amplitude, .* give db"),
    ],
)
def test_values_of_another_scale_are_refused(tmp_path, scale, value, message):
    path = write_raster(tmp_path / "sar.tif", np.full((1, 2, 3), value, np.float32))
    with pytest.raises(DataError, match=f"{path}: sar.{message}"):
        read(path, SarEncoding(scale))


def test_files_that_cannot_work_are_named(tmp_path):
    path = write_raster(tmp_path / "sar.tif", np.ones((1, 2, 3), np.complex64))
    with pytest.raises(DataError, match=f"{path}: band 1 holds complex numbers"):
        read(path, SarEncoding("amplitude"))
    path = write_raster(tmp_path / "one.tif", np.ones((1, 2, 3), np.float32))
    with pytest.raises(DataError, match=f"{path}: has no band 2; it has 1"):
        read(path, SarEncoding("amplitude", bands=(2,)))
    (tmp_path / "bad.tif").write_bytes(b"II*\0 and nothing more")
    with pytest.raises(DataError, match="bad.tif: not readable as a raster"):
        read(str(tmp_path / "bad.tif"), SarEncoding("db"))
    with pytest.raises(DataError, match="absent.tif: there is no such file"):
        read(str(tmp_path / "absent.tif"), SarEncoding("db"))
    whole = write_raster(tmp_path / "cut.tif", np.ones((1, 90, 90), np.float32))
    data = (tmp_path / "cut.tif").read_bytes()
    (tmp_path / "cut.tif").write_bytes(data[: len(data) // 2])
    with pytest.raises(DataError, match="cut.tif: not readable as a raster"):
        read(whole, SarEncoding("db"), (90, 90))


@pytest.mark.parametrize("name", ["none", "boxcar", "lee", "refined_lee"])
def test_windows_are_pieces_of_the_whole(tmp_path, name):
    values = np.random.default_rng(0).gamma(2.0, 0.1, (2, 40, 30)).astype(np.float32)
    values[:, 12:15, 8:20] = 0
    path = write_raster(tmp_path / "sar.tif", values)
    with open_raster(path) as file:
        raster = SarRaster(file, SarEncoding("intensity", bands=(1, 2), speckle=Speckle(name, 5)), name=path)
        whole = raster.read()
        for top, bottom, left, right in ((0, 9, 0, 7), (10, 25, 5, 30), (31, 40, 0, 30)):
            piece = raster.read(top, bottom, left, right)
            assert np.allclose(piece, whole[:, top:bottom, left:right], atol=1e-3, equal_nan=True)
    assert np.isnan(whole[:, 12:15, 8:20]).all()


GRID = Grid(64, 48, UTM33, PLACE)


@pytest.mark.parametrize(
    ("sar", "named"),
    [
        (Grid(64, 48, UTM33, PLACE), ()),
        (Grid(64, 48, UTM33, PLACE @ Affine.translation(0.02, 0)), ()),
        (Grid(64, 48), ()),
        (Grid(60, 48), ("size: 64 x 48 pixels against 60 x 48",)),
        (Grid(64, 48, "EPSG:32634", PLACE), ("CRS: EPSG:32633 against EPSG:32634",)),
        (
            Grid(64, 48, UTM33, PLACE @ Affine.translation(3, 4)),
            ("transform: upper left corner at 500000, 5000000 against 500030, 4999960, up to 5 pixels apart",),
        ),
        (
            Grid(32, 24, UTM33, PLACE @ Affine.scale(2)),
            (
                "size: 64 x 48 pixels against 32 x 24",
                "transform: pixels of 10 x 10 against 20 x 20, upper left corner at 500000, 5000000 against 500000, 5000000, "
                "up to 80 pixels apart",
            ),
        ),
    ],
)
def test_every_difference_of_a_pair_is_named(sar, named):
    image, sar = (
        Grid(grid.width, grid.height, CRS.from_user_input(grid.crs) if grid.crs else None, grid.transform)
        for grid in (GRID, sar)
    )
    assert differences(image, sar) == named


def ramp(grid_transform, height, width):
    """A plane over the ground: at every pixel's middle its easting and northing in kilometres, in dB."""
    columns, rows = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    x, y = grid_transform @ (columns, rows)
    return ((x - 500_000) / 1000 + (y - 5_000_000) / 500).astype(np.float32)


def test_a_pair_on_two_grids_is_refused_or_resampled(tmp_path):
    image = write_raster(tmp_path / "optical.tif", np.zeros((3, 40, 40), np.uint8), UTM33, PLACE)
    coarse = PLACE @ Affine.translation(-5, -5) @ Affine.scale(2)
    path = write_raster(tmp_path / "sar.tif", ramp(coarse, 40, 40)[None], UTM33, coarse)
    with pytest.raises(PairError, match=f"{image} and its SAR, {path}, do not lie on one grid .*20 x 20.*resample: true"):
        read_sar([path], SarEncoding("db"), image=image, size=(40, 40))
    found = read_sar([path], SarEncoding("db", resample=True), image=image, size=(40, 40))
    assert found.shape == (1, 40, 40) and np.allclose(found[0], ramp(PLACE, 40, 40), atol=2e-3)


def test_beyond_what_the_radar_saw_a_resampled_pair_has_no_value(tmp_path):
    image = write_raster(tmp_path / "optical.tif", np.zeros((3, 20, 20), np.uint8), UTM33, PLACE)
    beside = PLACE @ Affine.translation(8, 0)
    values = np.full((1, 20, 20), 100, np.uint8)
    values[0, :, -1] = 0
    path = write_raster(tmp_path / "sar.tif", values, UTM33, beside)
    for scale, value in (("8bit", 100.0), ("amplitude", 40.0)):
        found = read_sar([path], SarEncoding(scale, resample=True), image=image, size=(20, 20))[0]
        assert np.isnan(found[:, :8]).all() and np.allclose(found[:, 8:], value)


def test_a_pair_in_two_crs_is_brought_to_one(tmp_path):
    image = write_raster(tmp_path / "optical.tif", np.zeros((3, 30, 30), np.uint8), UTM33, PLACE)
    # Around (15 E, 45.15 N), in degrees.
    geographic = Affine(1e-4, 0, 14.99, 0, -1e-4, 45.16)
    path = write_raster(tmp_path / "sar.tif", np.full((1, 200, 250), -12.0, np.float32), "EPSG:4326", geographic)
    with pytest.raises(PairError, match="CRS: EPSG:32633 against EPSG:4326"):
        read_sar([path], SarEncoding("db"), image=image, size=(30, 30))
    found = read_sar([path], SarEncoding("db", resample=True), image=image, size=(30, 30))
    assert found.shape == (1, 30, 30) and np.allclose(found, -12.0)


@pytest.mark.parametrize("way", ["gcps", "rpcs"])
def test_a_scene_in_the_sensors_own_geometry_is_refused(tmp_path, way):
    """Its size may be the image's, and its pixels lie elsewhere."""
    corners = [(0, 0, 14.9, 45.2), (0, 30, 15.1, 45.2), (30, 0, 14.9, 45.1), (30, 30, 15.1, 45.1)]
    image = write_raster(tmp_path / "optical.tif", np.zeros((3, 30, 30), np.uint8), UTM33, PLACE)
    path = write_raster(tmp_path / "sar.tif", np.full((1, 30, 30), -9, np.float32))
    with rasterio.open(path, "r+") as file:
        if way == "gcps":
            file.gcps = ([GroundControlPoint(*corner) for corner in corners], "EPSG:4326")
        else:
            ones = [1.0] + [0.0] * 19
            file.rpcs = RPC(0, 1, 45, 0.1, ones, ones, 15, 15, 15, 0.1, ones, ones, 15, 15)
    for resample in (False, True):
        with pytest.raises(PairError, match="sar.tif: only .* say where it lies.*terrain-correct it first"):
            read_sar([path], SarEncoding("db", resample=resample), image=image, size=(30, 30))
    flat = write_raster(tmp_path / "flat.tif", np.full((1, 30, 30), -9, np.float32), UTM33, PLACE)
    with pytest.raises(PairError, match="sar.tif: only"):
        read_sar([flat], SarEncoding("db"), image=path, size=(30, 30))


@pytest.mark.parametrize("crs", [UTM33, "EPSG:4326", "EPSG:3035"])
@pytest.mark.parametrize("finer", [0.4, 1.0, 3.0])
def test_windows_of_a_resampled_pair_are_pieces_of_the_whole(tmp_path, crs, finer):
    image = Grid(150, 130, CRS.from_string(UTM33), PLACE)
    (left, right), (bottom, top) = warp.transform(UTM33, crs, [499_900, 501_600], [4_998_600, 5_000_100])
    if crs == "EPSG:3035":  # which is turned against the image's
        left, right, bottom, top = left - 300, right + 300, bottom - 300, top + 300
    size = int(150 * finer)
    place = Affine((right - left) / size, 0, left, 0, (bottom - top) / size, top)
    values = np.random.default_rng(0).normal(-12, 5, (2, size, size)).astype(np.float32)
    values[0, : size // 3, : size // 2] = np.nan
    path = write_raster(tmp_path / "sar.tif", values, crs, place)
    with open_raster(path) as file:
        raster = SarRaster(file, SarEncoding("db", bands=(1, 2), resample=True), name=path, image=image)
        whole = raster.read()
        assert whole.shape == (2, 130, 150) and np.isfinite(whole[1]).all() and 0.05 < np.isnan(whole[0]).mean() < 0.5
        for rows, columns in (((0, 40), (0, 33)), ((7, 58), (91, 150)), ((100, 101), (5, 6)), ((63, 130), (40, 41))):
            piece = raster.read(*rows, *columns)
            assert np.array_equal(piece, whole[:, slice(*rows), slice(*columns)], equal_nan=True)


def test_a_finer_raster_is_averaged_and_never_held_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(warping, "_HELD", 20_000)
    values = np.random.default_rng(0).normal(-12, 5, (1, 800, 800)).astype(np.float32)
    values[0, :80, :80] = np.nan
    read = []

    def source(top, bottom, left, right):
        read.append((bottom - top) * (right - left))
        return values[:, top:bottom, left:right]

    grids = (Grid(800, 800, CRS.from_string(UTM33), PLACE @ Affine.scale(1 / 8)), Grid(100, 100, CRS.from_string(UTM33), PLACE))
    found = warping.Warp(*grids).read(source, 1, 0, 100, 0, 100)
    assert np.allclose(found[0], values[0].reshape(100, 8, 100, 8).mean(axis=(1, 3)), atol=1e-5, equal_nan=True)
    assert max(read) <= 20_000 and len(read) > 30


@pytest.mark.parametrize(
    ("dtype", "declared", "encoding", "known"),
    [
        (np.uint8, 0, SarEncoding("8bit", nodata=255.0, resample=True), 100.0),
        (np.float32, 255, SarEncoding("amplitude", resample=True), 40.0),
        (np.float32, None, SarEncoding("intensity", nodata=255.0, resample=True), 20.0),
    ],
)
def test_no_value_that_stands_for_none_is_mixed_in(tmp_path, dtype, declared, encoding, known):
    """Rows 0 to 9 hold 255, the next ten 0, and the grids lie half a pixel apart."""
    image = write_raster(tmp_path / "optical.tif", np.zeros((3, 40, 40), np.uint8), UTM33, PLACE)
    values = np.full((1, 40, 40), 100, dtype)
    values[0, :10], values[0, 10:20] = 255, 0
    path = write_raster(tmp_path / "sar.tif", values, UTM33, PLACE @ Affine.translation(0.5, 0.5), nodata=declared)
    found = read_sar([path], encoding, image=image, size=(40, 40))[0]
    assert np.isnan(found[:20]).all() and np.isfinite(found[21:, 1:]).all()
    assert np.allclose(found[np.isfinite(found)], known)


def test_what_does_not_say_where_it_lies_cannot_be_resampled(tmp_path):
    path = write_raster(tmp_path / "sar.tif", np.zeros((1, 20, 20), np.float32))
    with pytest.raises(PairError, match="size: 30 x 30 pixels against 20 x 20.*optical.png has no CRS and transform"):
        read_sar([path], SarEncoding("db", resample=True), image="optical.png", size=(30, 30))


def test_the_image_may_be_the_first_three_bands_of_the_same_file(tmp_path):
    bands = np.random.default_rng(0).integers(1, 255, (4, 8, 9), dtype=np.uint8)
    path = write_raster(tmp_path / "pair.tif", bands, UTM33, PLACE)
    assert np.array_equal(read_rgb_bands(path), bands[:3].transpose(1, 2, 0))
    assert np.array_equal(read_sar([path], SarEncoding("8bit", bands=(4,)), image=path, size=(8, 9))[0], bands[3])
    deep = write_raster(tmp_path / "deep.tif", bands.astype(np.uint16))
    with pytest.raises(DataError, match=f"{deep}: its first three bands must be red, green and blue of 8 bits"):
        read_rgb_bands(deep)
