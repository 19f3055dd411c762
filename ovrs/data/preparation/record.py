"""What a preparation leaves beside its tiles: ``preparation.json`` (see there), and ``tiles.jsonl``: which image gave which."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path

from ovrs.data.captions import TEXT_SUFFIX
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
        beside = (self._partner_folders(split) for split in recipe.data.splits)
        made_in = [*chain.from_iterable(self.places.values()), *(place for places in beside for place in places if place)]
        super().__init__(folder, recipe.description(), made_in, [JOURNAL])

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

    def partner_files(self, split: Split, name: str) -> tuple[Path | None, Path | None]:
        """The SAR and the text of a tile; None what the data set has not."""
        sar, texts = self._partner_folders(split)
        ending = self._recipe.layout(split).sar_suffixes
        return sar and sar / f"{name}{ending[0]}", texts and texts / f"{name}{TEXT_SUFFIX}"

    def _partner_folders(self, split: Split) -> tuple[Path | None, Path | None]:
        layout = self._recipe.layout(split)
        sar, texts = (self._root / place if place else None for place in (layout.sar, layout.descriptions))
        return sar, texts

    def _is_whole(self, split: Split, name: str) -> bool:
        sar, text = self.partner_files(split, name)
        pictures = (*self.tile_files(split, name), *([sar] if sar else []))
        return all(is_whole(path) for path in pictures) and (text is None or text.is_file())

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
            if key in wanted and all(self._is_whole(done.split, name) for name in done.tiles):
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
