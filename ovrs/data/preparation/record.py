"""What a preparation leaves beside its tiles: ``preparation.json`` says what was made of what, ``tiles.jsonl`` of which image.

Neither holds a date: the same source and recipe give the same files.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ovrs.data.preparation.images import is_whole
from ovrs.data.preparation.recipe import Pair, Recipe
from ovrs.data.preparation.source import PREPARED
from ovrs.data.table import Split
from ovrs.errors import DataError, OutputError
from ovrs.files import written_whole

JOURNAL = "tiles.jsonl"


@dataclass(frozen=True)
class Done:
    """One image that is cut: the names of its tiles, how many were dropped, and the pixels of each label (ignored last)."""

    split: Split
    image: str
    tiles: tuple[str, ...]
    dropped: int
    pixels: tuple[int, ...]


class Record:
    """The record of one data set's folder.

    Args:
        folder: the data set's folder.
        recipe: what is being made; its layouts say where tiles are.
        root: the root of all data sets.
    """

    def __init__(self, folder: Path, recipe: Recipe, root: Path) -> None:
        self.folder = folder
        self._recipe = recipe
        self._root = root

    @property
    def places(self) -> dict[Split, tuple[Path, Path]]:
        """The folders of images and masks of each split."""
        layouts = {split: self._recipe.layout(split) for split in self._recipe.data.splits}
        return {split: (self._root / at.images, self._root / at.masks) for split, at in layouts.items()}

    def tile_files(self, split: Split, name: str) -> tuple[Path, Path]:
        """The image and the mask of a tile."""
        layout = self._recipe.layout(split)
        images, masks = self.places[split]
        return images / f"{name}{layout.image_suffix}", masks / f"{name}{layout.mask_suffix}"

    def read(self) -> dict[str, Any]:
        """The record as it stands; empty if there is none. Raises DataError where it cannot be read."""
        path = self.folder / PREPARED
        if not path.is_file():
            return {}
        try:
            record = json.loads(path.read_text())
            if not isinstance(record, dict):
                raise ValueError("not an object")
        except (OSError, ValueError) as error:
            raise DataError(f"{path}: cannot be read ({error}); start anew with --force") from error
        return record

    def check(self, sources: Sequence[dict[str, Any]]) -> None:
        """Raise DataError if the folder holds tiles of another recipe or source, or of another hand."""
        record = self.read()
        if not record:
            if self._foreign():
                raise DataError(
                    f"{self.folder}: holds tiles that no preparation of ours recorded; "
                    "move the folder away, or give another --output"
                )
            return
        before, now = record.get("recipe", {}), _plain(self._recipe.description())
        changed = [f"{key}: {before.get(key)}, now {now.get(key)}" for key in before | now if before.get(key) != now.get(key)]
        if not changed and _contents(record.get("sources", [])) != _contents(sources):
            changed = ["other archives: " + ", ".join(entry["name"] for entry in sources)]
        if changed:
            raise DataError(
                f"{self.folder}: was prepared in another way ({'; '.join(changed)}); "
                "start anew with --force, or give another --output"
            )

    def clear(self) -> None:
        """Remove tiles and records of an earlier preparation, and nothing else: tiles of another hand stay."""
        if not (self.folder / PREPARED).is_file():
            return
        for folders in self.places.values():
            for folder in folders:
                shutil.rmtree(folder, ignore_errors=True)
        for name in (JOURNAL, PREPARED):  # the record last: an interrupted clearing is still ours
            (self.folder / name).unlink(missing_ok=True)

    def write(self, content: dict[str, Any]) -> None:
        """Write ``preparation.json``."""
        with written_whole(self.folder / PREPARED) as temporary:
            temporary.write_text(json.dumps(content, indent=2) + "\n")

    def append(self, done: Done) -> None:
        """Note an image that is cut, at once: an interrupted run goes on after it. Raises OutputError where it cannot."""
        path = self.folder / JOURNAL
        try:
            with path.open("a") as file:
                file.write(json.dumps(asdict(done)) + "\n")
        except OSError as error:
            raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from error

    def rewrite(self, entries: Iterable[Done]) -> None:
        """Write the notes anew, in order of split and image."""
        with written_whole(self.folder / JOURNAL) as temporary:
            ordered = sorted(entries, key=lambda done: (done.split, done.image))
            temporary.write_text("".join(json.dumps(asdict(done)) + "\n" for done in ordered))

    def finished(self, pairs: Iterable[Pair]) -> dict[tuple[Split, str], Done]:
        """The images among ``pairs`` that are cut and whose tiles are all there and whole, by split and stem."""
        wanted = {(pair.split, pair.stem) for pair in pairs}
        result = {}
        for done in self._notes():
            key = (done.split, done.image)
            if key in wanted and all(is_whole(path) for name in done.tiles for path in self.tile_files(done.split, name)):
                result[key] = done
        return result

    def _notes(self) -> list[Done]:
        path = self.folder / JOURNAL
        notes = []
        for line in path.read_text().splitlines() if path.is_file() else []:
            try:
                entry = json.loads(line)
                notes.append(Done(**entry | {"tiles": tuple(entry["tiles"]), "pixels": tuple(entry["pixels"])}))
            except (ValueError, TypeError, KeyError):
                continue  # the line at which a run was interrupted
        return notes

    def _foreign(self) -> bool:
        folders = [folder for pair in self.places.values() for folder in pair if folder.is_dir()]
        return any(not path.name.startswith(".") for folder in folders for path in folder.iterdir())


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value))


def _contents(sources: Iterable[dict[str, Any]]) -> list[str]:
    """What archives hold, whatever they are called and wherever they are."""
    return sorted(str(entry.get("sha256") or (entry["files"], entry["bytes"])) for entry in sources)
