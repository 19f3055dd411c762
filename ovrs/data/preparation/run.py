"""The loop that every preparation shares: find the pairs, cut what is not yet cut, record, compare with the papers."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ovrs.data.preparation.images import is_whole, read_rgb, write_tile
from ovrs.data.preparation.partners import Partners
from ovrs.data.preparation.recipe import Pair, Recipe, checked_stems
from ovrs.data.preparation.record import Done, Record
from ovrs.data.preparation.source import Source
from ovrs.data.preparation.threads import in_threads
from ovrs.data.preparation.tiling import Tile, cut, is_labelled
from ovrs.data.preparation.workplace import workplace
from ovrs.data.table import IGNORE_LABEL, Split
from ovrs.errors import DataError


@dataclass(frozen=True)
class Counts:
    """What became of one split: images read, tiles kept and dropped, pixels of each class and those ignored."""

    images: int
    tiles: int
    dropped: int
    pixels: dict[str, int]


@dataclass(frozen=True)
class Outcome:
    """The result of a preparation: counts of each split, and how many images had to be cut (0: all was there)."""

    counts: dict[Split, Counts]
    cut: int


def prepare(recipe: Recipe, source: Path, output: Path, workers: int = 4, force: bool = False) -> Outcome:
    """Make a data set's tiles; go on where an interrupted run ended, and do nothing where all is there.

    Args:
        recipe: what to make.
        source: the folder (or archive) with what was downloaded.
        output: the root of all data sets.
        workers: threads that read, cut and write; each holds an image and its labels in memory.
        force: remove what an earlier preparation left, and start anew.

    Raises:
        DataError: the source is not as its owner publishes it, the output holds another preparation, or is being prepared.
        OutputError: the output cannot be written.
    """
    record = Record(output / recipe.folder, recipe, output)
    with workplace(record.folder, record.made_in) as scratch, Source(source, scratch) as files:
        pairs = find_pairs(recipe, files)
        if force:
            record.clear()
        used = (member for pair in pairs for member in pair.members)
        described = files.describe(used, record.read().get("sources", []))
        record.check(described)
        content: dict[str, Any] = {"recipe": recipe.description(), "note": recipe.note, "sources": described}
        finished = record.finished(pairs)
        waiting = [pair for pair in pairs if (pair.split, pair.stem) not in finished]
        if waiting:
            record.write({**content, "complete": False})
            record.rewrite(finished.values())  # without the line that a killed run left half written: more would be lost to it
        for done in in_threads(functools.partial(_cut_pair, recipe, record), waiting, workers, title=recipe.data.title):
            finished[done.split, done.image] = done
            record.append(done)
    counts = {split: _count(recipe, finished.values(), split) for split in recipe.data.splits}
    content |= {"complete": True, "counts": {split: vars(count) for split, count in counts.items()}}
    if waiting or not record.read().get("complete"):
        record.rewrite(finished.values())
        record.write({**content, "published": dict(recipe.published)})
    return Outcome(counts, len(waiting))


def find_pairs(recipe: Recipe, source: Source) -> Sequence[Pair]:
    """The recipe's pairs, checked: there are some, and no two share a name.

    Raises:
        DataError: there are none, or two share a name.
    """
    pairs = recipe.pairs(source)
    if not pairs:
        raise DataError(f"{source.root}: no images of {recipe.data.title} found; --help says which archives are needed")
    checked_stems(pairs)
    return pairs


def _cut_pair(recipe: Recipe, record: Record, pair: Pair) -> Done:
    image = read_rgb(pair.image.read(), pair.image.shown)
    labels = recipe.decode(pair.labels.read(), pair.labels.shown)
    image, labels = _of_one_size(recipe, pair, image, labels)
    partners = Partners(pair, labels.shape)
    names, dropped, pixels = [], 0, np.zeros(256, np.int64)
    for tile in cut(image, labels, recipe.tiling):
        if not is_labelled(tile.labels, recipe.tiling):
            dropped += 1
            continue
        names.append(_name(pair, tile, labels.shape))
        pixels += np.bincount(tile.labels.ravel(), minlength=256)
        _write(record.tile_files(pair.split, names[-1]), tile)
        partners.write(tile, *record.partner_files(pair.split, names[-1]))
    kept = [*pixels[: len(recipe.data.classes)].tolist(), int(pixels[IGNORE_LABEL])]
    return Done(pair.split, pair.stem, tuple(names), dropped, tuple(kept))


def _of_one_size(
    recipe: Recipe, pair: Pair, image: NDArray[np.uint8], labels: NDArray[np.uint8]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The image and its labels, cut to what they share if they differ by no more than the recipe allows."""
    differing = max(abs(a - b) for a, b in zip(image.shape[:2], labels.shape, strict=True))
    if differing > recipe.trim:
        raise DataError(
            f"{pair.labels.shown}: is {labels.shape[1]} x {labels.shape[0]} pixels, its image {pair.image.shown} "
            f"{image.shape[1]} x {image.shape[0]}; download both archives again"
        )
    height, width = (min(a, b) for a, b in zip(image.shape[:2], labels.shape, strict=True))
    return image[:height, :width], labels[:height, :width]


def _name(pair: Pair, tile: Tile, shape: tuple[int, ...]) -> str:
    """An image that is its own tile keeps its name."""
    return pair.stem if tile.labels.shape == shape else f"{pair.stem}_{tile.top:05d}_{tile.left:05d}"


def _write(files: tuple[Path, Path], tile: Tile) -> None:
    for path, pixels in zip(files, (tile.image, tile.labels), strict=True):
        if not is_whole(path):
            write_tile(path, pixels)


def _count(recipe: Recipe, entries: Iterable[Done], split: Split) -> Counts:
    chosen = [done for done in entries if done.split == split]
    names = [*recipe.data.vocabulary.names, "ignored"]
    pixels = [sum(column) for column in zip(*(done.pixels for done in chosen), strict=True)] or [0] * len(names)
    return Counts(
        images=len(chosen),
        tiles=sum(len(done.tiles) for done in chosen),
        dropped=sum(done.dropped for done in chosen),
        pixels=dict(zip(names, pixels, strict=True)),
    )
