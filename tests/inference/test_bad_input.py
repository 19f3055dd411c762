"""What happens with images, outputs and vocabularies that are damaged, hostile or merely unusual.

The tables say it: what is refused, and the words of the error. Tests below them say what is done with what is not refused.
"""

from __future__ import annotations

import resource
import struct
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from affine import Affine
from numpy.typing import NDArray
from PIL import Image

from ovrs.errors import InputError, OutputError, VocabularyError
from ovrs.inference.opening import open_scene
from ovrs.inference.outputs import OutputFolder
from ovrs.inference.reading import ReadOptions
from ovrs.inference.segmenter import Segmenter
from ovrs.inference.sources import Source, list_sources
from ovrs.inference.tiles import Tiling
from ovrs.vocabulary import MAX_LENGTH, MAX_WORDS, Vocabulary

Image.init()  # what it does once, some of the tests forbid
Writer = Callable[..., Path]
LONG = "a" * 10_000


def tiff(
    width: int = 64, height: int = 48, rows: int = 1, compression: int = 1, data: bytes = b"", size: int | None = None
) -> bytes:
    """The bytes of a TIFF of one eight-bit band in strips, all of which are the same ``data``."""
    strips = -(-height // max(rows, 1))
    start = 8 + 2 + 10 * 12 + 4
    offsets = start + 8 * strips if strips > 1 else start
    size = len(data) if size is None else size
    entries = [(256, 4, width), (257, 4, height), (258, 3, 8), (259, 3, compression), (262, 3, 1)]
    table = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in entries)
    table += struct.pack("<HHII", 273, 4, strips, start if strips > 1 else offsets)
    table += struct.pack("<HHII", 277, 3, 1, 1) + struct.pack("<HHII", 278, 4, 1, rows)
    table += struct.pack("<HHII", 279, 4, strips, start + 4 * strips if strips > 1 else size) + struct.pack(
        "<HHII", 284, 3, 1, 1
    )
    lists = (
        b"" if strips <= 1 else struct.pack(f"<{strips}I", *[offsets] * strips) + struct.pack(f"<{strips}I", *[size] * strips)
    )
    return b"II*\0" + struct.pack("<IH", 8, 10) + table + struct.pack("<I", 0) + lists + data


def png(width: int, height: int, *chunks: tuple[bytes, bytes]) -> bytes:
    """The bytes of an RGB PNG, with further chunks before its (empty) pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    parts = (*chunks, (b"IDAT", zlib.compress(b"")), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunk(*part) for part in parts)


VRT = b"""<VRTDataset rasterXSize="64" rasterYSize="48"><VRTRasterBand dataType="Byte" band="1"><SimpleSource>
<SourceFilename relativeToVRT="1">image.tif</SourceFilename><SourceBand>1</SourceBand></SimpleSource></VRTRasterBand>
</VRTDataset>"""

# File name, its bytes, and what the error says.
REFUSED_FILES: dict[str, tuple[str, bytes, str]] = {
    "nothing": ("empty.tif", b"", "the file is empty"),
    "a signature alone": ("cut.tif", b"II*\0", "truncated or damaged"),
    "half a header": ("cut.tif", tiff()[:70], "truncated or damaged"),
    "a directory beyond the end": ("cut.tif", b"II*\0" + struct.pack("<I", 10**9), "truncated or damaged"),
    "a TIFF of 0 x N": ("zero.tif", tiff(width=0), "truncated or damaged"),
    "a TIFF of N x 0": ("zero.tif", tiff(height=0), "truncated or damaged"),
    "a PNG of 0 x N": ("zero.png", png(0, 48), "damaged"),
    "words": ("words.tif", b"these are words and no image, whatever the name says", "is no PNG, JPEG, WebP or GeoTIFF"),
    "a GIF": ("image.tif", b"GIF89a" + bytes(30), "is no PNG, JPEG, WebP or GeoTIFF"),
    "a VRT": ("mosaic.vrt", VRT, "is a VRT, which may point to any file"),
    "a VRT that calls itself a TIFF": ("mosaic.tif", VRT, "is a VRT, which may point to any file"),
    "a VRT behind a comment": ("mosaic.tif", b"<!-- TIFF -->\n" + VRT, "is a VRT, which may point to any file"),
    "a PNG that says 100,000 x 100,000": ("bomb.png", png(100_000, 100_000), r"10,000,000,000 pixels.*make it a GeoTIFF"),
    "a PNG whose text expands hugely": (
        "bomb.png",
        png(8, 8, (b"zTXt", b"a\0\0" + zlib.compress(bytes(80_000_000)))),
        "truncated or damaged",
    ),
    "a TIFF that says 200,000 x 200,000": (
        "bomb.tif",
        tiff(200_000, 200_000, rows=100_000),
        r"40,000,000,000 pixels.*--max-pixels",
    ),
    "a TIFF of one row without end": ("bomb.tif", tiff(2_000_000_000, 1), r"no side may be longer than 1,000,000"),
    "strips of 20,000 compressed rows": (
        "strip.tif",
        tiff(40_000, 40_000, rows=20_000, compression=8),
        "blocks are 40000 x 20000 pixels of 763 MiB, and 512 are allowed; write it in tiles",
    ),
}

# What is asked for, and what the error says; nothing of it is opened.
REFUSED_NAMES: dict[str, tuple[str, str]] = {
    "an address": ("https://localhost/scene.tif", "--allow-remote"),
    "an address of a bucket": ("s3://bucket/scene.tif", "--allow-remote"),
    "a virtual path": ("/vsizip/archive.zip/scene.tif", "--allow-remote"),
    "a virtual path in a pattern": ("/vsimem/*.tif", "--allow-remote"),
    "another address": ("zip://archive.zip!scene.tif", "addresses of zip:// are not read"),
    "a dataset of many": ("GTIFF_DIR:1:scene.tif", "no such file"),
    "a VRT as text": ("<VRTDataset></VRTDataset>", "no such file"),
    "a NUL": ("scene\0.tif", "no name of a file"),
    "a name without end": (LONG, "File name too long"),
}

# File name, content, and what the error says.
REFUSED_VOCABULARIES: dict[str, tuple[str, bytes, str]] = {
    "bytes": ("words.txt", bytes(range(128, 256)), "is no UTF-8 text"),
    "a program": ("words.txt", b"\x7fELF\x02\x01\x01\0\0\0", r"U\+007F, which cannot be shown"),
    "sixteen-bit text": ("words.txt", "ship".encode("utf-16-le"), r"U\+0000, which cannot be shown"),
    "3 MiB": ("words.txt", b"ship\n" * 600_000, "is larger than 2 MiB"),
    "a line of 10,000 characters": ("words.txt", LONG.encode(), f"10,000 characters; {MAX_LENGTH} are allowed"),
    "too many words": ("words.txt", "\n".join(map(str, range(MAX_WORDS + 1))).encode(), "10,001 words.*10,000 are allowed"),
    "half a letter": ("words.json", rb'["\ud800"]', r"U\+D800, which cannot be shown"),
    "nothing that shows": ("words.json", rb'["\u200b\u200b"]', r"U\+200B, which cannot be shown"),
    "a bell": ("words.json", rb'["ship\u0007"]', r"U\+0007, which cannot be shown"),
    "empty names": ("words.json", b'["ship", ""]', "names no class"),
    "an empty name": ("words.yaml", b"- {name: ' '}", "empty name"),
    "an empty synonym": ("words.yaml", b"- {name: ship, synonyms: ['']}", "empty name or synonym"),
    "deep JSON": ("words.json", b"[" * 200_000, "nested too deeply"),
    "deep YAML": ("words.yaml", b"[" * 20_000, "nested too deeply"),
    "a number of 5,000 digits": ("words.json", b"[" + b"9" * 5000 + b"]", "is not valid JSON"),
    "a date that is none": ("words.yaml", b"- 2020-99-99", "is not valid YAML"),
    "a tag that runs a program": ("words.yaml", b"- !!python/object/apply:os.system [echo]", "tags .* are not read"),
    "a tag": ("words.yaml", b"- !!str ship", "tags .* are not read"),
    "a billion laughs": (
        "words.yaml",
        b"a: &a [ship]\n"
        + b"".join(b"%c: &%c [%s]\n" % (c, c, b",".join([b"*%c" % (c - 1)] * 9)) for c in b"bcdefghij")
        + b"classes: *j",
        r"anchors \(&\), aliases .* are not read",
    ),
    "lists in lists": ("words.yaml", b"- " + b"[" * 50 + b"]" * 50, "is no class"),
    "a list of numbers": ("words.yaml", b"[" + b"1, " * 5000 + b"]", "1 is no class"),
    "a mapping of everything": ("words.yaml", b"- name: ship\n  wings: 2\n  ? " + LONG.encode() + b"\n  : 1\n", "unknown key"),
}


class ColorModel:
    """The score of a class is its channel's value / 255."""

    tiling = Tiling(tile=64, overlap=0.25, patch=16, per_patch=16)
    batch = 1

    def score(self, tiles: torch.Tensor, vocabulary: object) -> torch.Tensor:
        return tiles.float() / 255


def segment(path: Path, **options: Any) -> Any:
    return Segmenter(ColorModel()).segment(path, "red, green, blue", **options)


# ----------------------------------------------------------------------- refused


@pytest.mark.parametrize(("name", "content", "reason"), REFUSED_FILES.values(), ids=list(REFUSED_FILES))
def test_a_file_is_refused_from_its_header(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: bytes, reason: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("decoded"))
    monkeypatch.setattr(rasterio.DatasetReader, "read", lambda *_, **__: pytest.fail("decoded"), raising=False)
    for refused in (lambda: open_scene(path), lambda: list_sources([str(path)])):
        with pytest.raises(InputError, match=rf"{name}: .*{reason}"):
            refused()


@pytest.mark.parametrize(("name", "reason"), REFUSED_NAMES.values(), ids=list(REFUSED_NAMES))
def test_a_name_is_refused_before_anything_is_opened(monkeypatch: pytest.MonkeyPatch, name: str, reason: str) -> None:
    monkeypatch.setattr(rasterio, "open", lambda *_, **__: pytest.fail("opened"))
    for refused in (lambda: open_scene(name), lambda: list_sources([name])):
        with pytest.raises(InputError, match=reason):
            refused()


@pytest.mark.parametrize(("name", "content", "reason"), REFUSED_VOCABULARIES.values(), ids=list(REFUSED_VOCABULARIES))
def test_a_vocabulary_file_is_refused_in_few_words(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(VocabularyError, match=rf"{name}: .*{reason}") as caught:
        Vocabulary.read(path)
    assert len(str(caught.value)) < len(str(path)) + 500


@pytest.mark.parametrize("names", [["ship", ""], ["ship", None], [3], ["a\0b"], [LONG], ["\ud800"], []], ids=repr)
def test_names_given_in_python_are_refused_too(names: list[Any]) -> None:
    with pytest.raises(VocabularyError):
        Vocabulary.from_names(names)


def test_a_sparse_file_of_200_000_x_200_000_is_refused_before_anything_is_allocated(write_tiff: Writer, tmp_path: Path) -> None:
    path = tmp_path / "sparse.tif"
    size = {"width": 200_000, "height": 200_000, "count": 1, "dtype": "uint8", "tiled": True, "SPARSE_OK": True}
    with rasterio.open(path, "w", driver="GTiff", blockxsize=8192, blockysize=8192, **size):
        pass
    assert path.stat().st_size < 100_000
    with pytest.raises(InputError, match=r"40,000,000,000 pixels.*--max-pixels"):
        open_scene(path)


# ----------------------------------------------------------------------- damage that shows later


def test_a_file_cut_in_its_data_leaves_no_output(write_tiff: Writer, tmp_path: Path) -> None:
    bands = np.random.default_rng(0).integers(1, 255, (3, 1400, 90), dtype=np.uint8)
    path = write_tiff(bands, blockysize=16)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])
    out = tmp_path / "out"
    done: list[int] = []
    with pytest.raises(InputError, match=r"image\.tif: the TIFF is truncated or damaged"):
        segment(path, output=out / "map.tif", options=ReadOptions(nodata="none"), progress=lambda step, _: done.append(step))
    assert done, "found out before the first tile"
    assert not out.exists() or not list(out.iterdir())


def test_what_a_block_unpacks_to_beyond_its_size_is_never_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "bomb.tif"
    path.write_bytes(tiff(compression=8, rows=48, data=zlib.compress(b"\x07" * 200_000_000)))
    assert path.stat().st_size < 300_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with open_scene(path) as scene:  # libtiff takes the stream's beginning and is content
        read = scene.read(0, 48, 0, 64)
    assert (read[:, :40] == 7).all() and resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000


def test_a_picture_that_ends_early_is_refused(tmp_path: Path) -> None:
    (tmp_path / "short.png").write_bytes(png(100, 100))
    with pytest.raises(InputError, match=r"short\.png: the image is truncated or damaged"):
        open_scene(tmp_path / "short.png")


# ----------------------------------------------------------------------- unusual, and done


def test_without_a_crs_a_map_has_no_place_and_no_area(quadrants: NDArray[np.uint8], write_tiff: Writer, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = write_tiff(quadrants.transpose(2, 0, 1), crs=None, transform=None)
    assert list_sources([str(path)])[0].results[0] == "image.classes.png"
    result = segment(path, output=tmp_path / "out" / "map.tif")
    assert result.areas() is None and result.place.transform is None and result.labels[0, 0] == 0
    with pytest.raises(InputError, match=r"image\.tif: has no coordinate reference system"):
        result.to_vector(tmp_path / "map.gpkg")


@pytest.mark.parametrize(
    "transform",
    [
        Affine.translation(5e5, 4e6) @ Affine.rotation(30) @ Affine.scale(0.5, -0.25),
        Affine(0.5, 0, 5e5, 0, 0.25, 4e6),
        Affine(-0.5, 0, 5e5, 0, -0.25, 4e6),
        Affine(0, 0.5, 5e5, 0.25, 0, 4e6),
    ],
    ids=["rotated", "south up", "east left", "transposed"],
)
def test_any_transform_is_kept(quadrants: NDArray[np.uint8], write_tiff: Writer, tmp_path: Path, transform: Affine) -> None:
    geopandas = pytest.importorskip("geopandas")
    path = write_tiff(quadrants.transpose(2, 0, 1), transform=transform)
    result = segment(path, output=tmp_path / "map.tif")
    with rasterio.open(tmp_path / "map.tif") as written:
        assert written.transform.almost_equals(transform) and np.array_equal(written.read(1), result.labels)
    assert result.areas()["green"] == pytest.approx(24 * 32 * 0.125)
    result.to_vector(tmp_path / "map.gpkg", simplify=0)
    table = geopandas.read_file(tmp_path / "map.gpkg")
    green = table[table["class"] == "green"].geometry.item()
    assert green.area == pytest.approx(24 * 32 * 0.125)
    assert (green.centroid.x, green.centroid.y) == pytest.approx(transform @ (48, 12), abs=1e-3)


@pytest.mark.parametrize(("count", "bands"), [(1, None), (12, (4, 3, 12)), (2, (1, 1, 2))])
def test_one_band_and_twelve(write_tiff: Writer, count: int, bands: tuple[int, int, int] | None) -> None:
    values = np.arange(10, 10 + count, dtype=np.uint8)[:, None, None].repeat(20, axis=1).repeat(30, axis=2)
    path = write_tiff(values, photometric="MINISBLACK", alpha="NO")
    with open_scene(path, ReadOptions(bands=bands)) as scene:
        assert scene.read(0, 20, 0, 30)[:, 0, 0].tolist() == [values[band - 1, 0, 0] for band in bands or (1, 1, 1)]
    if count > 1:
        with pytest.raises(InputError, match=f"has {count} bands and does not say which"):
            open_scene(path)


def test_nan_and_infinity_are_no_image(quadrants: NDArray[np.uint8], write_tiff: Writer) -> None:
    bands = quadrants.transpose(2, 0, 1).astype(np.float32) / 255
    bands[0, 3, 5], bands[1, 4, 6], bands[2, 5, 7] = np.nan, np.inf, -np.inf
    result = segment(write_tiff(bands))
    assert sorted(zip(*np.nonzero(result.labels == 255), strict=True)) == [(3, 5), (4, 6), (5, 7)]
    assert np.isfinite(result.confidence[result.labels < 255]).all() and result.labels[0, 0] == 0


@pytest.mark.parametrize("kind", ["declared", "named", "black", "NaN"])
def test_a_scene_of_nodata_alone_is_mapped_as_such(write_tiff: Writer, tmp_path: Path, kind: str) -> None:
    geopandas = pytest.importorskip("geopandas")
    bands = np.full((3, 40, 50), {"black": 0, "NaN": np.nan}.get(kind, 9), np.float32 if kind == "NaN" else np.uint8)
    path = write_tiff(bands, **({"nodata": 9} if kind == "declared" else {}))
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        result = segment(path, options=ReadOptions(nodata=9 if kind == "named" else "auto"), output=tmp_path / "map.tif")
        assert (result.labels == 255).all() and set(result.shares().values()) == {0.0} == set(result.areas().values())
        assert np.isnan(list(result.mean_confidence().values())).all()
        result.plot()
        for ending in (".gpkg", ".geojson", ".parquet"):
            assert result.to_vector(tmp_path / f"map{ending}") == 0
    assert len(geopandas.read_file(tmp_path / "map.gpkg")) == 0


def test_a_vrt_and_virtual_paths_are_read_where_they_are_trusted(
    quadrants: NDArray[np.uint8], write_tiff: Writer, tmp_path: Path
) -> None:
    path = write_tiff(quadrants.transpose(2, 0, 1)[:1])
    (tmp_path / "mosaic.vrt").write_bytes(VRT)
    trusted = ReadOptions(allow_remote=True)
    with open_scene(path) as plain:
        expected = plain.read(0, 48, 0, 64)
    for name in (tmp_path / "mosaic.vrt", f"/vsisubfile/0_-1,{path}"):
        with open_scene(name, trusted) as scene:
            assert np.array_equal(scene.read(0, 48, 0, 64), expected)


@pytest.mark.parametrize("compression", [1, 8], ids=["plain", "deflate"])
def test_one_strip_for_all_of_a_file_is_read_row_by_row(tmp_path: Path, compression: int) -> None:
    path = tmp_path / "strip.tif"
    path.write_bytes(tiff(20_000, 30_000, rows=30_000, compression=compression))
    assert list_sources([str(path)])[0].stem == "strip"
    with rasterio.open(path) as file:
        assert file.block_shapes[0] == (1, 20_000)


def test_a_vocabulary_of_5_000_names_gives_a_map_of_sixteen_bits(quadrants: NDArray[np.uint8]) -> None:
    vocabulary = Vocabulary.from_names(f"thing {number}" for number in range(5000))

    class ManyNames(ColorModel):
        def score(self, tiles: torch.Tensor, vocabulary: object) -> torch.Tensor:
            scores = torch.zeros(len(tiles), 5000, *tiles.shape[2:])
            scores[:, 4321] = tiles[:, 1] / 255
            return scores

    result = Segmenter(ManyNames()).segment(quadrants, vocabulary)
    assert result.labels.dtype == np.uint16 and (result.labels[:24, 32:] == 4321).all()
    assert len({tuple(color) for color in vocabulary.palette.tolist()}) == 5000
    result.plot()


# ----------------------------------------------------------------------- where results go


@pytest.mark.parametrize("pattern", ["in/*/../../elsewhere/*.tif", "in/**/../../elsewhere/*.tif"])
def test_a_pattern_that_leads_out_of_its_folder_is_refused(write_tiff: Writer, tmp_path: Path, pattern: str) -> None:
    for folder in ("in/a", "elsewhere"):
        (tmp_path / folder).mkdir(parents=True)
        write_tiff(np.full((3, 9, 9), 5, np.uint8), f"{folder}/x.tif")
    with pytest.raises(InputError, match=r"elsewhere/\*\.tif: leads out of .*in"):
        list_sources([str(tmp_path / pattern)])
    assert [source.stem for source in list_sources([str(tmp_path / "in/*/../a/*.tif")])] == ["a/x"]


@pytest.mark.parametrize("stem", ["../x", "a/../../x", "/x", "..", ""])
def test_a_stem_that_leads_out_of_the_folder_is_refused(stem: str) -> None:
    with pytest.raises(InputError, match="outside of the folder of results"):
        Source(Path("x.tif"), stem, True)


def test_links_lead_no_result_out_of_its_folder(write_tiff: Writer, tmp_path: Path) -> None:
    path = write_tiff(np.full((3, 9, 9), 5, np.uint8))
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "kept.tif").write_text("kept")
    with OutputFolder(tmp_path / "out") as out:
        (out.path / "folder").symlink_to(tmp_path / "elsewhere")
        with pytest.raises(OutputError, match="leads out of the folder of results"):
            out.check_targets(["folder/image.classes.tif"], [path])
        with pytest.raises(OutputError, match="leads out of the folder of results"):
            out.check_targets(["../image.classes.tif"], [path])
        # A link of the very name is replaced; what it points to is not written to.
        (out.path / "image.classes.tif").symlink_to(tmp_path / "elsewhere" / "kept.tif")
        out.check_targets(["image.classes.tif"], [path])
        segment(path, output=out.path / "image.classes.tif")
    assert not (tmp_path / "out" / "image.classes.tif").is_symlink()
    assert (tmp_path / "elsewhere" / "kept.tif").read_text() == "kept"
