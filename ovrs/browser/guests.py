"""Segmenting for guests who are not trusted: limits, a folder of results for each, and nothing left when they go."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from ovrs.browser.beside import Beside
from ovrs.data.sar.raster import open_raster
from ovrs.errors import InputError, OutputError, VocabularyError
from ovrs.inference.image_place import coordinates_of_file
from ovrs.inference.maps import UnitMaps
from ovrs.inference.rasters import read_header
from ovrs.inference.reading import ReadOptions, parse_bands
from ovrs.inference.screen import Screen
from ovrs.inference.segmentation import Referred
from ovrs.inference.segmenter import Progress, Segmenter
from ovrs.inference.sentence import Sentence
from ovrs.inference.targets import Target
from ovrs.vocabulary import Vocabulary

# Words, synonyms included, for each name that is allowed.
_WORDS_PER_NAME = 8
# Characters of an uploaded file's name that are kept.
_STEM_LENGTH = 60


@dataclass(frozen=True)
class Limits:
    """What one guest may ask for.

    Attributes:
        pixels: of an image.
        bytes: of an uploaded file.
        names: of a vocabulary, its background counted.
        idle: seconds after which results are removed though the guest never said goodbye.
    """

    pixels: int = 25_000_000
    bytes: int = 200_000_000
    names: int = 40
    idle: float = 3600


@dataclass(frozen=True)
class Result:
    """What a guest gets.

    Attributes:
        screen: for looking at.
        raster: the class map, a GeoTIFF where the image has a coordinate reference system, else a PNG.
        overlay: the PNG with a legend.
        vectors: the GeoPackage, or None.
        no_vectors: why there is none, else empty.
        read: of a sentence, how the image was read for it and what is lost by that, a line each; and what a model lacked.
        told: where the image was taken and what the model was told of that, a line each, for a model that reads places.
    """

    screen: Screen
    raster: Path
    overlay: Path
    vectors: Path | None
    no_vectors: str
    read: str = ""
    told: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Tells this result from all others."""
        return self.raster.parent.name[:8]


@dataclass
class _Guest:
    folder: Path
    seen: float
    result: Result | None = None


@dataclass
class Guests:
    """All guests of a server.

    Args:
        segmenter: gives maps.
        uploads: the only folder that images are taken from.
        results: a folder of its own, in which each guest gets one whose name cannot be guessed.
        limits: see :class:`Limits`.
    """

    segmenter: Segmenter
    uploads: Path
    results: Path
    limits: Limits = Limits()
    clock: Callable[[], float] = time.monotonic
    _guests: dict[str, _Guest] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def upload(self, path: str | os.PathLike[str] | None, bands: str | None = None) -> tuple[Path, ReadOptions]:
        """An uploaded image, checked without decoding it, and how it is read.

        Raises:
            InputError: none was chosen, it lies elsewhere, is too large, or cannot be segmented.
        """
        if not path:
            raise InputError("choose an image first: drop a file, or pick an example")
        file = self._file(path)
        chosen = parse_bands(bands) if bands and bands.strip() else None
        options = ReadOptions(bands=chosen, max_pixels=self.limits.pixels, max_picture=self.limits.pixels)
        read_header(file, options)
        return file, options

    def coordinates(self, path: str | os.PathLike[str] | None, bands: str | None = None) -> str:
        """Where an upload says that it was taken; "" where it says nothing, or cannot be segmented."""
        try:
            return coordinates_of_file(*self.upload(path, bands))
        except InputError:
            return ""

    def _file(self, path: str | os.PathLike[str]) -> Path:
        """A file that was uploaded here and is not too large."""
        file, root = Path(path).resolve(), self.uploads.resolve()
        if not file.is_relative_to(root) or file.is_relative_to(self.results.resolve()) or not file.is_file():
            raise InputError(f"{Path(path).name}: was not uploaded here, or is no longer kept; upload it again")
        if file.stat().st_size > self.limits.bytes:
            raise InputError(
                f"{file.name}: {_megabytes(file.stat().st_size)} are more than the {_megabytes(self.limits.bytes)} allowed"
            )
        return file

    def _partner(self, beside: Beside) -> Path | None:
        """The uploaded SAR file, if there is one, its size checked."""
        if not beside.sar:
            return None
        file = self._file(beside.sar)
        with open_raster(os.fspath(file)) as dataset:
            if dataset.width * dataset.height > self.limits.pixels:
                raise InputError(
                    f"{file.name}: {dataset.width} x {dataset.height} pixels are more than the {self.limits.pixels:,} allowed; "
                    "cut it, or use the command line"
                )
        return file

    def segment(
        self,
        guest: str,
        upload: str | os.PathLike[str] | None,
        vocabulary: Vocabulary | Sentence,
        threshold: float | None = None,
        bands: str | None = None,
        progress: Progress | None = None,
        beside: Beside = Beside(),  # noqa: B008 - it is frozen
    ) -> Result:
        """Segment an upload and keep the files for the guest, in place of those from before.

        Args:
            guest: any text that tells guests apart; never part of a path.
            threshold: confidence below which a pixel is background, where that is given by words.
            beside: a SAR partner, a description and a place, for models that read them.

        Raises:
            OvrsError: see :meth:`upload` and :meth:`ovrs.Segmenter.segment`.
        """
        path, options = self.upload(upload, bands)
        self._check(vocabulary)
        if self.segmenter.reads_places:
            options = replace(options, climate=beside.climate(coordinates_of_file(path, options)))
        more = {"sar": self._partner(beside), "description": beside.description or None, "progress": progress}
        folder = self._new_folder(guest)
        try:
            result = self._work(path, folder, vocabulary, threshold, replace(options, sar=beside.options), more)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        with self._lock:
            present = self._guests.get(guest)
            if present is not None and present.folder == folder:
                present.result, present.seen = result, self.clock()
                return result
        shutil.rmtree(folder, ignore_errors=True)
        raise OutputError("the page was closed before the map was ready")

    def result(self, guest: str) -> Result:
        """The last result of a guest.

        Raises:
            InputError: there is none, or it is no longer kept.
        """
        with self._lock:
            found = self._guests.get(guest)
            if found is None or found.result is None:
                raise InputError("there is no map any more; segment the image again")
            found.seen = self.clock()
            return found.result

    def leave(self, guest: str) -> None:
        """Remove all that is kept for a guest."""
        with self._lock:
            found = self._guests.pop(guest, None)
        if found is not None:
            shutil.rmtree(found.folder, ignore_errors=True)

    def _check(self, asked: Vocabulary | Sentence) -> None:
        names, allowed = len(asked.names), self.limits.names * _WORDS_PER_NAME
        words = len(asked.rows) if isinstance(asked, Vocabulary) else 1 + len(asked.others or ())
        if names > self.limits.names:
            raise VocabularyError(f"{names} names are more than the {self.limits.names} allowed; leave some out")
        if words > allowed:
            raise VocabularyError(f"{words} words are more than the {allowed} allowed; leave some out")

    def _new_folder(self, guest: str) -> Path:
        """An empty folder for the next result; what was kept for the guest, and for guests long idle, is removed."""
        now = self.clock()
        with self._lock:
            waiting = {name: now - other.seen for name, other in self._guests.items() if other.result is not None}
        idle = {name for name, seconds in waiting.items() if seconds > self.limits.idle}
        for name in idle | {guest}:
            self.leave(name)
        folder = self.results / secrets.token_hex(16)
        folder.mkdir(parents=True)
        with self._lock:
            self._guests[guest] = _Guest(folder, now)
        return folder

    def _work(
        self,
        path: Path,
        folder: Path,
        vocabulary: Vocabulary | Sentence,
        threshold: float | None,
        options: ReadOptions,
        more: dict[str, Any],
    ) -> Result:
        stem = safe_stem(path.name)
        segment = partial(self.segmenter.segment, path, vocabulary, confidence_threshold=threshold, options=options, **more)
        if read_header(path, options).has_crs:
            target = Target.of(folder / f"{stem}.classes.tif", probabilities=True, overlay=True)
            result = segment(output=folder / target.names["labels"], probabilities=True, overlay=True)
            files = {kind: folder / name for kind, name in target.names.items()}
        else:
            result = segment(probabilities=True)
            maps = result.maps
            assert isinstance(maps, UnitMaps)  # for nothing was written
            files = Target.of(folder / "scores" / "map.tif", probabilities=True).write(result, maps)
            Target.of(folder / f"{stem}.classes.png", overlay=True).write(result, maps)
        vectors, reason = None, "the image has no coordinate reference system, so its polygons would lie nowhere"
        if result.place.crs is not None:
            vectors, reason = folder / f"{stem}.gpkg", ""
            try:
                result.to_vector(vectors)
            except InputError as error:  # the optional packages are missing
                vectors, reason = None, str(error)
        raster = folder / f"{stem}.classes.{'png' if result.place.crs is None else 'tif'}"
        read = [result.grounding.report] if isinstance(result, Referred) else []
        read += [f"read without {lacked}" for name, lacked in result.provenance if name == "LACKED"]
        read += [f"{said}; tick One sentence for the mask of one alone" for name, said in result.provenance if name == "WORDS"]
        told = () if result.whereabouts is None else result.whereabouts.lines
        overlay = folder / f"{stem}.overlay.png"
        return Result(Screen.of(result, files), raster, overlay, vectors, reason, "\n".join(read), told)


def safe_stem(name: str) -> str:
    """What the names of the results of an uploaded file begin with: letters, digits, dots, hyphens and underscores."""
    stem = re.sub(r"[^\w.-]+", "_", Path(name).stem, flags=re.ASCII).strip("._-")
    return stem[:_STEM_LENGTH] or "image"


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.0f} MB"
