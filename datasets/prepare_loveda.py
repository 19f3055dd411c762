r"""Renumber LoveDA: 7 classes from 0 (background) to 6 (agriculture), no-data ignored. Images stay whole (1024 x 1024).

    python datasets/prepare_loveda.py --source downloads/loveda --output $DETECTRON2_DATASETS

What to download (https://github.com/Junjue-Wang/LoveDA, Zenodo record 5706578):
  Train.zip   Train/{Rural,Urban}/{images_png,masks_png}/0.png ...
  Val.zip     Val/{Rural,Urban}/{images_png,masks_png}/2522.png ...
The labels of Test.zip are not public; it is not used.

Masks hold 0 for no-data and 1 to 7 for the classes. Tiles are named rural_0, urban_1366 and so on. The layout was read in the
documentation and code of the owners, TorchGeo and MMSegmentation; masks of the original encoding were looked at, the archives
were not.

Result: LoveDA_split/{train,val}/{imgs,D2masks}.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence

from ovrs.data.preparation.command import command
from ovrs.data.preparation.labels import from_indices, shifted
from ovrs.data.preparation.recipe import Pair, Recipe, paired, require
from ovrs.data.preparation.source import Member, Source, unique
from ovrs.data.preparation.tiling import Tiling
from ovrs.data.table import DATA_SETS, SPLITS

FOLDERS = re.compile(r"/(rural|urban)/(?:images|masks)_png/", re.IGNORECASE)


def pairs(source: Source) -> list[Pair]:
    """Images and masks by scene kind and number. Raises DataError where a split lacks either."""
    found: list[Pair] = []
    for split in SPLITS:
        folder = rf"(?:.*/)?{split}(?:\.zip)?/(?:rural|urban)"
        images = unique(source.select(folder + r"/images_png/[^/]+\.png"), name)
        masks = unique(source.select(folder + r"/masks_png/[^/]+\.png"), name)
        require(images, f"image of {split} ({split.capitalize()}/Rural/images_png/0.png)", source)
        found += paired(split, images, masks)
    return found


def name(member: Member) -> str:
    """``rural_0`` or ``urban_1366``: the kind of scene is worth keeping, and numbers need not differ between the two."""
    match = FOLDERS.search(member.path)
    assert match is not None  # it was selected by these folders
    return f"{match[1].lower()}_{member.stem}"


def recipe(args: argparse.Namespace) -> Recipe:
    """The recipe for the options given."""
    row = DATA_SETS["loveda"]
    return Recipe(
        name="loveda",
        data=row,
        pairs=pairs,
        decode=from_indices(shifted(len(row.classes))),
        tiling=Tiling(args.tile, args.stride),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0, or 2 with a line on standard error."""
    return command(__doc__ or "", recipe, arguments, tile=None)


if __name__ == "__main__":
    sys.exit(main())
