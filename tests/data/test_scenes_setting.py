"""Where and when a scene lies: projection, seasons of both hemispheres, and what climate and season do to the land."""

import re
from dataclasses import replace

import numpy as np
import pytest
from rasterio.crs import CRS
from rasterio.warp import transform

from ovrs.data.scenes import Label, Scene, Setting, draw_scene
from ovrs.data.scenes.canvas import Canvas
from ovrs.data.scenes.climate import EARTH
from ovrs.data.scenes.fields import snow
from ovrs.data.scenes.palette import Palette
from ovrs.data.scenes.site import Site


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [draw_scene(19, index, size=48) for index in range(30)]


@pytest.mark.parametrize("row", EARTH)
def test_easting_and_northing_are_those_of_the_projection_library(row):
    setting = Setting(lon=row[0], lat=row[1], climate=row[2])
    east, north = transform(CRS.from_epsg(4326), CRS.from_epsg(setting.epsg), [setting.lon], [setting.lat])
    assert setting.easting_northing == pytest.approx((east[0], north[0]), abs=0.005)


def test_the_table_of_places_is_plausible():
    for lon, lat, climate, _ in EARTH:
        assert -180 < lon < 180 and -60 < lat < 72
        assert re.fullmatch("A[fmw]|B[SW][hk]|C[fsw][abc]|D[fsw][abcd]", climate)
        assert abs(lat) < 25 or climate[0] != "A"
        assert abs(lat) > 35 or climate[0] != "D"


def test_the_middle_of_a_scene_lies_at_its_longitude_and_latitude(scenes):
    for scene in scenes:
        a, _, east, _, e, north = scene.transform
        height, width = scene.labels.shape
        lon, lat = transform(
            CRS.from_string(scene.crs), CRS.from_epsg(4326), [east + 0.5 * width * a], [north + 0.5 * height * e]
        )
        assert (scene.setting.lon, scene.setting.lat) == pytest.approx((lon[0], lat[0]), abs=1e-6)


@pytest.mark.parametrize(
    ("lat", "climate", "month", "season"),
    [
        (52.0, "Cfb", 1, "winter"),
        (52.0, "Cfb", 4, "spring"),
        (52.0, "Cfb", 7, "summer"),
        (52.0, "Cfb", 12, "winter"),
        (-34.0, "Csb", 1, "summer"),
        (-34.0, "Csb", 10, "spring"),
        (-34.0, "Csb", 7, "winter"),
        (14.0, "Aw", 7, "rainy season"),
        (14.0, "Aw", 1, "dry season"),
        (-12.0, "Aw", 1, "rainy season"),
        (1.0, "Af", 1, "rainy season"),
    ],
)
def test_a_season_is_that_of_its_hemisphere(lat, climate, month, season):
    assert Setting(8.0, lat, climate, month).season == season


def test_the_sea_lies_at_a_coast_and_shanties_where_it_never_freezes(scenes):
    coasts = [(lon, lat) for lon, lat, _, coast in EARTH if coast]
    for scene in scenes:
        if scene.kind in ("coast harbor", "naval base", "open water"):
            assert min(max(abs(scene.setting.lon - lon), abs(scene.setting.lat - lat)) for lon, lat in coasts) < 0.16
        if scene.kind == "shanty":
            assert scene.setting.snow_chance == 0.0


def greenness(setting: Setting) -> float:
    """How much greener than red the grass is, over many palettes."""
    colours = np.array([Palette.draw(np.random.default_rng(seed), setting).grass for seed in range(60)])
    return float((colours[:, 1] - colours[:, 0]).mean())


def test_climate_and_season_change_the_vegetation():
    rain, summer, desert = Setting(0, 5, "Am", 7), Setting(9, 52, "Cfb", 7), Setting(46, 25, "BWh", 7)
    assert greenness(desert) < greenness(Setting(24, 38, "Csa", 7)) < greenness(summer)
    assert greenness(Setting(37, 55, "Dfb", 1)) < greenness(Setting(37, 55, "Dfb", 7))
    wooded = [Palette.draw(np.random.default_rng(0), setting).wooded for setting in (desert, summer, rain)]
    assert wooded == sorted(wooded) and wooded[0] < 0.5 < 1.0 < wooded[2]


def test_leaves_turn_and_fall_in_season_and_snow_lies_only_where_winters_are_cold():
    def drawn(setting: Setting) -> list[Palette]:
        return [Palette.draw(np.random.default_rng(seed), setting) for seed in range(60)]

    autumn, winter, summer = (drawn(Setting(37, 55, "Dfb", month)) for month in (10, 1, 7))
    assert max(p.autumn for p in autumn) > 0.3 and not any(p.bare for p in autumn)
    assert max(p.bare for p in winter) > 0.3 and sum(p.snow > 0 for p in winter) > 20
    assert not any(p.autumn or p.bare or p.snow for p in summer)
    assert not any(p.snow for p in drawn(Setting(55, 25, "BWh", 1)) + drawn(Setting(3, 6, "Aw", 1)))


def test_snow_whitens_open_land_clears_roads_and_leaves_water_dark():
    rng = np.random.default_rng(0)
    canvas = Canvas((90, 60), 0.5, 0.3, (0.0, 0.0), 1.0, rng)
    canvas.image[:] = 60
    canvas.labels[:30], canvas.labels[30:60], canvas.labels[60:] = Label.GRASS, Label.ROAD, Label.WATER
    snow(Site(canvas, replace(Palette.draw(rng), snow=1.0), rng), ground=True)
    grass, road, water = (canvas.image[rows].mean() for rows in (slice(0, 30), slice(30, 60), slice(60, 90)))
    assert grass > 190 and 60 < road < 110 and water == 60
