"""Random input: an image or an error that says so, never another exception; and what goes in comes out."""

from __future__ import annotations

import io
import json
import os
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from PIL import Image
from rasterio.crs import CRS
from rasterio.windows import Window

from ovrs.errors import InputError, VocabularyError
from ovrs.inference.decision import Decided
from ovrs.inference.maps import UnitMaps
from ovrs.inference.opening import open_scene
from ovrs.inference.rasters import place_of
from ovrs.inference.reading import ReadOptions
from ovrs.inference.segmentation import Segmentation
from ovrs.inference.segmented import Coverage
from ovrs.inference.streaming import Unit
from ovrs.inference.stretch import StretchRule
from ovrs.inference.work import WorkInMemory
from ovrs.vocabulary import Background, Vocabulary, VocabularyClass

# The same examples every time, so that a run says something about the change it tests; FUZZ=50 draws 50 times as many others.
TIMES = int(os.environ.get("FUZZ", "0"))


def fuzz(examples: int) -> settings:
    """How a test draws its examples."""
    slow = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    kept = {} if TIMES else {"derandomize": True, "database": None}
    return settings(max_examples=examples * max(TIMES, 1), deadline=None, suppress_health_check=slow, **kept)


NAMES = st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=20).filter(
    lambda name: any(char.isprintable() for char in "".join(name.split()))
)


def tiny(kind: str) -> bytes:
    """A valid file of 20 x 24 pixels."""
    rgb = np.random.default_rng(0).integers(0, 256, (24, 20, 3), dtype=np.uint8)
    if kind == "png":
        stream = io.BytesIO()
        Image.fromarray(rgb).save(stream, "PNG")
        return stream.getvalue()
    options = {"plain": {}, "deflate": {"compress": "deflate", "tiled": True, "blockxsize": 16, "blockysize": 16}}[kind]
    with rasterio.MemoryFile() as memory:
        shape = {"count": 3, "height": 24, "width": 20, "dtype": "uint8"}
        place = {"crs": "EPSG:32631", "transform": Affine(0.5, 0, 5e5, 0, -0.5, 4e6), "nodata": 7}
        with memory.open(driver="GTiff", **shape, **place, **options) as file:
            file.write(rgb.transpose(2, 0, 1))
            file.update_tags(NOTE="a tag")
        return bytes(memory.getbuffer())


FILES = {kind: tiny(kind) for kind in ("png", "plain", "deflate")}


def read_all(content: bytes) -> None:
    """Read an image of these bytes as a run would: an image of the size that it states, or an error of ours."""
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder) / "image.bin"
        path.write_bytes(content)
        try:
            with open_scene(path, ReadOptions(max_pixels=100_000, max_picture=100_000)) as scene:
                height, width = scene.height, scene.width
                assert 0 < height * width <= 100_000
                read, valid = scene.read(0, height, 0, width), scene.valid(0, height, 0, width)
                assert read.dtype == np.uint8 and read.shape == (3, height, width) and valid.shape == (height, width)
                assert scene.reduced((1, 1)).shape == (1, 1, 3) and len(scene.holds_image(0, height, 0, width)) == width
        except InputError as error:
            assert "image.bin" in str(error)


@fuzz(60)
@given(
    st.sampled_from([b"", b"II*\0", b"MM\0*", b"II+\0\x08\0\0\0", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF"]), st.binary()
)
def test_random_bytes_are_an_image_or_an_error(start: bytes, content: bytes) -> None:
    read_all(start + content)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # of rasterio's own log
@fuzz(150)
@given(
    st.sampled_from(sorted(FILES)),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=4)), max_size=6),
    st.floats(0, 1),
    st.booleans(),
)
def test_a_damaged_file_is_an_image_or_an_error(kind: str, changes: list[tuple[float, bytes]], end: float, cut: bool) -> None:
    content = bytearray(FILES[kind])
    for place, values in changes:
        # Headers are short, and where damage does most: half of the changes fall there.
        at = min(int(place * 800), len(content) - 1) if place < 0.5 else int(place * len(content))
        content[at : at + len(values)] = values
    read_all(bytes(content[: int(end * len(content))] if cut else content))


@st.composite
def rasters(draw: st.DrawFn) -> tuple[NDArray[Any], dict[str, Any]]:
    """Values [C, H, W] and how they are written."""
    dtype = draw(st.sampled_from(["uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64"]))
    shape = draw(st.sampled_from([1, 3, 5])), draw(st.integers(1, 50)), draw(st.integers(1, 50))
    kind = np.dtype(dtype)
    low, high = (0, 12) if draw(st.booleans()) else (-9000, 9000)
    if kind.kind in "iu":
        low, high = max(low, np.iinfo(kind).min), min(high, np.iinfo(kind).max)
    values = np.random.default_rng(draw(st.integers(0, 99))).integers(low, high, shape, endpoint=True).astype(kind)
    if kind.kind == "f" and draw(st.booleans()):
        values.flat[:: draw(st.integers(2, 9))] = draw(st.sampled_from([np.nan, np.inf, -np.inf]))
    nodata = draw(st.sampled_from([None, 0, low, high, *([float("nan")] if kind.kind == "f" else [])]))
    layout = draw(st.sampled_from([{}, {"tiled": True, "blockxsize": 16, "blockysize": 32}, {"blockysize": 7}]))
    turn = Affine.rotation(draw(st.sampled_from([0, 30, 180])))
    transform = (
        Affine.translation(5e5, 4e6)
        @ turn
        @ Affine.scale(draw(st.sampled_from([0.5, -2.0])), draw(st.sampled_from([-0.5, 3.0])))
    )
    extra = {
        "interleave": draw(st.sampled_from(["band", "pixel"])),
        "compress": draw(st.sampled_from([None, "deflate", "lzw"])),
    }
    return values, {"nodata": nodata, "transform": transform, "crs": "EPSG:32631", **layout, **extra}


@fuzz(60)
@given(rasters(), st.data())
def test_windows_are_what_rasterio_reads(raster: tuple[NDArray[Any], dict[str, Any]], data: st.DataObject) -> None:
    values, profile = raster
    count, height, width = values.shape
    bands = data.draw(st.tuples(*[st.integers(1, count)] * 3)) if count > 1 else None
    asked = data.draw(st.sampled_from(["auto", "none", 5]))
    top, left = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    bottom, right = data.draw(st.integers(top + 1, height)), data.draw(st.integers(left + 1, width))
    with TemporaryDirectory() as folder:
        path = Path(folder) / "image.tif"
        shape = {"count": count, "height": height, "width": width, "dtype": values.dtype.name}
        with rasterio.open(path, "w", driver="GTiff", photometric="MINISBLACK", **shape, **profile) as file:
            file.write(values)
        with rasterio.open(path) as file:
            window = Window(left, top, right - left, bottom - top)
            direct = file.read(bands or [1, 1, 1], window=window)
            mask = file.dataset_mask(window=window) > 0
        with open_scene(path, ReadOptions(bands=bands, nodata=asked, stretch=StretchRule("none"))) as scene:
            read, valid = scene.read(top, bottom, left, right), scene.valid(top, bottom, left, right)
            assert scene.place.transform == profile["transform"]
        expected = np.rint(np.nan_to_num(direct.astype(np.float64), posinf=255, neginf=0).clip(0, 255)).astype(np.uint8)
        assert np.array_equal(read, expected)
        mask &= np.isfinite(direct).all(axis=0)
        if asked == 5:
            mask &= (direct != 5).any(axis=0)
        if asked == "auto":  # beside that, only black may be left out
            assert not (valid & ~mask).any() and (np.abs(direct.astype(float)).max(axis=0)[mask & ~valid] <= 8).all()
        else:
            assert np.array_equal(valid, mask)


@fuzz(60)
@given(st.text() | st.text("ab|, \t\n#[]{}:'\"&*!-0.~\0\u200b"))
def test_any_text_is_a_vocabulary_or_an_error(text: str) -> None:
    try:
        vocabulary = Vocabulary.parse(text)
    except VocabularyError:
        return
    again = Vocabulary.parse(", ".join("|".join(cls.words) for cls in vocabulary.classes))
    assert again == vocabulary and len(vocabulary.palette) == len(vocabulary)


# Bytes, text that is no UTF-8, and what looks like YAML and JSON.
CONTENTS = (
    st.binary()
    | st.text().map(lambda text: text.encode("utf-8", "surrogatepass"))
    | st.text("ab,: -[]{}'\"\n&*!#|>%@`0.\\ue").map(str.encode)
)


@fuzz(100)
@given(st.sampled_from([".txt", ".json", ".yaml"]), CONTENTS)
def test_any_file_is_a_vocabulary_or_an_error(suffix: str, content: bytes) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"words{suffix}"
        path.write_bytes(content)
        try:
            assert len(Vocabulary.read(path)) > 0
        except VocabularyError as error:
            assert str(path) in str(error)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["name", "synonyms", "color", "seen", "threshold", "classes", "background", "policy", "words"]),
            inner,
        )
    ),
    max_leaves=12,
)


@fuzz(40)
@given(JSON)
def test_any_document_is_a_vocabulary_or_an_error(document: Any) -> None:
    with TemporaryDirectory() as folder:
        for suffix in (".json", ".yaml"):  # JSON is YAML
            path = Path(folder) / f"words{suffix}"
            path.write_text(json.dumps(document))
            try:
                Vocabulary.read(path)
            except VocabularyError as error:
                assert str(path) in str(error)


@st.composite
def vocabularies(draw: st.DrawFn) -> Vocabulary:
    words = draw(st.lists(NAMES, min_size=2, max_size=12, unique_by=lambda word: " ".join(word.split()).casefold()))
    background = draw(
        st.sampled_from([Background(), Background("threshold", threshold=0.25), Background("words", (words.pop(),))])
    )
    limited = background.policy != "none"
    classes = []
    while words:
        synonyms = tuple(words.pop() for _ in range(draw(st.integers(0, len(words) - 1))))
        color = draw(st.none() | st.tuples(*[st.integers(0, 255)] * 3))
        threshold = draw(st.none() | st.floats(0, 1)) if limited else None
        classes.append(VocabularyClass(words.pop(), synonyms, color, draw(st.booleans()), threshold))
    try:
        return Vocabulary(tuple(classes), background, draw(st.sampled_from(["max", "mean"])))
    except VocabularyError:  # "background" was drawn
        return Vocabulary.from_names(["ship"])


@fuzz(20)
@given(vocabularies())
def test_a_vocabulary_that_is_written_comes_back(vocabulary: Vocabulary) -> None:
    with TemporaryDirectory() as folder:
        vocabulary.write(Path(folder) / "words.yaml")
        assert Vocabulary.read(Path(folder) / "words.yaml") == vocabulary


def result_of(labels: NDArray[np.uint8], names: list[str], transform: Affine, units: list[Unit]) -> Segmentation:
    """A segmentation of a map that is there already."""
    vocabulary = Vocabulary.from_names(names)
    work, coverage = WorkInMemory(), Coverage(len(names))
    sure = np.where(labels == 255, np.nan, (labels + 1) / 8).astype(np.float32)
    for unit in units:
        at = slice(unit.top, unit.bottom), slice(unit.left, unit.right)
        work.keep(unit, Decided(labels[at], sure[at]))
        coverage.add(labels[at], sure[at])
    place = place_of(*labels.shape, CRS.from_epsg(32631), transform, None)
    preview = np.zeros((*labels.shape, 3), np.uint8), labels
    return Segmentation(place, vocabulary, UnitMaps(work, units, labels.shape), coverage, preview)


@fuzz(20)
@given(
    arrays(np.uint8, st.tuples(st.integers(1, 14), st.integers(1, 14)), elements=st.sampled_from([0, 0, 1, 2, 255])),
    st.lists(NAMES, min_size=3, max_size=3, unique_by=lambda word: " ".join(word.split()).casefold()),
    st.integers(1, 14),
    st.sampled_from([0.0, 25.0]),
)
def test_polygons_share_out_the_valid_pixels(labels: NDArray[np.uint8], names: list[str], step: int, angle: float) -> None:
    geopandas, shapely = pytest.importorskip("geopandas"), pytest.importorskip("shapely")
    height, width = labels.shape
    units = [Unit(top, min(top + step, height), 0, width) for top in range(0, height, step)]
    transform = Affine.translation(5e5, 4e6) @ Affine.rotation(angle) @ Affine.scale(1, -1)
    result = result_of(labels, names, transform, units)
    names = list(result.vocabulary.names)
    count = int((labels < 255).sum())
    with TemporaryDirectory() as folder:
        for ending in (".gpkg", ".geojson"):
            written = result.to_vector(Path(folder) / f"map{ending}", simplify=0)
            table = geopandas.read_file(Path(folder) / f"map{ending}")
            assert len(table) == written and set(table["class"]) == {names[label] for label in np.unique(labels) if label < 255}
            assert table.geometry.is_valid.all()
        table = geopandas.read_file(Path(folder) / "map.gpkg")
        content = json.loads((Path(folder) / "map.geojson").read_text(encoding="utf-8"))
    for label, name in enumerate(names):
        of_class = table[table["class"] == name]
        assert of_class["pixels"].sum() == (labels == label).sum()
        assert of_class.geometry.area.sum() == pytest.approx((labels == label).sum(), abs=1e-5)
    # As large as their union: no two overlap.
    assert shapely.union_all(table.geometry.values).area == pytest.approx(count, abs=1e-5)
    assert content["type"] == "FeatureCollection" and "crs" not in content
    for feature in content["features"]:
        polygon = feature["geometry"]
        assert feature["type"] == "Feature" and polygon["type"] in ("Polygon", "MultiPolygon")
        for number, ring in enumerate(polygon["coordinates"] if polygon["type"] == "Polygon" else []):
            assert ring[0] == ring[-1] and len(ring) >= 4
            assert all(-180 <= x <= 180 and -90 <= y <= 90 for x, y in ring)
            assert shapely.LinearRing(ring).is_ccw == (number == 0)  # RFC 7946: outside counterclockwise, holes clockwise
