r"""Check and sort FAST, the part of SAMRS made from FAIR1M: 37 kinds of planes, ships, vehicles and courts, the rest ignored.

    python datasets/prepare_fast.py --source downloads/fast --output $DETECTRON2_DATASETS

What to download (https://github.com/ViTAE-Transformer/SAMRS gives the address; of its three parts only FAST belongs under
--source), in either form:
  as SAMRS's code reads it   trainval/images/*.png, trainval/rhbox_segs_init/gray/*.png, trainval/train.txt, trainval/valid.txt
                             (lists of names without suffix; images in neither list are left out)
  as GSNet's code reads it   {train,val}/images/*.png, {train,val}/semlabels/gray/*.png
The coloured masks and the pickled instances beside them are not used.

Masks hold 0 (A220) to 36 (Warship), and 255 where no object is. They were drawn by the Segment Anything Model inside FAIR1M's
boxes, not by people. Both forms were read in the two projects' code; the files as offered could not be looked at, so no folder
above images/ and gray/ is relied on but train and val. How many images each split has is stated in neither.

Result: FAST_split/{train,val}/{imgs,D2masks}; an image on which no object is labelled is dropped.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Sequence

from ovrs.data.preparation.command import command
from ovrs.data.preparation.labels import from_indices
from ovrs.data.preparation.recipe import Pair, Recipe, paired, require
from ovrs.data.preparation.source import Member, Source, unique
from ovrs.data.preparation.tiling import Tiling
from ovrs.data.table import DATA_SETS, IGNORE_LABEL, Split
from ovrs.errors import DataError

LISTS: dict[Split, str] = {"train": "train.txt", "val": "valid.txt"}


def pairs(source: Source) -> list[Pair]:
    """Images and grey masks by name, sorted by the lists where there are any and by their folders otherwise."""
    images = source.select(r"(?:.*/)?images/[^/]+\.png")
    masks = source.select(r"(?:.*/)?gray/[^/]+\.png")
    require(images, "image (images/*.png)", source)
    require(masks, "grey mask (gray/*.png)", source)
    listed = read_lists(source)
    found: list[Pair] = []
    for split in LISTS:
        belongs = in_list(listed[split]) if listed else in_folder(split)
        chosen = [unique(filter(belongs, kind), lambda member: member.stem) for kind in (images, masks)]
        if listed and (lacking := sorted(listed[split] - set(chosen[0]))):
            raise DataError(f"{LISTS[split]}: names {len(lacking)} images that are not there, the first being {lacking[0]}")
        found += paired(split, chosen[0], chosen[1])
    return found


def read_lists(source: Source) -> dict[Split, set[str]]:
    """The names in ``train.txt`` and ``valid.txt``; empty where neither is there. Raises DataError if only one is."""
    members = {split: unique(source.select(rf"(?:.*/)?{file}"), lambda member: member.name) for split, file in LISTS.items()}
    there = [split for split, found in members.items() if found]
    if len(there) == 1:
        raise DataError(f"{source.root}: of {' and '.join(LISTS.values())} only one is there; both are needed, or none")
    return {split: set(members[split].popitem()[1].read().decode().split()) for split in there}


def in_list(names: set[str]) -> Callable[[Member], bool]:
    """Whether a member is one of those listed."""
    return lambda member: member.stem in names


def in_folder(split: Split) -> Callable[[Member], bool]:
    """Whether a folder or archive of a member's path is named after the split."""
    folder = re.compile(rf"(?:^|/){split}(?:\.[^/]*)?/", re.IGNORECASE)
    return lambda member: folder.search(member.path) is not None


def recipe(args: argparse.Namespace) -> Recipe:
    """The recipe for the options given."""
    row = DATA_SETS["fast"]
    return Recipe(
        name="fast",
        data=row,
        pairs=pairs,
        decode=from_indices({label: label for label in range(len(row.classes))} | {IGNORE_LABEL: IGNORE_LABEL}),
        tiling=Tiling(args.tile, args.stride),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0, or 2 with a line on standard error."""
    return command(__doc__ or "", recipe, arguments, tile=None)


if __name__ == "__main__":
    sys.exit(main())
