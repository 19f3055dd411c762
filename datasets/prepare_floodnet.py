r"""Mark the background of FloodNet's masks as ignored; its other values stay. Images stay whole (4000 x 3000 or 4592 x 3072).

    python datasets/prepare_floodnet.py --source downloads/floodnet --output $DETECTRON2_DATASETS

What to download (https://github.com/BinaLab/FloodNet-Supervised_v1.0 gives the address):
  FloodNet-Supervised_v1.0.zip   FloodNet-Supervised_v1.0/{train,val,test}/{train,val,test}-org-img/10165.jpg ... and
                                 FloodNet-Supervised_v1.0/{train,val,test}/{train,val,test}-label-img/10165_lab.png ...
The coloured masks (ColorMasks-FloodNetv1.0) are not needed, nor are they of the images' size.

Masks hold 0 (background) to 9 (grass). The training split is the owners'; the validation split is their validation and test
sets together, as in GSNet's protocol. Layout, names and counts (1,445, 450 and 448) were read in public code that uses the
data, class order and licence in the owners' README; the archive itself could not be looked at.

Result: FloodNet_split/{train,val}/{imgs,D2masks}.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from ovrs.data.preparation.command import command
from ovrs.data.preparation.labels import from_indices
from ovrs.data.preparation.recipe import Pair, Recipe, paired, require
from ovrs.data.preparation.source import Source, unique
from ovrs.data.preparation.tiling import Tiling
from ovrs.data.table import DATA_SETS, IGNORE_LABEL, Split

FOLDERS: dict[Split, tuple[str, ...]] = {"train": ("train",), "val": ("val", "test")}


def pairs(source: Source) -> list[Pair]:
    """Images and masks by number. Raises DataError where one of the owners' three sets lacks either."""
    found: list[Pair] = []
    for split, parts in FOLDERS.items():
        for part in parts:
            images = unique(source.select(rf"(?:.*/)?{part}-org-img/\d+\.jpg"), lambda member: member.stem)
            masks = unique(source.select(rf"(?:.*/)?{part}-label-img/\d+_lab\.png"), lambda member: member.stem[: -len("_lab")])
            require(images, f"image of {part} ({part}-org-img/10165.jpg)", source)
            found += paired(split, images, masks)
    return found


def recipe(args: argparse.Namespace) -> Recipe:
    """The recipe for the options given."""
    row = DATA_SETS["floodnet"]
    return Recipe(
        name="floodnet",
        data=row,
        pairs=pairs,
        decode=from_indices({0: IGNORE_LABEL} | {label: label for label in range(1, len(row.classes))}),
        tiling=Tiling(args.tile, args.stride),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0, or 2 with a line on standard error."""
    return command(__doc__ or "", recipe, arguments, tile=None)


if __name__ == "__main__":
    sys.exit(main())
