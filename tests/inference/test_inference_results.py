"""Maps and what is written of them: values, grids, tags, pictures, tables, and nothing half-written."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.crs import CRS
from rasterio.shutil import copy as copy_raster
from rasterio.transform import from_origin

from ovrs.errors import InputError, OutputError
from ovrs.inference.decision import Decided
from ovrs.inference.maps import UnitMaps, tags_of
from ovrs.inference.outputs import OutputFolder, distinct_stems
from ovrs.inference.pictures import draw_overlay
from ovrs.inference.rasters import place_of
from ovrs.inference.segmentation import Segmentation
from ovrs.inference.segmented import Coverage, label_type
from ovrs.inference.streaming import Unit
from ovrs.inference.tables import coverage_table, format_area
from ovrs.inference.targets import Target
from ovrs.inference.work import WorkInMemory
from ovrs.vocabulary import Background, Vocabulary

PLACE = {"crs": CRS.from_epsg(32631), "transform": from_origin(500_000, 4_000_000, 0.5, 0.5)}


def segmentation(
    vocabulary: Vocabulary, *, georeferenced: bool = True, size: tuple[int, int] = (40, 60), synthetic: bool = False
) -> Segmentation:
    """Column stripes of every class over noise; the upper left 10 x 10 is nodata."""
    rgb = np.random.default_rng(0).integers(0, 255, (*size, 3), dtype=np.uint8)
    valid = np.ones(size, dtype=bool)
    valid[:10, :10] = False
    crs, transform = PLACE.values() if georeferenced else (None, None)
    place = place_of(*size, crs, transform, Path("town.tif"), synthetic)
    dtype = label_type(len(vocabulary))
    labels = np.broadcast_to(np.arange(size[1]) % len(vocabulary), size).astype(dtype)
    labels[~valid] = np.iinfo(dtype).max
    confidence = np.where(valid, 0.5, np.nan).astype(np.float32)
    work, coverage, unit = WorkInMemory(), Coverage(len(vocabulary)), Unit(0, size[0], 0, size[1])
    work.keep(unit, Decided(labels, confidence))
    coverage.add(labels, confidence)
    maps = UnitMaps(work, [unit], size)
    return Segmentation(place, vocabulary, maps, coverage, (rgb, labels), (("MODEL", "AerOSeg"),))


def write(result: Segmentation, folder: Path) -> list[Path]:
    """Class map, confidence and overlay of the town."""
    target = Target.of(folder / f"town.classes.{'tif' if result.place.crs else 'png'}", overlay=True)
    assert isinstance(result.maps, UnitMaps)
    return list(target.write(result, result.maps).values())


def test_geotiffs_keep_the_grid_and_say_what_they_hold(tmp_path: Path) -> None:
    vocabulary = Vocabulary.parse("ship|boat,bridge").with_background(Background("words", ("other",)))
    result = segmentation(vocabulary)
    written = write(result, tmp_path / "new" / "maps")
    names = ["town.classes.tif", "town.confidence.tif", "town.classes.tif.aux.xml", "town.overlay.png"]
    assert [path.name for path in written] == names
    assert sorted((tmp_path / "new" / "maps").iterdir()) == sorted(written)
    with rasterio.open(written[0]) as file:
        assert (file.crs, file.transform, file.nodata, file.dtypes) == (*PLACE.values(), 255, ("uint8",))
        assert np.array_equal(file.read(1), result.labels)
        assert [file.colormap(1)[i][:3] for i in range(3)] == [tuple(color) for color in vocabulary.palette.tolist()]
        assert file.is_tiled and file.compression.value.lower() == "deflate"
        tags = file.tags()
    assert json.loads(tags["CLASS_NAMES"]) == ["ship", "bridge", "background"] and tags["CLASS_1"] == "bridge"
    assert json.loads(tags["VOCABULARY"]) == [["ship", "boat"], ["bridge"]] and tags["BACKGROUND"] == "other"
    assert tags["MODEL"] == "AerOSeg" and tags["SOURCE"] == "town.tif"
    with rasterio.open(written[1]) as file:
        confidence = file.read(1)
        assert confidence.dtype == np.float32 and np.isnan(file.nodata) and file.crs == PLACE["crs"]
        assert np.isnan(confidence[:10, :10]).all() and (confidence[20:] == 0.5).all()


def test_gdal_finds_names_and_colours_beside_a_class_map(tmp_path: Path) -> None:
    result = segmentation(Vocabulary.parse("Straße & <Weg>,bridge"))
    classes = write(result, tmp_path)[0]
    copy_raster(classes, tmp_path / "seen.vrt", driver="VRT")  # writes down what GDAL read
    rows = ElementTree.parse(tmp_path / "seen.vrt").iterfind("VRTRasterBand/GDALRasterAttributeTable/Row")
    colors = [[str(part) for part in color] for color in result.vocabulary.palette.tolist()]
    assert [[cell.text for cell in row] for row in rows] == [["0", "Straße & <Weg>", *colors[0]], ["1", "bridge", *colors[1]]]


def test_pngs_without_a_place_hold_the_same_values(tmp_path: Path) -> None:
    result = segmentation(Vocabulary.parse("Straße,bridge"), georeferenced=False)
    classes, confidence, _ = write(result, tmp_path)
    with Image.open(classes) as picture:
        assert picture.mode == "P" and np.array_equal(np.asarray(picture), result.labels)
        assert json.loads(picture.text["CLASS_NAMES"]) == ["Straße", "bridge"]
        assert np.array_equal(np.asarray(picture.convert("RGB"))[20, :2], result.vocabulary.palette)
    with Image.open(confidence) as picture:
        assert np.asarray(picture)[0, 0] == 255 and np.asarray(picture)[20, 20] == 127


@pytest.mark.parametrize("georeferenced", [True, False])
def test_above_254_names_values_have_sixteen_bits(tmp_path: Path, georeferenced: bool) -> None:
    assert label_type(254) is np.uint8
    result = segmentation(Vocabulary.from_names(f"thing {i}" for i in range(255)), georeferenced=georeferenced, size=(20, 300))
    classes = write(result, tmp_path)[0]
    if georeferenced:
        with rasterio.open(classes) as file:
            values, names = file.read(1), file.tags()["CLASS_254"]
            assert file.nodata == 65535 and file.colormap(1)[254][:3] == tuple(result.vocabulary.palette[254].tolist())
    else:
        with Image.open(classes) as picture:
            values, names = np.asarray(picture), picture.text["CLASS_254"]
    assert values.dtype == np.uint16 and values[0, 0] == 65535 and values.max(initial=0, where=values < 65535) == 254
    assert names == "thing 254"


def test_shares_and_areas_count_valid_pixels_only() -> None:
    result = segmentation(Vocabulary.parse("ship,bridge"))
    assert result.pixels() == {"ship": 1150, "bridge": 1150}
    assert result.shares() == {"ship": 0.5, "bridge": 0.5}
    assert result.areas() == pytest.approx({"ship": 287.5, "bridge": 287.5})
    assert segmentation(Vocabulary.parse("ship,bridge"), georeferenced=False).areas() is None


def test_table_names_class_share_and_area() -> None:
    lines = coverage_table(segmentation(Vocabulary.parse("ship,bridge"))).splitlines()
    assert lines[0].split() == ["class", "share", "area"]
    assert lines[2].split() == ["ship", "50.0%", "288", "m2"]
    assert lines[-1] == "nodata: 4.2% of the image"
    assert "area" not in coverage_table(segmentation(Vocabulary.parse("ship"), georeferenced=False))


def test_areas_are_shown_in_graspable_units() -> None:
    assert format_area(12.34) == "12.3 m2"
    assert format_area(0) == "0 m2"
    assert format_area(25_000) == "25,000 m2 (2.50 ha)"
    assert format_area(3_200_000) == "3,200,000 m2 (3.20 km2)"


@pytest.mark.parametrize("size", [(40, 60), (700, 600), (30, 400), (400, 30), (1, 1)])
def test_overlay_shows_every_class_beside_or_below_the_image(size: tuple[int, int]) -> None:
    result = segmentation(Vocabulary.parse("ship,bridge,water").with_background(Background("threshold")), size=size)
    picture = draw_overlay(result)
    scale = max(1, -(-640 // max(size)))
    height, width = size[0] * scale, size[1] * scale
    assert picture.width > width or picture.height > height
    pixels = np.asarray(picture)
    legend = pixels.copy()
    legend[:height, :width] = 0
    shown = {tuple(color) for color in np.unique(legend.reshape(-1, 3), axis=0).tolist()}
    assert {tuple(color) for color in result.vocabulary.palette.tolist()} <= shown


def test_overlay_hatches_nodata_in_grey() -> None:
    corner = np.asarray(draw_overlay(segmentation(Vocabulary.parse("ship,bridge"))))[:60, :60].astype(int)
    assert (corner.max(axis=2) == corner.min(axis=2)).all() and len(np.unique(corner)) == 2


def test_overlay_of_many_classes_says_how_many_it_leaves_out() -> None:
    few = draw_overlay(segmentation(Vocabulary.from_names(f"thing {i}" for i in range(48))))
    many = draw_overlay(segmentation(Vocabulary.from_names(f"thing {i}" for i in range(400))))
    assert many.width < 2 * few.width


def test_nothing_is_left_when_writing_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ovrs.inference.segmentation.draw_overlay", fail)
    with pytest.raises(OutputError, match="No space left"):
        write(segmentation(Vocabulary.parse("ship")), tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []


def test_a_failing_run_keeps_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "maps").mkdir()
    (tmp_path / "maps" / "old.txt").write_text("old")
    with pytest.raises(ZeroDivisionError), OutputFolder(tmp_path / "maps"):
        raise ZeroDivisionError
    assert [path.name for path in (tmp_path / "maps").iterdir()] == ["old.txt"]


def test_a_folder_that_cannot_be_made_or_written_is_refused_on_entering(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "inner"):
        with pytest.raises(OutputError, match="cannot write to this folder"), OutputFolder(path):
            pytest.fail("entered")


def test_targets_may_be_neither_folders_nor_inputs(tmp_path: Path) -> None:
    (tmp_path / "a.overlay.png").mkdir()
    with OutputFolder(tmp_path) as folder:
        with pytest.raises(OutputError, match="is a folder"):
            folder.check_targets(["a.overlay.png"], [])
        with pytest.raises(OutputError, match="is an input"):
            folder.check_targets(["a.classes.tif"], [tmp_path / "a.classes.tif"])


def test_inputs_with_one_stem_are_refused() -> None:
    distinct_stems([(Path("a.tif"), "a"), (Path("b.tif"), "b"), (Path("b/a.tif"), "b/a")])
    with pytest.raises(InputError, match=r"x/a\.tif and y/A\.png"):
        distinct_stems([(Path("x/a.tif"), "a"), (Path("y/A.png"), "A")])


def test_tags_tell_a_synthetic_scene() -> None:
    result = segmentation(Vocabulary.parse("ship"), synthetic=True)
    assert "not a photograph" in tags_of(result.vocabulary, result.place, ())["SYNTHETIC"]
