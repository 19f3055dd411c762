r"""Turn RRSIS-D's annotations into masks and JSON lines: a sentence for one thing in each image of 800 x 800 pixels.

    python datasets/prepare_rrsisd.py --source downloads/rrsisd --output $DETECTRON2_DATASETS

What to download (https://github.com/Lsan2401/RMSIN gives the addresses; a folder offered in several zip files will do as is):
  rrsisd/refs(unc).p                    the sentences, as a pickle
  rrsisd/instances.json                 the masks, in COCO's notation, and the categories
  images/rrsisd/JPEGImages/00001.jpg    the images
  (images/rrsisd/ann_split, a file of XML for each image, is not needed)

The pickle is read once, by a reader of ours that knows lists, dicts, texts and numbers and refuses all else. A thing is found
as the authors' code finds it: a reference's ann_id, image_id and split, the raw text of its sentences, its category_id. A few
images are not 800 x 800 (800 x 787, 800 x 802), though their masks are; such a mask is brought to the size of its image, which
is what happens where both are resized to one square, as in the authors' code. Layout and keys were read in public code that
uses the data; the files themselves could not be looked at. The seven attributes that the paper speaks of are in none of the
files that this code reads: attributes are found in the words of the sentences, when they are read.

Result: RRSIS-D_refer/{train,val,test}.jsonl with images/ and masks/ (0 and 255).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ovrs.data.preparation.coco_masks import decoded_mask
from ovrs.data.preparation.plain_pickle import read_plain_pickle
from ovrs.data.preparation.recipe import require
from ovrs.data.preparation.references import Found, ReferringRecipe, Thing
from ovrs.data.preparation.references_command import references_command
from ovrs.data.preparation.source import Member, Source, unique
from ovrs.data.referring.table import REFERRING_SPLITS, RRSISD, ReferringSplit
from ovrs.errors import DataError


def find(source: Source, *, skip_missing: bool) -> Found:
    """All references. Raises DataError where a file is not as public code reads it, or images are missing."""
    refs = _only(source, r"(?:.*/)?refs\(unc\)\.p", "sentences (refs(unc).p)")
    instances = _only(source, r"(?:.*/)?instances\.json", "masks (instances.json)")
    images = unique(source.select(r"(?:.*/)?JPEGImages/[\w-]+\.jpe?g"), lambda member: member.name)
    require(images, "image (JPEGImages/00001.jpg)", source)
    annotations = Annotations(instances)
    things, missing = [], []
    for ref in _references(refs):
        file_name = annotations.file_name(ref)
        if file_name in images:
            things.append(annotations.thing(ref, images[file_name]))
        else:
            missing.append(file_name)
    if missing and not skip_missing:
        raise DataError(
            f"{source.root}: {len(missing):,} of {len(missing) + len(things):,} references have no image, the first being "
            f"{missing[0]!r}; download what is missing, or leave them out with --skip-missing"
        )
    return Found(things, [refs, instances], len(missing))


class Annotations:
    """The three tables of ``instances.json``."""

    def __init__(self, member: Member) -> None:
        self.shown = member.shown
        try:
            document = json.loads(member.read())
            self.images = _by_id(document["images"])
            self.annotations = _by_id(document["annotations"])
            self.categories = {key: str(entry["name"]) for key, entry in _by_id(document["categories"]).items()}
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise DataError(f"{member.shown}: is no file of COCO's form ({error!r}); download it again") from error

    def file_name(self, ref: dict[str, Any]) -> str:
        """The image that a reference is of."""
        image = self.images.get(ref["image_id"], {})
        if not isinstance(image.get("file_name"), str):
            raise DataError(f"{self.shown}: names no file for image {ref['image_id']}, which reference {ref['ref_id']} is of")
        return str(image["file_name"])

    def thing(self, ref: dict[str, Any], image: Member) -> Thing:
        """A reference with its mask and the name of its category."""
        annotation = self.annotations.get(ref["ann_id"])
        if annotation is None:
            raise DataError(f"{self.shown}: has no annotation {ref['ann_id']}, which reference {ref['ref_id']} is of")
        own = ref.get("category_id", annotation.get("categories_id", annotation.get("category_id")))
        if not isinstance(own, int) or own not in self.categories:
            raise DataError(f"{self.shown}: has no category {own!r}, which reference {ref['ref_id']} is of")
        return Thing(
            split=cast(ReferringSplit, ref["split"]),
            name=f"{ref['ref_id']:05d}",
            image=image,
            mask=self._mask(annotation, f"{self.shown}, annotation {ref['ann_id']}"),
            sentences=ref["said"],
            category=self.categories[own],
        )

    def _mask(self, annotation: dict[str, Any], name: str) -> Callable[[int, int], NDArray[np.bool_]]:
        return lambda height, width: decoded_mask(annotation.get("segmentation"), height, width, name)


def _references(member: Member) -> Iterator[dict[str, Any]]:
    """The references of the pickle, checked, each with its sentences under ``said``."""
    refs = read_plain_pickle(member.read(), member.shown)
    if not isinstance(refs, list) or not refs:
        raise DataError(f"{member.shown}: holds no list of references; download it again")
    for number, ref in enumerate(refs):
        place = f"{member.shown}, reference {number}"
        if not isinstance(ref, dict):
            raise DataError(f"{place}: is no dict; download it again")
        for key in ("ref_id", "ann_id", "image_id"):
            if type(ref.get(key)) is not int:
                raise DataError(f"{place}: {key} is {str(ref.get(key))[:60]!r}, expected a whole number")
        if ref.get("split") not in REFERRING_SPLITS:
            raise DataError(f"{place}: split is {str(ref.get('split'))[:60]!r}, expected {', '.join(REFERRING_SPLITS)}")
        yield {**ref, "said": _sentences(ref.get("sentences"), place)}


def _sentences(entries: Any, place: str) -> tuple[str, ...]:
    if not isinstance(entries, list) or not entries or not all(isinstance(entry, dict) for entry in entries):
        raise DataError(f"{place}: has no sentences")
    said = [entry.get("raw", entry.get("sent")) for entry in entries]
    if not all(isinstance(sentence, str) and sentence.strip() for sentence in said):
        raise DataError(f"{place}: has a sentence that is no text")
    return tuple(" ".join(sentence.split()) for sentence in said)


def _by_id(entries: Any) -> dict[int, dict[str, Any]]:
    return {entry["id"]: entry for entry in entries}


def _only(source: Source, pattern: str, what: str) -> Member:
    members = unique(source.select(pattern), lambda member: member.name)
    require(members, what, source)
    return next(iter(members.values()))


def recipe(args: argparse.Namespace) -> ReferringRecipe:
    """The recipe for the options given."""
    return ReferringRecipe(
        name="rrsisd",
        data=RRSISD,
        find=lambda source: find(source, skip_missing=args.skip_missing),
        parameters={"skip_missing": args.skip_missing},
    )


def options(parser: argparse.ArgumentParser) -> None:
    """Add what only this script takes."""
    parser.add_argument("--skip-missing", action="store_true", help="leave out references whose image is missing")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0, or 2 with a line on standard error."""
    return references_command(__doc__ or "", recipe, arguments, extend=options)


if __name__ == "__main__":
    sys.exit(main())
