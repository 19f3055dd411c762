"""python -m ovrs.climate: places in, zones out."""

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin
from world_map import needs_map

from ovrs.climate.__main__ import main


@pytest.fixture
def scene(tmp_path):
    path = tmp_path / "scene.tif"
    georeference = {"crs": "EPSG:4326", "transform": from_origin(37.5, 55.9, 0.01, 0.01)}
    with rasterio.open(path, "w", driver="GTiff", height=20, width=20, count=1, dtype="uint8", **georeference) as file:
        file.write(np.full((20, 20), 26, np.uint8), 1)
    return path


@needs_map
def test_a_line_for_every_place(capsys, scene):
    assert main(["Dubai", "-33.92,18.42", "30N 40W", str(scene)]) == 0
    dubai, cape, sea, moscow = capsys.readouterr().out.splitlines()
    assert dubai == "25.20 N, 55.27 E (region Dubai): BWh, hot desert climate"
    assert cape == "33.92 S, 18.42 E (as given): Csb, Mediterranean climate with warm summers"
    assert sea.endswith("no climate zone (open sea, or not on the map)")
    assert moscow.startswith("55.80 N, 37.60 E (the middle of scene.tif): Dfb")


def test_a_raster_of_ones_own(capsys, scene):
    assert main(["--raster", str(scene), "55.8,37.6"]) == 0
    assert ": Dfb, " in capsys.readouterr().out


@pytest.mark.parametrize("words", [["Dubay"], ["91,0"], ["--raster", "missing.tif", "1,1"], ["missing.tif"]])
def test_an_error_is_one_line_and_code_2(capsys, words):
    assert main(words) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ") and captured.err.count("\n") == 1 and not captured.out


def test_the_list_of_regions(capsys):
    assert main(["--list"]) == 0
    assert {"Dubai", "Potsdam", "Nanjing"} <= set(capsys.readouterr().out.splitlines())
