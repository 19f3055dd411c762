"""Polygons of a map as GeoPackage, GeoJSON or GeoParquet, written in pieces.

Each feature has ``class_id`` and ``class``, ``pixels`` and ``area_m2``, the mean ``confidence``, ``source`` (the image) and
``vocabulary`` (all the names that competed).
"""

from __future__ import annotations

import importlib.util
import json
import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.warp import transform as project

from ovrs.errors import InputError, OutputError
from ovrs.files import written_whole
from ovrs.inference.geotiff import BLOCK
from ovrs.inference.segmented import Place, Segmented

if TYPE_CHECKING:
    import geopandas

    from ovrs.inference.regions import Region

# Those of the extra "vector".
_PACKAGES = ("geopandas", "pyarrow", "pyogrio", "shapely")
# Features converted and written together.
_PIECE = 2000
# Rows of the map that are outlined together, and pixels: fewer rows of a wide scene, but whole blocks of its files.
_STRIP, _TOGETHER = 2048, 2**23
_WGS84 = CRS.from_epsg(4326)
# Characters of the vocabulary that every feature repeats.
_MAX_TEXT = 1000
# Digits of GeoJSON's degrees: a centimetre.
_DIGITS = 7


@dataclass(frozen=True)
class VectorOptions:
    """What becomes a polygon.

    Attributes:
        min_area: smaller regions are left out [square metres].
        simplify: corners that cut off less than the square of this are left out, along shared borders alike [pixels]; 0 keeps
            the steps of the pixels.
    """

    min_area: float = 0.0
    simplify: float = 1.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.min_area) and self.min_area >= 0 and math.isfinite(self.simplify) and self.simplify >= 0):
            raise InputError(f"--min-area {self.min_area:g} and --simplify {self.simplify:g} must be 0 or more")


@dataclass(frozen=True)
class Features:
    """Some polygons: outlines in the CRS of the map, and a column for each of their attributes."""

    outlines: NDArray[np.object_]
    columns: dict[str, NDArray[Any]]


def check_packages() -> None:
    """Refuse, before anything is computed, where what writes polygons is missing.

    Raises:
        InputError: the packages for vectors are not installed.
    """
    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(f"vectors need {', '.join(missing)}: pip install 'ovrs[vector]'")


def write_vectors(result: Segmented, path: str | os.PathLike[str], options: VectorOptions | None = None) -> int:
    """Write the polygons of a map; returns how many.

    Args:
        path: ending in ``.gpkg``, ``.geojson`` (RFC 7946: longitudes and latitudes on WGS 84) or ``.parquet`` (GeoParquet).

    Raises:
        InputError: the map has no coordinate reference system, or the packages for vectors are not installed.
        OutputError: another ending, or the file cannot be written.
    """
    path = Path(path)
    writers = {".gpkg": _geopackage, ".geojson": _geojson, ".json": _geojson, ".parquet": _geoparquet}
    write = writers.get(path.suffix.lower())
    if write is None:
        raise OutputError(f"{path}: vectors are written as .gpkg, .geojson or .parquet")
    check_packages()
    place = located(result.place)
    count = _Count()
    with written_whole(path) as temporary:
        try:
            write(temporary, path.stem, place, count.of(features(result, options)))
        except OSError:
            raise
        except (RuntimeError, ValueError) as error:  # what pyogrio and pyarrow raise when a file cannot be written
            raise OutputError(f"{path}: cannot be written: {error}") from error
    return count.total


def as_geodataframe(result: Segmented, options: VectorOptions | None = None) -> geopandas.GeoDataFrame:
    """The polygons of a map in memory.

    Raises:
        InputError: as :func:`write_vectors`.
    """
    check_packages()
    import geopandas
    import pandas

    place = located(result.place)
    pieces = list(features(result, options))
    columns = {name: np.concatenate([piece.columns[name] for piece in pieces]) for name in pieces[0].columns} if pieces else {}
    outlines = np.concatenate([piece.outlines for piece in pieces]) if pieces else np.array([], dtype=object)
    return geopandas.GeoDataFrame(pandas.DataFrame(columns), geometry=outlines, crs=place.crs.to_wkt() if place.crs else None)


def located(place: Place) -> Place:
    """The same place.

    Raises:
        InputError: it has no coordinate reference system.
    """
    if place.crs is None or place.transform is None:
        raise InputError(f"{place.path or 'the image'}: has no coordinate reference system, so its polygons have no place")
    return place


def features(result: Segmented, options: VectorOptions | None = None) -> Iterator[Features]:
    """The polygons of a map, some at a time, in an order that does not depend on anything but the map.

    Raises:
        InputError: the packages for vectors are not installed.
    """
    check_packages()
    from ovrs.inference.regions import regions

    options = options or VectorOptions()
    place, names = result.place, len(result.vocabulary)
    area = place.pixel_areas or place.pixel_area or math.nan
    rows = min(_STRIP, max(_TOGETHER // place.width // BLOCK, 1) * BLOCK)
    found = regions(result.maps.strips(rows), names, area, tolerance=options.simplify, least=options.min_area)
    while piece := list(islice(found, _PIECE)):
        yield _features(piece, result)


def _features(found: Sequence[Region], result: Segmented) -> Features:
    import shapely

    transform, names = result.place.transform, result.vocabulary.names
    assert transform is not None
    outlines = shapely.transform(np.array([region.outline for region in found]), _mapped(transform))
    labels = np.array([region.label for region in found], dtype=np.int32)
    pixels = np.array([region.pixels for region in found], dtype=np.int64)
    source = result.place.path.name if result.place.path is not None else ""
    return Features(
        outlines,
        {
            "class_id": labels,
            "class": np.array([names[label] for label in labels], dtype=object),
            "pixels": pixels,
            "area_m2": np.array([region.area for region in found]),
            "confidence": np.array([region.confidence for region in found]).round(4),
            "source": np.array([source] * len(found), dtype=object),
            "vocabulary": np.array([_short(", ".join(names))] * len(found), dtype=object),
        },
    )


def _short(text: str) -> str:
    """What is repeated for every polygon must not weigh more than the polygon."""
    return text if len(text) <= _MAX_TEXT else text[:_MAX_TEXT] + " ..."


def _mapped(transform: Affine) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """From (column, row) to the CRS's coordinates."""
    matrix = np.array([[transform.a, transform.d], [transform.b, transform.e]])
    return lambda points: points @ matrix + (transform.c, transform.f)


# ----------------------------------------------------------------------- files


def _geopackage(path: Path, layer: str, place: Place, pieces: Iterable[Features]) -> None:
    import pyogrio
    import shapely

    assert place.crs is not None
    path.unlink(missing_ok=True)  # the temporary file is empty, and no GeoPackage to append to
    for number, piece in enumerate(_at_least_one(pieces)):
        pyogrio.raw.write(
            path,
            geometry=shapely.to_wkb(piece.outlines),
            field_data=list(piece.columns.values()),
            fields=list(piece.columns),
            geometry_type="Polygon",
            crs=place.crs.to_wkt(),
            layer=layer,
            driver="GPKG",
            append=number > 0,
        )


def _geojson(path: Path, layer: str, place: Place, pieces: Iterable[Features]) -> None:
    import shapely

    with open(path, "w", encoding="utf-8") as file:
        file.write(f'{{"type": "FeatureCollection", "name": {json.dumps(layer)}, "features": [')
        first = True
        for piece in pieces:
            outlines = shapely.transform(piece.outlines, _degrees(place.crs))
            # RFC 7946: exterior rings counterclockwise.
            for number, outline in enumerate(shapely.orient_polygons(outlines)):
                properties = {name: _plain(values[number]) for name, values in piece.columns.items()}
                rings = [
                    shapely.get_coordinates(ring).round(_DIGITS).tolist() for ring in (outline.exterior, *outline.interiors)
                ]
                feature = {"type": "Feature", "properties": properties, "geometry": {"type": "Polygon", "coordinates": rings}}
                file.write(("\n" if first else ",\n") + json.dumps(feature, ensure_ascii=False))
                first = False
        file.write("\n]}\n")


def _geoparquet(path: Path, layer: str, place: Place, pieces: Iterable[Features]) -> None:
    import pyarrow
    import pyarrow.parquet
    import pyproj
    import shapely

    assert place.crs is not None
    crs = pyproj.CRS.from_wkt(place.crs.to_wkt()).to_json_dict()
    column = {"encoding": "WKB", "geometry_types": ["Polygon"], "crs": crs}
    about = {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}}
    writer: pyarrow.parquet.ParquetWriter | None = None
    try:
        for piece in _at_least_one(pieces):
            table = pyarrow.table(
                {**piece.columns, "geometry": pyarrow.array(shapely.to_wkb(piece.outlines), pyarrow.binary())}
            )
            if writer is None:
                writer = pyarrow.parquet.ParquetWriter(path, table.schema.with_metadata({"geo": json.dumps(about)}))
            writer.write_table(table.cast(writer.schema))
    finally:
        if writer is not None:
            writer.close()


def _at_least_one(pieces: Iterable[Features]) -> Iterator[Features]:
    """The pieces, or an empty one: a map without a polygon has a file too, with its columns."""
    empty = True
    for piece in pieces:
        empty = False
        yield piece
    if empty:
        text, whole = np.array([], dtype=object), np.array([], dtype=np.int64)
        real = np.array([], dtype=np.float64)
        columns = {"class_id": whole.astype(np.int32), "class": text, "pixels": whole, "area_m2": real, "confidence": real}
        yield Features(np.array([], dtype=object), {**columns, "source": text, "vocabulary": text})


def _degrees(crs: CRS | None) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """From the coordinates of a CRS to longitudes and latitudes."""

    def change(points: NDArray[np.float64]) -> NDArray[np.float64]:
        longitudes, latitudes = project(crs, _WGS84, points[:, 0], points[:, 1])[:2]
        return np.stack([longitudes, latitudes], axis=1)

    return change


def _plain(value: Any) -> Any:
    """A NumPy scalar as JSON knows it; what is no number as null."""
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and not math.isfinite(value) else value


class _Count:
    """How many features went by."""

    def __init__(self) -> None:
        self.total = 0

    def of(self, pieces: Iterable[Features]) -> Iterator[Features]:
        for piece in pieces:
            self.total += len(piece.outlines)
            yield piece
