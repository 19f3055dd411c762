"""Where an image was taken: its georeference, coordinates as people write them, names of regions."""

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.transform import from_origin

from ovrs.climate import places
from ovrs.climate.places import parse_location, place_of_grid, place_of_raster, region_named, region_names, region_of_tile
from ovrs.errors import InputError


def write(path, **georeference):
    profile = {"driver": "GTiff", "height": 20, "width": 30, "count": 1, "dtype": "uint8"}
    with rasterio.open(path, "w", **profile, **georeference) as file:
        file.write(np.zeros((20, 30), np.uint8), 1)
    return path


class TestRasters:
    def test_the_middle_in_degrees(self, tmp_path):
        place = place_of_raster(write(tmp_path / "scene.tif", crs="EPSG:4326", transform=from_origin(55.0, 25.4, 0.02, 0.02)))
        assert (place.lon, place.lat) == pytest.approx((55.3, 25.2))
        assert place.origin == "the middle of scene.tif"

    def test_the_middle_of_a_projected_scene(self, tmp_path):
        # The central meridian of UTM zone 33 is 15 E, at 500 km; on it 0 m north is the equator.
        transform = from_origin(500_000 - 150, 100, 10, 10)
        place = place_of_raster(write(tmp_path / "utm.tif", crs="EPSG:32633", transform=transform))
        assert (place.lon, place.lat) == pytest.approx((15.0, 0.0), abs=1e-6)

    @pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
    def test_ground_control_points(self, tmp_path):
        points = [GroundControlPoint(row, column, 10 + column / 10, 50 - row / 10) for row in (0, 20) for column in (0, 30)]
        place = place_of_raster(write(tmp_path / "gcps.tif", gcps=points, crs="EPSG:4326"))
        assert (place.lon, place.lat) == pytest.approx((11.5, 49.0))
        assert "control points" in place.origin

    @pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
    def test_without_a_georeference_there_is_no_place(self, tmp_path):
        assert place_of_raster(write(tmp_path / "plain.tif")) is None
        assert place_of_raster(write(tmp_path / "only_crs.tif", crs="EPSG:32633")) is None
        assert place_of_raster(write(tmp_path / "only_grid.tif", transform=from_origin(55.0, 25.4, 0.02, 0.02))) is None

    def test_a_grid_across_the_date_line_has_a_middle_on_earth(self):
        place = place_of_grid(CRS.from_epsg(4326), from_origin(179.9, 66.1, 0.01, 0.01), 40, 20)
        assert (place.lon, place.lat) == pytest.approx((-179.9, 66.0))

    def test_a_grid_off_the_earth_has_no_place(self):
        assert place_of_grid(CRS.from_epsg(4326), from_origin(0, 500, 1, 1), 10, 10) is None
        assert place_of_grid(CRS.from_epsg(32633), from_origin(9e9, 9e9, 10, 10), 10, 10) is None

    def test_what_is_no_image_is_refused(self, tmp_path):
        (tmp_path / "notes.tif").write_text("no image", encoding="utf-8")
        for name in ("notes.tif", "missing.tif"):
            with pytest.raises(InputError, match=re.escape(name)):
                place_of_raster(tmp_path / name)


class TestLocations:
    @pytest.mark.parametrize(
        ("text", "lat", "lon"),
        [
            ("25.2,55.3", 25.2, 55.3),
            (" 25.2 , 55.3 ", 25.2, 55.3),
            ("25.2 55.3", 25.2, 55.3),
            ("25.2N 55.3E", 25.2, 55.3),
            ("25.2° N, 55.3° E", 25.2, 55.3),
            ("55.3e;25.2n", 25.2, 55.3),
            ("-33.9,18.4", -33.9, 18.4),
            ("33.9S 18.4E", -33.9, 18.4),
            ("40.7N,74W", 40.7, -74.0),
            ("0,-180", 0.0, -180.0),
            ("+90 180", 90.0, 180.0),
        ],
    )
    def test_as_people_write_them(self, text, lat, lon):
        place = parse_location(text)
        assert (place.lat, place.lon) == (lat, lon)
        assert place.origin == "--location"

    @pytest.mark.parametrize(
        "text",
        ["", "Dubai", "25.2", "25.2,55.3,10", "25,2 55,3", "25.2N 55.3N", "25.2N 55.3", "-25.2S 55.3E", "nan,0", "1e1,2"],
    )
    def test_anything_else_is_refused_with_the_forms(self, text):
        with pytest.raises(InputError, match=r"25\.2,55\.3"):
            parse_location(text)

    @pytest.mark.parametrize("text", ["91,0", "0,181", "155.3,25.2"])
    def test_no_place_on_earth_is_refused(self, text):
        with pytest.raises(InputError, match=f"{re.escape(text)}.*no place on Earth"):
            parse_location(text)

    def test_a_place_tells_itself_with_letters(self):
        assert str(parse_location("-33.92,18.42")) == "33.92 S, 18.42 E (--location)"


# Every region that names tiles of OpenEarthMap, without those of xBD, which the archive does not hold, and without "western",
# which there are many of.
OPENEARTHMAP = """
aachen abancay accra al_qurnah austin baybay bielefeld buenos_aires chiangmai chicago chiclayo chincha
chisinau christchurch coxsbazar daressalaam dhaka dolnoslaskie dortmund dowa duesseldorf ica kagera kampala khartoum kitsap
koeln kujawsko-pomorskie kyoto lambayeque lima lodzkie lohur lubuskie mahe malopolskie maputo mazowieckie melbourne
monrovia muenster
ngaoundere niamey paris pisco piura podkarpackie podlaskie pointenoire pomorskie rio rosario rotterdam san_tome santiago sechura
shanghai slaskie soriano svaneti swietokrzyskie tokyo tonga tyrolw ulaanbaatar vegas vienna viru warminsko-mazurskie
wielkopolskie zanzibar
"""


class TestRegions:
    @pytest.mark.parametrize("name", ["Dubai", "dubai", " DUBAI "])
    def test_in_any_case(self, name):
        place = region_named(name)
        assert (place.lat, place.lon, place.origin) == (25.20, 55.27, "region Dubai")

    @pytest.mark.parametrize("name", ["São Paulo", "sao paulo", "SAO-PAULO", "sao_paulo", "sa\u0303o paulo"])
    def test_with_and_without_accents_and_blanks(self, name):
        assert region_named(name).origin == "region São Paulo"

    def test_by_another_name(self):
        assert region_named("Köln") == region_named("koeln") == region_named("Cologne")

    def test_a_name_that_is_not_there_names_those_that_are_near(self):
        with pytest.raises(InputError, match=r"'Singapur'.*Singapore.*LAT,LON"):
            region_named("Singapur")
        with pytest.raises(InputError, match=r"'xqz'.*LAT,LON"):
            region_named("xqz")

    @pytest.mark.parametrize("region", OPENEARTHMAP.split())
    def test_tiles_of_openearthmap_lie_in_a_region(self, region):
        assert region_of_tile(f"{region}_42.tif") is not None
        assert region_of_tile(f"{region}_7_0_256.png") == region_of_tile(f"{region}_42.tif")

    @pytest.mark.parametrize(
        "name",
        ["potsdam", "vaihingen", "nanjing", "changzhou", "wuhan", "Cairo", "Nairobi", "Reykjavik", "McMurdo", "Singapore"],
    )
    def test_the_places_of_other_data_sets_and_of_remote_sensing(self, name):
        assert region_named(name)

    @pytest.mark.parametrize("name", ["1366.png", "parismatch_3.tif", "view_of_paris_2.tif", "western_20.tif", "", "_5.tif"])
    def test_names_of_files_that_say_nothing(self, name):
        assert region_of_tile(name) is None


@pytest.fixture(scope="module")
def rows():
    with (Path(places.__file__).parent / "regions.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


class TestShippedList:
    def test_it_is_long_and_no_place_is_there_twice(self, rows):
        assert len(rows) == len(region_names()) >= 300
        spots = [(row["lat"], row["lon"]) for row in rows]
        assert len(set(spots)) == len(spots)

    def test_coordinates_are_hundredths_of_degrees_on_earth(self, rows):
        for row in rows:
            assert all(re.fullmatch(r"-?\d+\.\d\d", row[key]) for key in ("lat", "lon")), json.dumps(row)
            assert abs(float(row["lat"])) <= 90 and abs(float(row["lon"])) <= 180 and row["country"]
