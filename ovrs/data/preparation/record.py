"""What a preparation leaves beside its tiles: ``preparation.json`` (see there), and ``tiles.jsonl``: which image gave which."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path

from ovrs.data.preparation.images import is_whole
from ovrs.data.preparation.provenance import Provenance
from ovrs.data.preparation.recipe import Pair, Recipe
from ovrs.data.table import Split
from ovrs.errors import OutputError
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


class Record(Provenance):
    """The record of one data set's folder of tiles.

    Args:
        folder: the data set's folder.
        recipe: what is being made; its layouts say where tiles are.
        root: the root of all data sets.
    """

    def __init__(self, folder: Path, recipe: Recipe, root: Path) -> None:
        self._recipe = recipe
        self._root = root
        super().__init__(folder, recipe.description(), chain.from_iterable(self.places.values()), [JOURNAL])

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
