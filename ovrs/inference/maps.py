"""The maps of a scene as rasters and arrays, put together from finished units."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from rasterio.enums import Resampling
from rasterio.windows import Window

from ovrs.inference.decision import PROBABILITY_STEPS, Decided
from ovrs.inference.geotiff import Layer, Piece, as_bands, write_raster
from ovrs.inference.segmented import Coverage, Labels, Place, label_type, nodata_value
from ovrs.inference.streaming import Unit
from ovrs.inference.work import Work
from ovrs.vocabulary import Vocabulary

# Writes one file under the name it is given.
Writer = Callable[[Path], None]
_KINDS = ("labels", "confidence", "probabilities")
# Longer side of the picture that a result carries [pixels].
_PREVIEW_SIDE = 4096


@dataclass(frozen=True)
class UnitMaps:
    """Maps whose units are finished.

    Attributes:
        work: the units.
        units: all of them, in any order.
        shape: rows and columns of the whole.
    """

    work: Work
    units: Sequence[Unit]
    shape: tuple[int, int]

    def pieces(self, kind: str) -> Iterator[Piece]:
        """One of the maps, from the top down."""
        for unit in sorted(self.units, key=lambda unit: (unit.top, unit.left)):
            yield unit.top, unit.left, as_bands(getattr(self.work.read(unit, scores=kind == "probabilities"), kind))

    def labels(self) -> Labels:
        """See :class:`ovrs.inference.segmented.Maps`."""
        return self._whole("labels")[0]

    def confidence(self) -> NDArray[np.float32]:
        """See :class:`ovrs.inference.segmented.Maps`."""
        return self._whole("confidence")[0]

    def probabilities(self) -> NDArray[np.uint8] | None:
        """See :class:`ovrs.inference.segmented.Maps`."""
        return None if self.work.read(self.units[0]).probabilities is None else self._whole("probabilities")

    def strips(self, rows: int) -> Iterator[tuple[int, Labels, NDArray[np.float32]]]:
        """See :class:`ovrs.inference.segmented.Maps`; strips are whole rows of units."""
        in_order = sorted(self.units, key=lambda unit: (unit.top, unit.left))
        for _, units in groupby(in_order, key=lambda unit: unit.top // rows):
            across = [list(row) for _, row in groupby(units, key=lambda unit: unit.top)]
            parts = [Decided.beside([self.work.read(unit, scores=False) for unit in row]) for row in across]
            labels, confidence = (np.concatenate([getattr(part, kind) for part in parts]) for kind in _KINDS[:2])
            yield across[0][0].top, labels, confidence

    def _whole(self, kind: str) -> NDArray[Any]:
        whole: NDArray[Any] | None = None
        for top, left, values in self.pieces(kind):
            if whole is None:
                whole = np.empty((len(values), *self.shape), dtype=values.dtype)
            whole[:, top : top + values.shape[1], left : left + values.shape[2]] = values
        assert whole is not None
        return whole


@dataclass(frozen=True)
class FileMaps:
    """Maps in GeoTIFFs, by kind."""

    files: dict[str, Path]

    def labels(self) -> Labels:
        """See :class:`ovrs.inference.segmented.Maps`."""
        return self._read("labels")[0]

    def confidence(self) -> NDArray[np.float32]:
        """See :class:`ovrs.inference.segmented.Maps`."""
        return self._read("confidence")[0]

    def probabilities(self) -> NDArray[np.uint8] | None:
        """See :class:`ovrs.inference.segmented.Maps`."""
        return self._read("probabilities") if "probabilities" in self.files else None

    def strips(self, rows: int) -> Iterator[tuple[int, Labels, NDArray[np.float32]]]:
        """See :class:`ovrs.inference.segmented.Maps`."""
        with rasterio.open(self.files["labels"]) as labels, rasterio.open(self.files["confidence"]) as confidence:
            for top in range(0, labels.height, rows):
                window = Window(0, top, labels.width, min(rows, labels.height - top))
                yield top, labels.read(1, window=window), confidence.read(1, window=window)

    def _read(self, kind: str) -> NDArray[Any]:
        with rasterio.open(self.files[kind]) as file:
            return np.asarray(file.read())


def layers_of(vocabulary: Vocabulary, tags: dict[str, str]) -> dict[str, Layer]:
    """How each kind of map is written."""
    nodata = nodata_value(len(vocabulary))
    colors = {index: (*map(int, color), 255) for index, color in enumerate(vocabulary.palette)}
    scored = vocabulary.names[: vocabulary.num_classes] if vocabulary.background.policy == "threshold" else vocabulary.names
    return {
        "labels": Layer(
            np.dtype(label_type(len(vocabulary))).name,
            nodata,
            tags=tags,
            names=["class"],
            colors={**colors, nodata: (0, 0, 0, 0)},
        ),
        "confidence": Layer(
            "float32",
            float("nan"),
            tags={**tags, "CONTENT": "confidence of the class at each pixel, 0..1; NaN = nodata"},
            names=["confidence"],
            options={"predictor": 3},
            overviews=Resampling.average,
        ),
        "probabilities": Layer(
            "uint8",
            255,
            count=len(scored),
            tags={**tags, "CONTENT": f"score of each class, 0..{PROBABILITY_STEPS} for 0..1; 255 = nodata"},
            names=scored,
            overviews=Resampling.average,
        ),
    }


def raster_writers(
    maps: UnitMaps, names: dict[str, str], place: Place, vocabulary: Vocabulary, tags: dict[str, str], *, cog: bool = False
) -> dict[str, Writer]:
    """A writer for each file, by name.

    Args:
        names: file name by kind of map.
    """
    layers = layers_of(vocabulary, tags)

    def write(kind: str, path: Path) -> None:
        write_raster(path, layers[kind], maps.pieces(kind), maps.shape, place.crs, place.transform, cog=cog)

    return {name: partial(write, kind) for kind, name in names.items()}


def picture_writers(maps: UnitMaps, names: dict[str, str], vocabulary: Vocabulary, tags: dict[str, str]) -> dict[str, Writer]:
    """As :func:`raster_writers`, as PNGs: classes with a palette (above 254 names in sixteen bits), confidence as bytes."""

    def labels(path: Path) -> None:
        picture = Image.fromarray(maps.labels())
        if len(vocabulary) <= 254:
            palette = np.zeros((256, 3), dtype=np.uint8)
            palette[: len(vocabulary)] = vocabulary.palette
            # putpalette makes a paletted picture of this one without touching its values.
            picture.putpalette(palette.tobytes())
            picture.info["transparency"] = 255
        picture.save(path, "PNG", pnginfo=_text_chunks(tags))

    def confidence(path: Path) -> None:
        scaled = np.nan_to_num(np.rint(maps.confidence() * PROBABILITY_STEPS), nan=255).astype(np.uint8)
        content = f"confidence of the class at each pixel: value / {PROBABILITY_STEPS}; 255 = nodata"
        Image.fromarray(scaled).save(path, "PNG", pnginfo=_text_chunks({**tags, "CONTENT": content}))

    writers = {"labels": labels, "confidence": confidence}
    return {name: writers[kind] for kind, name in names.items()}


def tags_of(vocabulary: Vocabulary, place: Place, provenance: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Names by map value, vocabulary and provenance, as text by tag name."""
    words = [list(cls.words) for cls in vocabulary.classes]
    thresholds = {cls.name: cls.threshold for cls in vocabulary.classes if cls.threshold is not None}
    background = vocabulary.background
    policy = {"none": "none", "words": ", ".join(background.words), "threshold": f"confidence below {background.threshold:g}"}
    return {
        "CLASS_NAMES": json.dumps(vocabulary.names, ensure_ascii=False),
        **{f"CLASS_{index}": name for index, name in enumerate(vocabulary.names)},
        "VOCABULARY": json.dumps(words, ensure_ascii=False),
        **({"SYNONYMS": vocabulary.synonyms} if any(len(each) > 1 for each in words) else {}),
        "BACKGROUND": policy[background.policy],
        **({"THRESHOLDS": json.dumps(thresholds, ensure_ascii=False)} if thresholds else {}),
        **dict(provenance),
        **({"SOURCE": place.path.name} if place.path is not None else {}),
        **({"SYNTHETIC": "of an image drawn by ovrs, not a photograph"} if place.synthetic else {}),
    }


def _text_chunks(tags: dict[str, str]) -> PngInfo:
    chunks = PngInfo()
    for name, text in tags.items():
        if text.isascii():
            chunks.add_text(name, text)
        else:
            chunks.add_itxt(name, text)
    return chunks


def reduced_size(shape: tuple[int, int], side: int) -> tuple[int, int]:
    """Rows and columns with the longer side at most ``side``."""
    scale = min(side / max(shape), 1.0)
    return max(round(shape[0] * scale), 1), max(round(shape[1] * scale), 1)


class ReducedLabels:
    """A map's values at evenly spread pixels, gathered unit by unit."""

    def __init__(self, shape: tuple[int, int], size: tuple[int, int], dtype: type[np.uint8] | type[np.uint16]) -> None:
        self.labels: Labels = np.zeros(size, dtype=np.dtype(dtype))
        self._at = [((np.arange(to) + 0.5) * of / to).astype(int) for of, to in zip(shape, size, strict=True)]

    def add(self, unit: Unit, decided: Decided) -> None:
        """Take what lies in a unit."""
        rows, columns = (
            slice(*np.searchsorted(at, edges))
            for at, edges in zip(self._at, ((unit.top, unit.bottom), (unit.left, unit.right)), strict=True)
        )
        picked = np.ix_(self._at[0][rows] - unit.top, self._at[1][columns] - unit.left)
        self.labels[rows, columns] = decided.labels[picked]


class Digest:
    """What is gathered of a map while its units are made: what it covers, and what fits on a screen."""

    def __init__(self, names: int, place: Place, dtype: type[np.uint8] | type[np.uint16]) -> None:
        shape = place.height, place.width
        self.coverage = Coverage(names, place.pixel_areas)
        self.preview = ReducedLabels(shape, reduced_size(shape, _PREVIEW_SIDE), dtype)

    def add(self, unit: Unit, piece: Decided) -> None:
        """Count a unit."""
        self.coverage.add(piece.labels, piece.confidence, unit.top, unit.left)
        self.preview.add(unit, piece)
