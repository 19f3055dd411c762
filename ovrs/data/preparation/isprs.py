"""What ISPRS's two data sets, Potsdam and Vaihingen, share: the colours of their labels, and how their files are found."""

from __future__ import annotations

import argparse
import re
from collections.abc import Collection, Sequence

import numpy as np

from ovrs.data.preparation.images import read_rgb
from ovrs.data.preparation.labels import LabelMap
from ovrs.data.preparation.recipe import Pair, paired, require
from ovrs.data.preparation.source import Member, Source, unique
from ovrs.data.table import DATA_SETS, IGNORE_LABEL
from ovrs.errors import DataError

# All colours are corners of the RGB cube: clutter is red, a boundary black; magenta is none of them.
_CLASSES = DATA_SETS["potsdam"].classes
_CLUTTER, _BOUNDARY = (255, 0, 0), (0, 0, 0)
_UNKNOWN = 254

# One tile of Potsdam (4_12) was published after a lossy compression, another (6_7) has cars of (252, 255, 0): a colour counts
# as the nearest corner, and a file in which many lie far from any is not a label map.
_NEAR = 64
_STRANGE_SHARE = 0.1


def _corners() -> LabelMap:
    """The label of each corner, by 4 red + 2 green + blue."""
    table = np.full(8, _UNKNOWN, np.uint8)
    colors = {cls.color: label for label, cls in enumerate(_CLASSES)} | {_CLUTTER: IGNORE_LABEL, _BOUNDARY: IGNORE_LABEL}
    for color, label in colors.items():
        assert color is not None  # ISPRS gives each class one
        table[sum((value > 0) << shift for value, shift in zip(color, (2, 1, 0), strict=True))] = label
    return table


_CORNERS = _corners()


def decode(data: bytes, name: str) -> LabelMap:
    """Labels [H, W] of a label map in ISPRS's colours: the five classes 0 to 4; clutter and boundaries 255.

    Raises:
        DataError: more than a tenth of the pixels is far from every colour; names the file and one of them.
    """
    pixels = read_rgb(data, name)
    red, green, blue = (pixels[..., band] >> 7 for band in range(3))
    labels = _CORNERS[red << 2 | green << 1 | blue]
    strange = (labels == _UNKNOWN) | (np.minimum(pixels, 255 - pixels) >= _NEAR).any(axis=2)
    if strange.mean() > _STRANGE_SHARE:
        color = tuple(int(value) for value in pixels[strange][0])
        raise DataError(
            f"{name}: {strange.mean():.0%} of the pixels have colours of no class, such as {color}; is this a label archive?"
        )
    labels[strange] = IGNORE_LABEL
    return labels


def options(parser: argparse.ArgumentParser) -> None:
    """Add the choice of the label archive."""
    parser.add_argument(
        "--labels",
        choices=("no-boundary", "all"),
        default="no-boundary",
        help="labels whose object boundaries (3 pixels wide) are ignored, or all labels (default: %(default)s)",
    )


def keyed(
    members: Sequence[Member], pattern: re.Pattern[str], wanted: Collection[str], what: str, source: Source
) -> dict[str, Member]:
    """The members whose name holds a key that is wanted (the pattern's first group), by that key.

    Raises:
        DataError: there are none.
    """

    def key(member: Member) -> str:
        match = pattern.search(member.name)
        return match[1] if match else ""

    found = unique((member for member in members if key(member) in wanted), key)
    require(found, what, source)
    return found


def split_pairs(images: dict[str, Member], labels: dict[str, Member], train: Collection[str]) -> list[Pair]:
    """Pairs by key, those of ``train`` in the training split and the others in the validation split."""
    pairs = paired("val", images, labels)
    return [Pair("train" if pair.stem in train else "val", pair.stem, pair.image, pair.labels) for pair in pairs]
