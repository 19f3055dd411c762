"""A climate map of the user's own."""

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin
from rasterio.warp import Resampling, reproject

from ovrs.climate.lookup import zone_at
from ovrs.climate.raster import BECK, legend_of
from ovrs.climate.zones import ZONES
from ovrs.errors import InputError

# 4 by 4 degrees in tenths, from 8 E, 52 N: Csb in the west, BSk in the east, nodata in the north-east, water in the south.
TRANSFORM = from_origin(8.0, 52.0, 0.1, 0.1)
NODATA = 255


def numbers() -> np.ndarray:
    map_ = np.full((40, 40), BECK.index("Csb") + 1, np.uint8)
    map_[:, 20:] = BECK.index("BSk") + 1
    map_[:20, 30:] = NODATA
    map_[30:] = 0
    return map_


def write(path, array, crs="EPSG:4326", transform=TRANSFORM, nodata=NODATA):
    profile = {"driver": "GTiff", "height": array.shape[0], "width": array.shape[1], "count": 1, "dtype": array.dtype}
    with rasterio.open(path, "w", **profile, crs=crs, transform=transform, nodata=nodata) as file:
        file.write(array, 1)
    return path


@pytest.fixture
def beck(tmp_path):
    return write(tmp_path / "beck.tif", numbers())


def test_becks_numbering_has_every_zone_but_the_dry_summers_of_the_tropics():
    assert set(BECK) == set(ZONES) - {"As"}
    assert len(BECK) == 30
    # Anchors of their legend: 1 Af, 4 BWh, 8 Csa, 15 Cfb, 26 Dfb, 29 ET, 30 EF.
    assert [BECK[number - 1] for number in (1, 4, 8, 15, 26, 29, 30)] == ["Af", "BWh", "Csa", "Cfb", "Dfb", "ET", "EF"]


def test_numbers_mean_becks_zones(beck):
    assert zone_at(8.55, 50.55, beck) is ZONES["Csb"]
    assert zone_at(10.55, 50.55, beck) is ZONES["BSk"]


def test_nodata_water_and_what_lies_beyond_have_no_zone(beck):
    assert zone_at(11.85, 51.55, beck) is None  # nodata
    assert zone_at(8.55, 48.05, beck) is None  # water
    assert zone_at(-60.0, 10.0, beck) is None
    assert zone_at(0.0, 90.0, beck) is None


def test_a_place_near_the_shore_has_the_zone_of_the_nearest_cell(beck):
    assert zone_at(8.55, 48.9, beck) is ZONES["Csb"]  # 11 km from the land's edge
    assert zone_at(11.15, 51.55, beck) is ZONES["BSk"]
    assert zone_at(7.95, 50.0, beck) is ZONES["Csb"]  # beyond the raster's edge


def test_another_crs_gives_the_same_zones(beck, tmp_path):
    projected = np.full((130, 120), NODATA, np.uint8)
    transform = from_origin(280_000, 5_790_000, 4_000, 4_000)
    with rasterio.open(beck) as file:
        reproject(
            rasterio.band(file, 1),
            projected,
            dst_transform=transform,
            dst_crs="EPSG:32632",
            dst_nodata=NODATA,
            resampling=Resampling.nearest,
        )
    utm = write(tmp_path / "utm.tif", projected, "EPSG:32632", transform)
    places = [(lon, lat) for lon in (8.4, 9.3, 10.6, 11.7) for lat in (48.3, 48.93, 50.2, 51.4)]
    expected = [zone_at(*place, beck) for place in places]
    assert [zone_at(*place, utm) for place in places] == expected
    assert {zone.code if zone else None for zone in expected} == {"Csb", "BSk", None}


def test_longitudes_from_0_to_360(tmp_path):
    path = write(tmp_path / "east.tif", numbers(), transform=from_origin(260.0, 52.0, 0.1, 0.1))
    assert zone_at(-99.45, 50.55, path) is ZONES["Csb"]
    assert zone_at(-99.45, 48.9, path) is ZONES["Csb"]  # by the nearest cell


def test_an_unknown_number_is_refused_with_file_and_value(beck):
    map_ = numbers()
    map_[10, 10] = 99
    write(beck, map_)
    with pytest.raises(InputError, match=r"beck\.tif: 99 at .*1 to 30"):
        zone_at(9.05, 50.95, beck)
    assert zone_at(8.55, 50.55, beck) is ZONES["Csb"]  # elsewhere it does not matter


@pytest.mark.parametrize("name", ["beck.txt", "legend.txt"])
def test_a_legend_beside_it_says_what_the_numbers_mean(beck, name):
    text = "What the numbers mean\n\n  9:  As   Tropical, dry summer  [0 0 255]\n 7 = bwK\n20: Nothing\n"
    (beck.parent / name).write_text(text, encoding="utf-8")
    assert legend_of(beck) == {9.0: ZONES["As"], 7.0: ZONES["BWk"]}
    assert zone_at(8.55, 50.55, beck) is ZONES["As"]
    assert zone_at(10.55, 50.55, beck) is ZONES["BWk"]


def test_a_legend_that_says_nothing_is_refused(beck):
    (beck.parent / "beck.txt").write_text("notes on the flight\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"beck\.txt.*4: BWh"):
        zone_at(8.55, 50.55, beck)


def test_floating_point_with_nan(tmp_path):
    map_ = numbers().astype(np.float32)
    map_[map_ == NODATA] = np.nan
    path = write(tmp_path / "float.tif", map_, nodata=None)
    assert zone_at(8.55, 50.55, path) is ZONES["Csb"]
    assert zone_at(11.85, 51.55, path) is None


def test_what_is_no_map_is_refused(tmp_path):
    plain = write(tmp_path / "plain.tif", numbers(), crs=None)
    with pytest.raises(InputError, match=r"plain\.tif.*coordinate reference system"):
        zone_at(8.5, 50.5, plain)
    (tmp_path / "text.tif").write_text("no raster", encoding="utf-8")
    for name in ("text.tif", "missing.tif"):
        with pytest.raises(InputError, match=name.replace(".", r"\.")):
            zone_at(8.5, 50.5, tmp_path / name)
