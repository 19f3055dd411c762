r"""Cut ISPRS Vaihingen into tiles of 512 x 512 pixels: 5 classes, clutter and boundaries ignored. The images are false colour.

    python datasets/prepare_vaihingen.py --source downloads/vaihingen --output $DETECTRON2_DATASETS

What to download (ISPRS sends the address on request: 2D Semantic Labeling Contest - Vaihingen):
  ISPRS_semantic_labeling_Vaihingen.zip                               top/top_mosaic_09cm_area1.tif ... (33 images)
  ISPRS_semantic_labeling_Vaihingen_ground_truth_eroded_COMPLETE.zip  top_mosaic_09cm_area1_noBoundary.tif ... (default), or
  ISPRS_semantic_labeling_Vaihingen_ground_truth_COMPLETE.zip         top_mosaic_09cm_area1.tif ... (--labels all)

The three bands are near infrared, red and green, in this order, and are kept so: vegetation is red in these tiles. No band is
blue, so no true colours can be made of them. Labels are colours: impervious surface white, building blue, low vegetation cyan,
tree green, car yellow, clutter red, boundary black. The split is the contest's: 16 images to train, 17 to validate (area 9 has
eroded labels but no image, and is left out). Layout, split and colours were read in the documentation and code of TorchGeo and
MMSegmentation; the archives themselves could not be looked at.

Result: Vaihingen_split/{train,val}/{imgs,D2masks}.
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

TRAIN = frozenset(map(str, (1, 3, 5, 7, 11, 13, 15, 17, 21, 23, 26, 28, 30, 32, 34, 37)))
VAL = frozenset(map(str, (2, 4, 6, 8, 10, 12, 14, 16, 20, 22, 24, 27, 29, 31, 33, 35, 38)))

AREA = re.compile(r"_area(\d+)[_.]", re.IGNORECASE)

NOTE = (
    "Published counts are MMSegmentation's (tiles of 512 side by side, the last of a row or column moved back into the image). "
    "OVRS does not say how it cut its own."
)


def pairs(source: Source, labels: str) -> list[Pair]:
    """The 33 orthophotos with their labels, split as in the contest."""
    # Images and full labels have the same names; labels for participants are a part of the full ones.
    suffix = "_noBoundary" if labels == "no-boundary" else ""
    images = source.select(r"(?:.*/)?top/top_mosaic_09cm_area\d+\.tif")
    masks = source.select(rf"(?!.*\btop/)(?!.*gts_for_participants)(?:.*/)?top_mosaic_09cm_area\d+{suffix}\.tif")
    return isprs.split_pairs(
        isprs.keyed(images, AREA, TRAIN | VAL, "orthophoto (top/top_mosaic_09cm_area1.tif)", source),
        isprs.keyed(masks, AREA, TRAIN | VAL, f"label map (top_mosaic_09cm_area1{suffix}.tif; see --labels)", source),
        TRAIN,
    )


def recipe(args: argparse.Namespace) -> Recipe:
    """The recipe for the options given."""
    row = DATA_SETS["vaihingen"]
    return Recipe(
        name="vaihingen",
        data=row,
        pairs=lambda source: pairs(source, args.labels),
        decode=isprs.decode,
        tiling=Tiling(args.tile, args.stride, edge="shift"),
        parameters={"labels": args.labels, "bands": "near infrared, red, green"},
        note=NOTE,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0, or 2 with a line on standard error."""
    return command(__doc__ or "", recipe, arguments, tile=512, extend=isprs.options)


if __name__ == "__main__":
    sys.exit(main())
