"""Where files of images were taken: their zone, the size of their pixels, and whether zones can be looked up at all."""

import pytest
from placed import describe, write_climate_map, write_geotiff

from ovrs.climate import lookup
from ovrs.climate.zones import zone_named
from ovrs.data import catalog
from ovrs.data.catalog import row_of
from ovrs.data.file_places import check_lookup, metres_a_pixel, zone_of_file
from ovrs.data.table import DATA_SETS
from ovrs.errors import ConfigError


@pytest.fixture
def no_package(monkeypatch):
    monkeypatch.setattr(lookup, "_PACKAGE", "no_such_package")


def test_rows_of_the_table_say_zones_that_exist(no_map, tmp_path):
    assert all(zone_named(row.climate).code == row.climate for row in DATA_SETS.values() if row.climate)
    assert zone_of_file(tmp_path / "none.png", "potsdam_val") == "Cfb"
    assert zone_of_file(tmp_path / "a.png", "loveda_val") == "Cfa"
    assert row_of("openearthmap_val").tiles_name_regions and row_of("nobody_val") is None


def test_the_open_sea_has_no_zone(tmp_path, monkeypatch):
    monkeypatch.setattr(lookup, "zone_at", lambda *place: None)
    assert zone_of_file(write_geotiff(tmp_path / "a.tif"), "isaid_val") is None


def test_metres_a_pixel_are_those_of_a_projection(tmp_path):
    assert metres_a_pixel(write_geotiff(tmp_path / "a.tif", metres=0.25)) == pytest.approx(0.25)
    assert metres_a_pixel(write_geotiff(tmp_path / "b.tif", crs="EPSG:2263")) == pytest.approx(0.1524, abs=1e-4)  # feet
    assert metres_a_pixel(write_geotiff(tmp_path / "c.tif", crs="EPSG:4326")) == 0
    assert metres_a_pixel(tmp_path / "none.png") == 0


def test_a_climate_map_of_ones_own_takes_the_place_of_the_package(tmp_path, no_package):
    raster = write_climate_map(tmp_path / "map.tif", 26)
    assert zone_of_file(write_geotiff(tmp_path / "a.tif"), "isaid_val", raster) == "Dfb"
    assert zone_of_file(write_geotiff(tmp_path / "a.tif"), "loveda_val", raster) == "Cfa"  # of the row, before any map


def test_a_map_that_is_missing_is_told_where_files_may_need_it(no_package):
    check_lookup(["scenes_train", "scenes_val", "loveda_val", "potsdam_train"])
    with pytest.raises(ConfigError, match=r"openearthmap_val.* pip install 'ovrs\[climate\]', or give ZONE"):
        check_lookup(["loveda_train", "openearthmap_val"])


def test_of_a_data_set_that_a_file_describes_its_climate_counts(no_package, tmp_path):
    names = "test_places_in_one_zone", "test_places_anywhere"
    catalog.register_files([describe(tmp_path, names[0], "climate: BWh"), describe(tmp_path, names[1], "")])
    check_lookup([f"{names[0]}_train"])
    with pytest.raises(ConfigError, match=f"{names[1]}_train"):
        check_lookup([f"{name}_train" for name in names])


def test_a_climate_map_that_cannot_be_used_is_refused_though_no_image_needs_it(tmp_path):
    check_lookup(["openearthmap_val"], write_climate_map(tmp_path / "good.tif", 4))
    (tmp_path / "text.tif").write_text("no raster")
    (tmp_path / "legend").mkdir()
    (tmp_path / "legend" / "legend.txt").write_text("notes\n")
    for path, said in (
        (tmp_path / "missing.tif", "missing.tif: the climate raster cannot be read"),
        (tmp_path / "text.tif", "text.tif: the climate raster cannot be read"),
        (write_climate_map(tmp_path / "plain.tif", 4, crs=None), "plain.tif: a climate raster needs a coordinate"),
        (write_climate_map(tmp_path / "legend" / "map.tif", 4), "legend.txt: no line gives"),
    ):
        with pytest.raises(ConfigError, match=f"CLIMATE.RASTER: .*{said}"):
            check_lookup(["loveda_val"], path)
