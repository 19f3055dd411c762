"""Polygons in files: what they say, where they lie, and that nothing is lost on the way."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from affine import Affine
from numpy.typing import NDArray

geopandas = pytest.importorskip("geopandas")
pytest.importorskip("pyarrow")
import shapely  # noqa: E402

from ovrs.errors import InputError, OutputError  # noqa: E402
from ovrs.inference import vectors  # noqa: E402
from ovrs.inference.segmentation import Segmentation  # noqa: E402
from ovrs.inference.segmenter import Segmenter  # noqa: E402
from ovrs.inference.tiles import Tiling  # noqa: E402

ENDINGS = [".gpkg", ".geojson", ".parquet"]


class ColorModel:
    """The score of a class is its channel's value / 255."""

    tiling = Tiling(tile=64, overlap=0.25, patch=16, per_patch=16)
    batch = 1

    def score(self, tiles: torch.Tensor, vocabulary: object) -> torch.Tensor:
        return tiles.float() / 255


@pytest.fixture
def bands() -> NDArray[np.uint8]:
    draw = np.random.default_rng(0)
    coarse = draw.integers(1, 255, (3, 24, 16), dtype=np.uint8)
    bands = coarse.repeat(25, axis=1).repeat(25, axis=2)
    bands[:, 100:140, 50:200] = 0
    return bands


@pytest.fixture
def result(bands: NDArray[np.uint8], write_tiff: Callable[..., Path]) -> Segmentation:
    """A map of 600 x 400 pixels of a quarter of a square metre, in two units, with a hole."""
    return Segmenter(ColorModel()).segment(write_tiff(bands, nodata=0), ["red", "grün", "blue"])


@pytest.mark.parametrize("ending", ENDINGS)
def test_polygons_cover_what_the_map_covers_and_say_what_it_says(result: Segmentation, tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"map{ending}"
    count = result.to_vector(path, simplify=0)
    table = geopandas.read_parquet(path) if ending == ".parquet" else geopandas.read_file(path)
    assert len(table) == count and [item.name for item in tmp_path.iterdir() if item.suffix != ".tif"] == [path.name]
    assert table.crs.to_epsg() == (4326 if ending == ".geojson" else 32631)
    areas = result.areas()
    assert areas is not None
    for name, area in areas.items():
        of_class = table[table["class"] == name]
        assert of_class["area_m2"].sum() == pytest.approx(area, rel=1e-12)
        assert of_class["pixels"].sum() == result.pixels()[name]
        outlines = of_class.to_crs(32631).geometry
        assert outlines.area.sum() == pytest.approx(area, rel=1e-9 if ending != ".geojson" else 1e-4)
        mean = np.average(of_class["confidence"], weights=of_class["pixels"])
        assert mean == pytest.approx(result.mean_confidence()[name], abs=1e-4)
    assert set(table["source"]) == {"image.tif"} and set(table["vocabulary"]) == {"red, grün, blue"}
    left, bottom, right, top = table.to_crs(32631).total_bounds
    assert (left, bottom, right, top) == pytest.approx((500_000, 3_999_700, 500_200, 4_000_000), abs=0.02)


def test_geojson_is_what_rfc_7946_says(result: Segmentation, tmp_path: Path) -> None:
    result.to_vector(tmp_path / "map.geojson")
    collection = json.loads((tmp_path / "map.geojson").read_text(encoding="utf-8"))
    assert collection["type"] == "FeatureCollection" and "crs" not in collection
    for feature in collection["features"]:
        rings = feature["geometry"]["coordinates"]
        assert feature["geometry"]["type"] == "Polygon" and all(ring[0] == ring[-1] for ring in rings)
        assert shapely.LinearRing(rings[0]).is_ccw and not any(shapely.LinearRing(ring).is_ccw for ring in rings[1:])
        assert 2.9 < rings[0][0][0] < 3.1 and 36 < rings[0][0][1] < 37


def test_pieces_and_strips_leave_no_trace(result: Segmentation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = result.to_vector()
    monkeypatch.setattr(vectors, "_PIECE", 3)
    for ending in ENDINGS:
        result.to_vector(tmp_path / f"map{ending}")
    assert geopandas.read_file(tmp_path / "map.gpkg").drop(columns="geometry").equals(whole.drop(columns="geometry"))
    assert geopandas.read_parquet(tmp_path / "map.parquet").geom_equals(whole).all()
    assert len(geopandas.read_file(tmp_path / "map.geojson")) == len(whole) > 6


@pytest.mark.parametrize(("width", "expected"), [(400, 2048), (8192, 1024), (20_000, 512), (900_000, 512)])
def test_strips_of_wide_maps_are_lower(result: Segmentation, width: int, expected: int) -> None:
    class Asked:
        rows = 0

        def strips(self, rows: int) -> Iterator[Any]:
            self.rows = rows
            return iter(())

    maps = Asked()
    wide = replace(result, place=replace(result.place, width=width), maps=maps)  # type: ignore[arg-type]
    assert len(wide.to_vector()) == 0 and maps.rows == expected


def test_small_ones_are_left_out_and_steps_are_smoothed(result: Segmentation) -> None:
    steps, smooth = result.to_vector(simplify=0), result.to_vector(simplify=3)
    assert len(steps) == len(smooth)
    large = result.to_vector(min_area=400)
    assert len(large) < len(steps) and large["area_m2"].min() >= 400
    assert len(large) == (steps["area_m2"] >= 400).sum()


def test_maps_in_files_give_the_same_polygons(
    result: Segmentation, bands: NDArray[np.uint8], write_tiff: Callable[..., Path], tmp_path: Path
) -> None:
    segmenter = Segmenter(ColorModel(), in_memory=0)
    again = segmenter.segment(write_tiff(bands, nodata=0), ["red", "grün", "blue"], output=tmp_path / "out" / "map.tif")
    a, b = (one.to_vector(simplify=0) for one in (result, again))
    key = ["class_id", "pixels", "confidence"]
    assert a.sort_values(key)[key].reset_index(drop=True).equals(b.sort_values(key)[key].reset_index(drop=True))
    a, b = (set(one.to_vector(simplify=2).geometry.to_wkb()) for one in (result, again))
    assert a == b


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_map_without_a_class_gives_an_empty_file(write_tiff: Callable[..., Path], tmp_path: Path, ending: str) -> None:
    empty = Segmenter(ColorModel()).segment(write_tiff(np.zeros((3, 20, 20), np.uint8), nodata=0), "red,green,blue")
    path = tmp_path / f"map{ending}"
    assert empty.to_vector(path) == 0
    table = geopandas.read_parquet(path) if ending == ".parquet" else geopandas.read_file(path)
    assert len(table) == 0
    assert len(empty.to_vector()) == 0


def test_rotated_and_south_up_maps_keep_their_place(bands: NDArray[np.uint8], write_tiff: Callable[..., Path]) -> None:
    for transform in (Affine(0.5, 0, 5e5, 0, 0.5, 4e6), Affine.translation(5e5, 4e6) @ Affine.rotation(30) @ Affine.scale(0.5)):
        placed = Segmenter(ColorModel()).segment(write_tiff(bands, transform=transform), "red,green,blue")
        table = placed.to_vector(simplify=0)
        corners = [transform @ corner for corner in ((0, 0), (400, 0), (400, 600), (0, 600))]
        assert table.geometry.union_all().symmetric_difference(shapely.Polygon(corners)).area < 0.01 * 60_000 * 0.25 + 1600


def test_what_has_no_place_or_ending_is_refused(result: Segmentation, bands: NDArray[np.uint8], tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"map\.shp: vectors are written as"):
        result.to_vector(tmp_path / "map.shp")
    for options in ({"min_area": -1.0}, {"simplify": float("nan")}):
        with pytest.raises(InputError, match="0 or more"):
            result.to_vector(**options)
    nowhere = Segmenter(ColorModel()).segment(np.ascontiguousarray(bands.transpose(1, 2, 0)), "red,green,blue")
    with pytest.raises(InputError, match="no coordinate reference system"):
        nowhere.to_vector(tmp_path / "map.gpkg")
    assert list(tmp_path.glob("map*")) == []
