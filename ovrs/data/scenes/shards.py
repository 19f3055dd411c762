"""Many scenes: drawn on the fly by any worker, or written to a folder."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from ovrs.data.scenes.classes import SCENE_CLASSES
from ovrs.data.scenes.scene import Scene, draw_scene
from ovrs.errors import OutputError
from ovrs.files import written_whole


def scene_shard(seed: int, start: int, stop: int, *, worker: int = 0, workers: int = 1, **options: Any) -> Iterator[Scene]:
    """Draw the scenes ``start`` to ``stop - 1`` of a series, or one worker's share of them.

    Worker ``w`` of ``n`` draws ``start + w``, ``start + w + n`` and so on; what a scene looks like depends on seed, index and
    options alone, so the workers together draw what one would.

    Args:
        seed: of the series.
        start, stop: the range of indices.
        worker, workers: which share, ``0 <= worker < workers``.
        options: size, gsd, clouds, regional and places, as :func:`draw_scene` takes them.

    Raises:
        ValueError: a worker outside its range, or what :func:`draw_scene` refuses.
    """
    if not 0 <= worker < workers:
        raise ValueError(f"worker {worker} of {workers}: choose from 0 to {workers - 1}")
    for index in range(start + worker, stop, workers):
        yield draw_scene(seed, index, **options)


def write_scenes(folder: Path, seed: int, start: int, stop: int, **options: Any) -> Path:
    """Write scenes to a folder; those that are there already are left alone, so it can be interrupted and called again.

    Files, by index: PNG in ``images/`` (RGB), ``labels/`` (the classes' indices), ``instances/`` (16 bit), ``sar/`` (the 8-bit
    view) and, with clouds, ``cloudy/`` (RGB); JSON in ``records/`` (place, time, description, expressions and the number of
    the instance each means). ``series.json`` says what was drawn, and ``scenes.jsonl`` holds all records, a line each.

    Args:
        folder: where to.
        seed, start, stop: as for :func:`scene_shard`.
        options: size, gsd, clouds, regional and places, as :func:`draw_scene` takes them.

    Returns:
        The path of ``scenes.jsonl``.

    Raises:
        OutputError: the folder holds another series, or cannot be written.
    """
    folder = Path(folder)
    series = {"seed": seed, **options, "classes": [cls.name for cls in SCENE_CLASSES], "synthetic": True}
    header = folder / "series.json"
    if header.is_file() and json.loads(header.read_text()) != json.loads(json.dumps(series)):
        raise OutputError(f"{header} names another series than {json.dumps(series)}; choose another folder or remove this one")
    if not header.is_file():
        with written_whole(header) as path:
            path.write_text(json.dumps(series, indent=1) + "\n")
    for index in tqdm(range(start, stop), desc="scenes", unit="scene"):
        if not (folder / "records" / f"{index:06d}.json").is_file():
            _write(folder, draw_scene(seed, index, **options))
    lines = [path.read_text().strip() for path in sorted((folder / "records").glob("*.json"))]
    with written_whole(folder / "scenes.jsonl") as path:
        path.write_text("\n".join(lines) + "\n")
    return folder / "scenes.jsonl"


def record(scene: Scene) -> dict[str, Any]:
    """What a scene's files do not show, as JSON holds it."""
    return {
        "index": scene.index,
        "seed": scene.seed,
        "kind": scene.kind,
        "gsd": scene.gsd,
        "crs": scene.crs,
        "transform": scene.transform,
        "lon": scene.setting.lon,
        "lat": scene.setting.lat,
        "climate": scene.setting.climate,
        "month": scene.setting.month,
        "season": scene.setting.season,
        "description": scene.description,
        "instances": [{"number": thing.number, "class": SCENE_CLASSES[thing.label].name} for thing in scene.things],
        "expressions": [
            {"sentence": found.sentence, "instance": found.instance, "positional": found.positional}
            for found in scene.expressions
        ],
        **({"regional": True} if scene.regional else {}),
        "synthetic": True,
    }


def _write(folder: Path, scene: Scene) -> None:
    """One scene; its record last, since that says that the rest is there."""
    pictures: dict[str, NDArray[Any]] = {
        "images": scene.image[..., ::-1],
        "labels": scene.labels,
        "instances": scene.instances.astype(np.uint16),
        "sar": scene.sar_view,
    }
    if scene.clouds:
        pictures["cloudy"] = scene.cloudy[..., ::-1]
    for name, picture in pictures.items():
        with written_whole(folder / name / f"{scene.index:06d}.png") as path:
            path.write_bytes(cv2.imencode(".png", picture)[1].tobytes())
    with written_whole(folder / "records" / f"{scene.index:06d}.json") as path:
        path.write_text(json.dumps(record(scene)) + "\n")
