r"""Cut ISPRS Potsdam into tiles of 512 x 512 pixels: 5 classes, clutter and boundaries ignored.

    python datasets/prepare_potsdam.py --source downloads/potsdam --output $DETECTRON2_DATASETS

What to download (ISPRS sends the address on request: 2D Semantic Labeling Contest - Potsdam):
  2_Ortho_RGB.zip              2_Ortho_RGB/top_potsdam_2_10_RGB.tif ... (38 images of 6000 x 6000; red, green, blue)
  5_Labels_all_noBoundary.zip  top_potsdam_2_10_label_noBoundary.tif ... (default), or
  5_Labels_all.zip             top_potsdam_2_10_label.tif ... (--labels all)
They may also be inside the one Potsdam.zip in which ISPRS ships them.

Labels are colours: impervious surface white, building blue, low vegetation cyan, tree green, car yellow, clutter red, boundary
black. The split is the contest's: 24 images to train, 14 to validate. Layout, split and colours were read in the documentation
and code of TorchGeo and MMSegmentation; the archives themselves could not be looked at.

Result: Potsdam_split/{train,val}/{imgs,D2masks}.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence

from ovrs.data.preparation import isprs
from ovrs.data.preparation.command import command
from ovrs.data.preparation.recipe import Pair, Recipe
from ovrs.data.preparation.source import Source
from ovrs.data.preparation.tiling import Tiling
from ovrs.data.table import DATA_SETS


def places(columns: dict[int, range]) -> frozenset[str]:
    """Names such as ``2_10``: row and column of the owners' grid."""
    return frozenset(f"{row}_{column}" for row, within in columns.items() for column in within)


TRAIN = places({2: range(10, 13), 3: range(10, 13), 4: range(10, 13), 5: range(10, 13), 6: range(7, 13), 7: range(7, 13)})
VAL = places({2: range(13, 15), 3: range(13, 15), 4: range(13, 16), 5: range(13, 16), 6: range(13, 16), 7: range(13, 14)})

PLACE = re.compile(r"_potsdam_(\d+_\d+)_", re.IGNORECASE)

NOTE = (
    "Published counts are MMSegmentation's (tiles of 512 side by side, the last of a row or column moved back into the image). "
    "OVRS and GSNet do not say how they cut theirs."
)


def pairs(source: Source, labels: str) -> list[Pair]:
    """The 38 orthophotos with their labels, split as in the contest."""
    suffix = "_noBoundary" if labels == "no-boundary" else ""
    images = source.select(r"(?:.*/)?top_potsdam_\d+_\d+_RGB\.tif")
    masks = source.select(rf"(?:.*/)?top_potsdam_\d+_\d+_label{suffix}\.tif")
    return isprs.split_pairs(
        isprs.keyed(images, PLACE, TRAIN | VAL, "orthophoto (top_potsdam_2_10_RGB.tif)", source),
        isprs.keyed(masks, PLACE, TRAIN | VAL, f"label map (top_potsdam_2_10_label{suffix}.tif; see --labels)", source),
        TRAIN,
    )


def recipe(args: argparse.Namespace) -> Recipe:
    """The recipe for the options given."""
    row = DATA_SETS["potsdam"]
    return Recipe(
        name="potsdam",
        data=row,
        pairs=lambda source: pairs(source, args.labels),
        decode=isprs.decode,
        tiling=Tiling(args.tile, args.stride, edge="shift"),
        parameters={"labels": args.labels},
        note=NOTE,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0, or 2 with a line on standard error."""
    return command(__doc__ or "", recipe, arguments, tile=512, extend=isprs.options)


if __name__ == "__main__":
    sys.exit(main())
