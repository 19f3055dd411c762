"""Preparing a referring data set: its images, a mask of each thing that is referred to, and a line for each in JSON."""

from __future__ import annotations

import functools
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ovrs.data.preparation.images import is_whole, read_rgb, write_tile
from ovrs.data.preparation.provenance import Provenance
from ovrs.data.preparation.source import Member, Source
from ovrs.data.preparation.threads import in_threads
from ovrs.data.preparation.workplace import workplace
from ovrs.data.referring.table import ReferenceFile, ReferringSet, ReferringSplit
from ovrs.errors import DataError
from ovrs.files import written_whole

IMAGES, MASKS = "images", "masks"
_COPIED = (".jpg", ".jpeg", ".png")


@dataclass(frozen=True)
class Thing:
    """One thing of one image, and what is said of it.

    Attributes:
        split: where it goes.
        name: unique in its split; its mask is called so.
        image: the image's file.
        mask: its pixels, bool [h, w], of an image of so many pixels (height, width); its size may differ a little.
        sentences: what is said of it, one or more.
        category: its class, where the owner says so.
    """

    split: ReferringSplit
    name: str
    image: Member
    mask: Callable[[int, int], NDArray[np.bool_]]
    sentences: tuple[str, ...]
    category: str | None = None


@dataclass(frozen=True)
class Found:
    """What a source holds: the things, the files they come from apart from the images, and how many lack their image."""

    things: Sequence[Thing]
    annotations: Sequence[Member]
    without_image: int = 0


@dataclass(frozen=True)
class ReferringRecipe:
    """All that tells one data set's preparation from another's.

    Attributes:
        name: what the recipe is called in its record; change it when the same parameters come to give other files.
        data: the row of the table; says where the lines go.
        find: finds the things of a source.
        parameters: whatever else decides the result; kept in the record.
        note: sentences for the record and the terminal.
    """

    name: str
    data: ReferringSet
    find: Callable[[Source], Found]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""

    @property
    def folder(self) -> Path:
        """The data set's folder, relative to the root of all data sets."""
        return self.lines(next(iter(self.data.splits))).parent

    def lines(self, split: ReferringSplit) -> Path:
        """The file of a split, relative to the root of all data sets."""
        place = self.data.splits[split]
        assert isinstance(place, ReferenceFile), f"{self.data.name} has no files"
        return Path(place.path)

    def description(self) -> dict[str, Any]:
        """What decides the result, as it is recorded."""
        return {"name": self.name, "data": self.data.name, **self.parameters}


@dataclass(frozen=True)
class Written:
    """One thing that is written: its line, and whether its mask had another size than its image."""

    split: ReferringSplit
    line: dict[str, Any]
    stretched: bool


@dataclass(frozen=True)
class ReferringOutcome:
    """The result: counts of each split, masks brought to the size of their image, things left out, and what was written now."""

    references: Counter[ReferringSplit]
    sentences: Counter[ReferringSplit]
    stretched: int
    without_image: int
    written: int


def prepare_references(
    recipe: ReferringRecipe, source: Path, output: Path, workers: int = 4, force: bool = False
) -> ReferringOutcome:
    """Make a data set's images, masks and lines; go on where an interrupted run ended, and do nothing where all is there.

    Args:
        recipe: what to make.
        source: the folder (or archive) with what was downloaded.
        output: the root of all data sets.
        workers: threads that read and write.
        force: remove what an earlier preparation left, and start anew.

    Raises:
        DataError: the source is not as its owner publishes it, the output holds another preparation, or is being prepared.
        OutputError: the output cannot be written.
    """
    folder = output / recipe.folder
    names = [recipe.lines(split).name for split in recipe.data.splits]
    record = Provenance(folder, recipe.description(), [folder / IMAGES, folder / MASKS], names)
    with workplace(folder, record.made_in) as scratch, Source(source, scratch) as files:
        found = find_things(recipe, files)
        if force:
            record.clear()
        used = {*found.annotations, *(thing.image for thing in found.things)}
        described = files.describe(used, record.read().get("sources", []))
        record.check(described)
        content: dict[str, Any] = {"recipe": recipe.description(), "note": recipe.note, "sources": described}
        before = record.read()
        if before.get("complete") and _all_there(folder, found.things, names):
            return _outcome(before["counts"], found, written=0)
        record.write({**content, "complete": False})
        work = functools.partial(_write, folder)
        done = list(in_threads(work, found.things, workers, title=recipe.data.title, unit="thing"))
        for split in recipe.data.splits:
            _write_lines(output / recipe.lines(split), [entry.line for entry in done if entry.split == split])
        counts = _counts(done)
        record.write({**content, "complete": True, "counts": counts, "published": dict(recipe.data.expected_counts)})
    return _outcome(counts, found, written=len(done))


def find_things(recipe: ReferringRecipe, source: Source) -> Found:
    """The recipe's things, checked: there are some of each split, and no two masks would be one file.

    Raises:
        DataError: there are none, or two share a name.
    """
    found = recipe.find(source)
    for split in recipe.data.splits:
        if not any(thing.split == split for thing in found.things):
            raise DataError(f"{source.root}: no reference of {split} found; --help says which files are needed")
    seen: dict[str, Thing] = {}
    for thing in found.things:
        if seen.setdefault(thing.name, thing) is not thing:
            raise DataError(f"{recipe.data.title}: two references are called {thing.name!r}, of {thing.image.shown}")
    return found


def _image_name(image: Member) -> str:
    suffix = Path(image.name).suffix.lower()
    return image.name if suffix in _COPIED else f"{image.stem}.png"


def _write(folder: Path, thing: Thing) -> Written:
    data = thing.image.read()
    pixels = read_rgb(data, thing.image.shown)  # whether or not it is copied: a damaged one must not go unseen
    image, mask_file = folder / IMAGES / _image_name(thing.image), folder / MASKS / f"{thing.name}.png"
    if not image.is_file() and image.name == thing.image.name:
        with written_whole(image) as temporary:
            temporary.write_bytes(data)
    elif not image.is_file():
        write_tile(image, pixels)
    height, width = pixels.shape[:2]
    mask = thing.mask(height, width)
    stretched = mask.shape != (height, width)
    if not is_whole(mask_file):
        own = Image.fromarray(mask.astype(np.uint8) * 255)
        write_tile(mask_file, np.asarray(own.resize((width, height), Image.Resampling.NEAREST) if stretched else own))
    said = {"sentence": thing.sentences[0]} if len(thing.sentences) == 1 else {"sentences": list(thing.sentences)}
    line = {"id": thing.name, "image": f"{IMAGES}/{image.name}", "mask": f"{MASKS}/{mask_file.name}", **said}
    return Written(thing.split, line | ({"category": thing.category} if thing.category else {}), stretched)


def _write_lines(path: Path, lines: Sequence[dict[str, Any]]) -> None:
    with written_whole(path) as temporary:
        ordered = sorted(lines, key=lambda line: line["id"])
        temporary.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in ordered), encoding="utf-8")


def _all_there(folder: Path, things: Sequence[Thing], names: Sequence[str]) -> bool:
    return all((folder / name).is_file() for name in names) and all(
        (folder / IMAGES / _image_name(thing.image)).is_file() and is_whole(folder / MASKS / f"{thing.name}.png")
        for thing in things
    )


def _counts(done: Sequence[Written]) -> dict[str, Any]:
    splits = sorted({entry.split for entry in done})
    return {
        "references": {split: sum(entry.split == split for entry in done) for split in splits},
        "sentences": {
            split: sum(len(entry.line.get("sentences", [1])) for entry in done if entry.split == split) for split in splits
        },
        "stretched": sum(entry.stretched for entry in done),
    }


def _outcome(counts: dict[str, Any], found: Found, written: int) -> ReferringOutcome:
    references, sentences = Counter(counts["references"]), Counter(counts["sentences"])
    return ReferringOutcome(references, sentences, counts["stretched"], found.without_image, written)
