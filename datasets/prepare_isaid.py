r"""Cut iSAID into tiles of 256 x 256 pixels: 15 classes of objects, everything else ignored.

    python datasets/prepare_isaid.py --source downloads/isaid --output $DETECTRON2_DATASETS

What to download (by hand: the owners ask for agreement to their terms, academic use only):
  images    DOTA v1.0, training and validation set: https://captain-whu.github.io/DOTA/dataset.html
            (part1.zip, part2.zip, part3.zip for train, part1.zip for val; each holds images/P0000.png ...)
  labels    iSAID, semantic masks of the training and the validation set: https://captain-whu.github.io/iSAID/dataset.html
            (train/Semantic_masks/images.zip and val/Semantic_masks/images.zip; each holds
            images/P0000_instance_color_RGB.png ...; instance masks and boxes are not needed)

Since archives of both sets have the same names, keep them in folders, for example
  downloads/isaid/train/images/part1.zip         downloads/isaid/val/images/part1.zip
  downloads/isaid/train/Semantic_masks/images.zip  downloads/isaid/val/Semantic_masks/images.zip
A mask's split is told by the folder or archive "train" or "val" that it is in; images are found by their number, wherever
they are.

Result: iSAID_split/{train,val}/{imgs,D2masks}. Masks have the table's labels (0 ship ... 14 harbor); the background is 255.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence

from ovrs.data.preparation.command import command, share
from ovrs.data.preparation.labels import from_colors
from ovrs.data.preparation.recipe import Pair, Recipe, paired, require
from ovrs.data.preparation.source import Source, unique
from ovrs.data.preparation.tiling import Tiling
from ovrs.data.table import DATA_SETS, IGNORE_LABEL, SPLITS, Split
from ovrs.errors import DataError
from ovrs.palette import Color

BACKGROUND: Color = (0, 0, 0)

NOTE = (
    "The papers use the 18,076 and 6,363 tiles of the few-shot benchmark iSAID-5i (Yao et al., 2021), which are offered as "
    "tiles, without how they were cut or chosen. Here every image is cut side by side, the last tile of a row or column "
    "moved back into the image, and a tile without any labelled pixel is dropped; --least drops more."
)


def pairs(source: Source) -> list[Pair]:
    """DOTA's images with iSAID's masks, by number. Raises DataError where one lacks the other, or a split is not told."""
    masks = source.select(r".*P\d+_instance_color_RGB\.png")
    require(masks, "semantic mask (P0000_instance_color_RGB.png)", source)
    images = unique(source.select(r"(?:.*/)?P\d+\.png"), lambda member: member.stem)
    require(images, "image (P0000.png of DOTA v1.0)", source)
    found: list[Pair] = []
    for split in SPLITS:
        chosen = unique((mask for mask in masks if split_of(mask.path) == split), lambda member: member.stem.partition("_")[0])
        require(chosen, f"semantic mask of {split}", source)
        found += paired(split, {key: images[key] for key in chosen if key in images}, chosen)
    return found


def split_of(path: str) -> Split:
    """The split that the folders and archives of a mask's path name, the innermost first. Raises DataError if none does."""
    for part in reversed(path.lower().split("/")[:-1]):
        words = re.split(r"[^a-z]+", part)
        if "train" in words or "training" in words:
            return "train"
        if "val" in words or "validation" in words:
            return "val"
    raise DataError(f"{path}: neither of train nor of val by its folders; put the masks into a folder of that name")


def recipe(args: argparse.Namespace) -> Recipe:
    """The recipe for the options given."""
    row = DATA_SETS["isaid"]
    colors = {tuple(color): label for label, color in enumerate(row.vocabulary.palette.tolist())}
    return Recipe(
        name="isaid",
        data=row,
        pairs=pairs,
        decode=from_colors(colors | {BACKGROUND: IGNORE_LABEL}),
        tiling=Tiling(args.tile, args.stride, edge="shift", least=args.least),
        note=NOTE,
    )


def options(parser: argparse.ArgumentParser) -> None:
    """Add what only this script takes."""
    parser.add_argument(
        "--least", type=share, default=0.0, help="drop tiles of which less than this share (0..1) is labelled (default: any)"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0, or 2 with a line on standard error."""
    return command(__doc__ or "", recipe, arguments, extend=options)


if __name__ == "__main__":
    sys.exit(main())
