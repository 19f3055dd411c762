"""Many scenes with one set of words: each is a job of its own, recorded when it is done, so that any of them can be left out.

The record of a scene is a JSON file under ``OUTPUT/.records``. A run that is told to resume leaves out what is recorded as done
with the same image, model, words and options, and whose files are still there. Several processes may share an output folder:
each takes its own part of the scenes (:mod:`ovrs.inference.processes`).
"""

from __future__ import annotations

import csv
import json
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal

from ovrs.errors import InputError, OvrsError
from ovrs.files import written_whole
from ovrs.inference.addresses import version_of
from ovrs.inference.reading import ReadOptions
from ovrs.inference.sar_options import Modalities
from ovrs.inference.segmentation import Segmentation
from ovrs.inference.segmenter import Segmenter
from ovrs.inference.sentence import Sentence
from ovrs.inference.sources import Source
from ovrs.inference.vectors import VectorOptions
from ovrs.inference.whereabouts import state_told
from ovrs.vocabulary import Vocabulary

RECORDS = ".records"
SUMMARY = "summary.csv"


@dataclass(frozen=True)
class Job:
    """What is done with every scene; it can be sent to another process.

    Attributes:
        output: folder of all results.
        vocabulary: the words, or a sentence.
        threshold: confidence below which a pixel is background, with a background of words.
        description: what is said of every scene; None leaves what the vocabulary says.
        modalities: whether a scene with a SAR partner is mapped from both, or from one of them alone.
        read: how files are read.
        probabilities: also write the scores of all classes of a GeoTIFF.
        vectors: also write a GeoTIFF's polygons, as ``gpkg``, ``geojson`` or ``parquet``.
        vector_options: which polygons.
        cog: cloud-optimised GeoTIFFs.
        resume: leave out scenes that are done, and go on with those that were begun.
        recorded: keep a record of each scene; a single image needs none.
    """

    output: Path
    vocabulary: Vocabulary | Sentence
    threshold: float | None = None
    description: str | None = None
    modalities: Modalities = "both"
    read: ReadOptions = field(default_factory=ReadOptions)
    probabilities: bool = False
    vectors: Literal["gpkg", "geojson", "parquet"] | None = None
    vector_options: VectorOptions = field(default_factory=VectorOptions)
    cog: bool = False
    resume: bool = False
    recorded: bool = True

    def names_of(self, source: Source) -> list[str]:
        """The names of all files that may be written for a scene."""
        compared = source.sar is not None and self.modalities == "both"
        names = [*source.results, *([source.picture] if compared else [])]
        if source.has_crs:
            names += [f"{source.results[0]}.aux.xml", f"{source.stem}.probabilities.tif"]
            names += [f"{source.stem}.{self.vectors}"] if self.vectors is not None else []
        return names


@dataclass(frozen=True)
class Record:
    """What became of one scene.

    Attributes:
        scene: its path.
        status: ``done``, ``failed``, or ``kept`` where it was done before.
        identity: all that its results depend on.
        files: the results, relative to the output folder.
        seconds: how long it took.
        pixels: size of the image, width x height.
        shares: share of the valid pixels by class, 0..1.
        areas: square metres by class, None without a CRS.
        error: why it failed.
        sentence: what was asked, where it was no words.
        modalities: which of the image and its SAR partner were read; "" without a partner.
        zone: the climate zone where the image was taken, for a model that reads places; "" where that is not known.
    """

    scene: str
    status: Literal["done", "failed", "kept"]
    identity: str = ""
    files: tuple[str, ...] = ()
    seconds: float = 0.0
    pixels: int = 0
    shares: dict[str, float] = field(default_factory=dict)
    areas: dict[str, float] | None = None
    error: str = ""
    sentence: str = ""
    modalities: str = ""
    zone: str = ""


def segment_scene(
    segmenter: Segmenter, source: Source, job: Job, progress: Callable[[int, int], None] | None = None
) -> tuple[Record, Segmentation | None]:
    """Segment one scene, write its files and its record.

    Returns:
        The record, and the result unless the scene was left out.

    Raises:
        OvrsError: the scene cannot be read or its files cannot be written; that, and what nobody foresaw, is recorded too.
    """
    versions = " with SAR of ".join(map(version_of, source.files))
    told = state_told(segmenter.model, job.read.climate)
    identity = f"{segmenter.identity} {replace(job, output=Path(), resume=False)} {versions}; {told}"
    if job.recorded and job.resume and (kept := _kept(source, job, identity)) is not None:
        return kept, None
    record = Record(
        str(source.path),
        "done",
        identity,
        sentence=job.vocabulary.text if isinstance(job.vocabulary, Sentence) else "",
        modalities="" if source.sar is None else job.modalities,
    )
    start = time.monotonic()
    try:
        result = _segment(segmenter, source, job, progress)
    except Exception as error:
        kind = "" if isinstance(error, OvrsError) else f"{type(error).__name__}: "
        said = kind + " ".join(str(error).split())
        _write(replace(record, status="failed", error=said), source, job)
        raise
    record = replace(
        record,
        files=tuple(os.path.relpath(file, job.output) for file in result.files),
        seconds=round(time.monotonic() - start, 3),
        pixels=result.place.height * result.place.width,
        shares=result.shares(),
        areas=result.areas(),
        zone=zone_of(result),
    )
    _write(record, source, job)
    return record, result


def write_summary(output: Path, names: Iterable[str]) -> Path:
    """A line for each recorded scene and what was asked: status, seconds, pixels, share and area of every class, or why it
    failed.
    """
    names = list(names)
    path = output / SUMMARY
    header = [
        "scene",
        "sentence",
        "modalities",
        "zone",
        "status",
        "seconds",
        "pixels",
        *(f"share of {name}" for name in names),
        *(f"m2 of {name}" for name in names),
    ]
    with written_whole(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*header, "error"])
        for record in read_records(output):
            areas = record.areas or {}
            numbers = [*(record.shares.get(name, "") for name in names), *(areas.get(name, "") for name in names)]
            asked = [record.scene, record.sentence, record.modalities, record.zone]
            writer.writerow([*asked, record.status, record.seconds, record.pixels, *numbers, record.error])
    return path


def read_records(output: Path) -> list[Record]:
    """All records of an output folder, by scene and what was asked; what cannot be read is left out."""
    records = [_read(path) for path in sorted((output / RECORDS).glob("**/*.json"))]
    known = (record for record in records if record is not None)
    return sorted(known, key=lambda record: (record.scene, record.sentence, record.modalities))


def zone_of(result: Segmentation) -> str:
    """The code of the climate zone where the image was taken; "" where it is not known, or not asked for."""
    where = result.whereabouts
    return "" if where is None or where.zone is None else where.zone.code


def is_done(source: Source, job: Job) -> bool:
    """Whether a scene's record says so; where none is kept, a failure has ended the run."""
    record = _read(record_path(source, job))
    return not job.recorded or (record is not None and record.status != "failed")


def _segment(segmenter: Segmenter, source: Source, job: Job, progress: Callable[[int, int], None] | None) -> Segmentation:
    if source.refused:
        raise InputError(source.refused)
    return segmenter.segment(
        source.path,
        job.vocabulary,
        sar=source.sar,
        description=job.description,
        modalities=job.modalities,
        output=job.output / source.results[0],
        confidence_threshold=job.threshold,
        probabilities=job.probabilities and source.has_crs,
        overlay=True,
        vectors=job.vectors if source.has_crs else None,
        min_area=job.vector_options.min_area,
        simplify=job.vector_options.simplify,
        options=job.read,
        resume=job.resume,
        cog=job.cog,
        progress=progress,
    )


def _kept(source: Source, job: Job, identity: str) -> Record | None:
    """The record of a scene that is done as it would be now, and whose files are there."""
    record = _read(record_path(source, job))
    if record is None or record.status == "failed" or record.identity != identity:
        return None
    if not all((job.output / file).is_file() for file in record.files):
        return None
    return Record(**{**asdict(record), "status": "kept"})


def record_path(source: Source, job: Job) -> Path:
    """Where a scene is recorded."""
    return job.output / RECORDS / f"{source.stem}.json"


def _write(record: Record, source: Source, job: Job) -> None:
    if not job.recorded:
        return
    with written_whole(record_path(source, job)) as temporary:
        temporary.write_text(json.dumps(asdict(record), indent=1, ensure_ascii=False), encoding="utf-8")


def _read(path: Path) -> Record | None:
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        return Record(**{**entries, "files": tuple(entries["files"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None
