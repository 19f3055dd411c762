r"""Turn RefSegRS into PNG and JSON lines: 4,420 sentences for images of 512 x 512 pixels at 13 cm.

    python datasets/prepare_refsegrs.py --source downloads/refsegrs --output $DETECTRON2_DATASETS

What to download (https://huggingface.co/datasets/JessicaYuan/RefSegRS, 3 GB, CC BY 4.0):
  RefSegRS.zip   images/1.tif ..., masks/1.tif ... and output_phrase_{train,val,test}.txt

Each line of the three texts is a number and a sentence, "1 vehicle in the parking area": the image and the mask of that number.
Masks are of several things where the sentence means several ("all vehicles"). A mask's pixels above 50 count, as in public code
that trains on it; in masks of 0 and 1, those of 1. The owners give no category of a sentence: it is the first of the paper's
fourteen names in it. Layout and values were read in public code that uses the data; the archive could not be looked at.

Result: RefSegRS_refer/{train,val,test}.jsonl with images/ and masks/ (0 and 255).
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from ovrs.data.preparation.images import read_index
from ovrs.data.preparation.recipe import require
from ovrs.data.preparation.references import Found, ReferringRecipe, Thing
from ovrs.data.preparation.references_command import references_command
from ovrs.data.preparation.source import Member, Source, unique
from ovrs.data.referring.table import REFERRING_SPLITS, REFSEGRS
from ovrs.errors import DataError

CATEGORIES = (
    "road", "vehicle", "car", "van", "building", "truck", "trailer", "bus", "road marking", "bikeway", "sidewalk", "tree",
    "low vegetation", "impervious surface",
)  # fmt: skip
_NAMED = re.compile(rf"\b({'|'.join(sorted(CATEGORIES, key=len, reverse=True))})(?:e?s)?\b", re.IGNORECASE)
_THRESHOLD = 50


def find(source: Source) -> Found:
    """All sentences with their images and masks, by number. Raises DataError where one is missing."""
    images = unique(source.select(r"(?:.*/)?images/\d+\.tif"), lambda member: member.stem)
    masks = unique(source.select(r"(?:.*/)?masks/\d+\.tif"), lambda member: member.stem)
    require(images, "image (images/1.tif)", source)
    require(masks, "mask (masks/1.tif)", source)
    things: dict[str, Thing] = {}
    texts = []
    for split in REFERRING_SPLITS:
        found = unique(source.select(rf"(?:.*/)?output_phrase_{split}\.txt"), lambda member: member.name)
        require(found, f"sentences (output_phrase_{split}.txt)", source)
        text = next(iter(found.values()))
        texts.append(text)
        for place, number, sentence in _lines(text):
            if number not in images or number not in masks:
                raise DataError(
                    f"{place}: there is no {'mask' if number in images else 'image'} {number}.tif; is the archive whole?"
                )
            before = things.get(number)
            if before and before.split != split:
                raise DataError(f"{place}: image {number} is of {before.split} already; download the archive again")
            said = (*before.sentences, sentence) if before else (sentence,)
            things[number] = Thing(split, number, images[number], _mask(masks[number]), said, category_of(said[0]))
    return Found(list(things.values()), [*texts, *(masks[number] for number in things)])


def category_of(sentence: str) -> str | None:
    """The first of the paper's names in a sentence."""
    match = _NAMED.search(sentence)
    return match[1].lower() if match else None


def _lines(member: Member) -> Iterator[tuple[str, str, str]]:
    """Where each line stands, its number and its sentence."""
    try:
        text = member.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{member.shown}: is no UTF-8 text; download it again") from error
    for count, line in enumerate(text.split("\n"), 1):
        number, _, sentence = line.strip().partition(" ")
        if not number:
            continue
        if not number.isdecimal() or not sentence.strip():
            raise DataError(f"{member.shown}, line {count}: {line[:60]!r} is no number with a sentence")
        yield f"{member.shown}, line {count}", number, " ".join(sentence.split())


def _mask(member: Member) -> Callable[[int, int], NDArray[np.bool_]]:
    def read(height: int, width: int) -> NDArray[np.bool_]:
        values = read_index(member.read(), member.shown)
        return np.asarray(values > (_THRESHOLD if values.max() > 1 else 0))

    return read


def recipe(_: argparse.Namespace) -> ReferringRecipe:
    """The recipe; there are no options."""
    return ReferringRecipe(name="refsegrs", data=REFSEGRS, find=find)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0, or 2 with a line on standard error."""
    return references_command(__doc__ or "", recipe, arguments)


if __name__ == "__main__":
    sys.exit(main())
