r"""Part SWJTU-Vision-Language into image, SAR, labels and text: 2,712 pairs of 256 x 256 pixels, 3 m, 7 classes.

    python datasets/prepare_swjtu_vl.py --source downloads/swjtu_vl --output $DETECTRON2_DATASETS

What to download (https://github.com/yeyuanxin110/SWJTU-Vision-Language is the page that the paper names), in the layout that
TSMNet's public code reads:
  img_optical_sar800/1.tif, img_optical_sar1912/2.tif ...          four bands of 8 bits: red, green, blue, SAR
  img_optical_sar800/txt/1.txt, img_optical_sar1912/txt/2.txt ...  a description each
  ann800/1.tif, ann1912/2.tif ...                                  labels: 0 others, 1 bare ground ... 6 roads (7 is read as 0)
The numbers at the end of the folders' names do not matter. An image without a text is described by nothing.

The paper draws 800 pairs to train and tests on the other 1,912; which ones it does not say. Here 800 are drawn by --seed from
the sorted names. Layout and bands were read in the code's configuration and model; the archive itself could not be looked at.

Result: SWJTU_VL_split/{train,val}/{imgs,sar,D2masks,texts}.
"""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Sequence
from dataclasses import replace

from ovrs.data.preparation.command import command, whole
from ovrs.data.preparation.labels import from_indices
from ovrs.data.preparation.recipe import Pair, Recipe, drawn_split, paired, require
from ovrs.data.preparation.source import Source, unique
from ovrs.data.preparation.tiling import Tiling
from ovrs.data.table import DATA_SETS

TRAIN = 800
SAR_BAND = 4
NOTE = "The paper does not say which 800 pairs it trained on, so these are others: compare methods on one split."


def pairs(source: Source, seed: int) -> list[Pair]:
    """Images with SAR in their fourth band, label maps and texts by name, 800 of them drawn to train."""
    images = unique(source.select(r"(?:.*/)?img_optical_sar\d*/[^/]+\.tiff?"), lambda member: member.stem)
    labels = unique(source.select(r"(?:.*/)?ann\d*/[^/]+\.tiff?"), lambda member: member.stem)
    texts = unique(source.select(r"(?:.*/)?img_optical_sar\d*/txt/[^/]+\.txt"), lambda member: member.stem)
    require(images, "image (img_optical_sar800/1.tif)", source)
    found = [
        replace(pair, sar=pair.image, sar_band=SAR_BAND, description=texts.get(pair.stem))
        for pair in paired("train", images, labels)
    ]
    return drawn_split(found, TRAIN, seed)


def recipe(args: argparse.Namespace) -> Recipe:
    """The recipe for the options given."""
    return Recipe(
        name="swjtu_vl",
        data=DATA_SETS["swjtu_vl"],
        pairs=functools.partial(pairs, seed=args.seed),
        decode=from_indices({label: label % 7 for label in range(8)}),
        tiling=Tiling(args.tile, args.stride),
        parameters={"seed": args.seed, "train": TRAIN},
        note=NOTE,
    )


def options(parser: argparse.ArgumentParser) -> None:
    """Add what only this script takes."""
    parser.add_argument("--seed", type=whole, default=0, help="of the draw of the 800 training pairs (default: %(default)s)")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0, or 2 with a line on standard error."""
    return command(__doc__ or "", recipe, arguments, tile=None, extend=options)


if __name__ == "__main__":
    sys.exit(main())
