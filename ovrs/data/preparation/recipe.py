"""A recipe: which files of a source are an image and its labels, how both are read, and how they are cut."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ovrs.data.preparation.labels import Decoder
from ovrs.data.preparation.source import Member, Source
from ovrs.data.preparation.tiling import Tiling
from ovrs.data.table import DataSet, Layout, Split
from ovrs.errors import DataError


@dataclass(frozen=True)
class Pair:
    """An image, its label map, and the split they go to; tiles are named after ``stem``, which is unique in its split.

    Attributes:
        sar: the file whose band ``sar_band`` (from 1) is its SAR; None in data sets without.
        description: a text about it; None where there is none.
    """

    split: Split
    stem: str
    image: Member
    labels: Member
    sar: Member | None = None
    sar_band: int = 1
    description: Member | None = None

    @property
    def members(self) -> tuple[Member, ...]:
        """All files that it is made of."""
        return tuple(member for member in (self.image, self.labels, self.sar, self.description) if member is not None)


@dataclass(frozen=True)
class Recipe:
    """All that tells one data set's preparation from another's.

    Attributes:
        name: what the recipe is called in its record; change it when the same parameters come to give other tiles.
        data: the row of the table; says where tiles go and in which format.
        pairs: finds the images and label maps of a source.
        decode: label map bytes into labels 0..N-1 and 255.
        tiling: how images are cut.
        parameters: whatever else decides the result; kept in the record.
        trim: pixels by which the sides of an image and its label map may differ; both are cut to what they share.
        note: sentences for the record and the terminal: how the recipe was chosen.
    """

    name: str
    data: DataSet
    pairs: Callable[[Source], Sequence[Pair]]
    decode: Decoder
    tiling: Tiling
    parameters: Mapping[str, Any] = field(default_factory=dict)
    trim: int = 0
    note: str = ""

    @property
    def published(self) -> Mapping[Split, int]:
        """Tiles of each split in the papers, where they say."""
        return self.data.expected_counts

    def layout(self, split: Split) -> Layout:
        """Where the files of a split go, relative to the root of all data sets."""
        layout = self.data.splits[split]
        assert isinstance(layout, Layout), f"{self.data.name} has no files"
        return layout

    @property
    def folder(self) -> Path:
        """The data set's folder, relative to the root of all data sets."""
        return Path(self.layout(next(iter(self.data.splits))).images.split("/")[0])

    def description(self) -> dict[str, Any]:
        """What decides the tiles, as it is recorded; equal descriptions of equal sources give equal tiles."""
        tiling = asdict(self.tiling) | {"stride": self.tiling.stride or self.tiling.size}
        return {"name": self.name, "data": self.data.name, "tiling": tiling, "trim": self.trim, **self.parameters}


def paired(split: Split, images: Mapping[str, Member], labels: Mapping[str, Member]) -> list[Pair]:
    """Pairs of the images and label maps that share a key, which names their tiles; in the order of the keys.

    Raises:
        DataError: an image has no label map or a label map no image; names the first and says how many.
    """
    for one, other, kind, lacking in ((images, labels, "image", "label map"), (labels, images, "label map", "image")):
        alone = sorted(set(one) - set(other))
        if alone:
            raise DataError(
                f"{split}: {len(alone)} of {len(one)} {kind}s have no {lacking}, the first being {one[alone[0]].shown}; "
                "is an archive missing? (--help lists them)"
            )
    return [Pair(split, key, images[key], labels[key]) for key in sorted(images)]


def drawn_split(pairs: Sequence[Pair], count: int, seed: int) -> list[Pair]:
    """The pairs with ``count`` of them, drawn by a seed from their order, to train, and the rest to validate."""
    chosen = set(np.random.default_rng(seed).permutation(len(pairs))[:count].tolist())
    return [replace(pair, split="train" if place in chosen else "val") for place, pair in enumerate(pairs)]


def require(members: Sequence[Member] | Mapping[str, Member], what: str, source: Source) -> None:
    """Raise DataError with the way out if there are none of ``members``, which are called ``what``."""
    if not members:
        raise DataError(f"{source.root}: no {what} found; --help says which archives are needed and where they are")


def checked_stems(pairs: Iterable[Pair]) -> None:
    """Raise DataError if two pairs of one split would write the same files."""
    seen: dict[tuple[Split, str], Pair] = {}
    for pair in pairs:
        other = seen.setdefault((pair.split, pair.stem), pair)
        if other is not pair:
            raise DataError(f"{pair.image.shown} and {other.image.shown} would both be written as {pair.stem!r}; keep one")
