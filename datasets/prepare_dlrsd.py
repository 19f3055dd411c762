r"""Prepare DLRSD, the dense labels of the UC Merced images: 2,100 images of 256 x 256 pixels, 17 classes.

    python datasets/prepare_dlrsd.py --source downloads/dlrsd --output $DETECTRON2_DATASETS

What to download (research use):
  labels    DLRSD.zip from https://sites.google.com/view/zhouwx/dataset
            (DLRSD/Images/<scene>/<scene>00.png: palette images whose numbers 1 to 17 are the classes)
  images    UCMerced_LandUse.zip from http://weegee.vision.ucmerced.edu/datasets/landuse.html
            (UCMerced_LandUse/Images/<scene>/<scene>00.tif)
An archive that holds both (DLRSD/Images/<scene>/*.tif with DLRSD/Labels/<scene>/*.png, as TorchGeo offers it) does as well:
labels are the .png files, images the .tif or .jpg files of the same name. Layout and values were read in the code of projects
that use the archives (TorchGeo, myrtle-vision).

The owners give no split. Here the last fifth of each scene's images by name (80 to 99) is for validation: neighbours in this
order often show the same place, so a split that mixes them would validate on what it trained on.

Result: DLRSD_split/{train,val}/{imgs,D2masks}, images as JPEG of quality 95 (the layout of OVRS has .jpg), masks with the
table's labels (0 airplane ... 16 water).
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import defaultdict
from collections.abc import Sequence

from ovrs.data.preparation.command import command, whole
from ovrs.data.preparation.labels import from_indices, shifted
from ovrs.data.preparation.recipe import Pair, Recipe, paired, require
from ovrs.data.preparation.source import Source, unique
from ovrs.data.preparation.tiling import Tiling
from ovrs.data.table import DATA_SETS, Split

VAL_SHARE = 0.2

NOTE = (
    "The archive holds 2,100 images, the papers speak of 7,002 (5,601 and 1,401, four fifths and one) without saying how "
    "they came about. An image shows some 3.3 of the 17 classes, so 7,002 may be the pairs of an image and a class in it. "
    "Here each image is taken once; the last fifth of each scene is for validation."
)


def pairs(source: Source) -> list[Pair]:
    """Images and label maps of one name, split scene by scene. Raises DataError where one lacks the other."""
    stem = r"(?:.*/)?[a-z]+\d+"
    images = unique(source.select(rf"{stem}\.(?:tiff?|jpe?g)"), lambda member: member.stem)
    labels = unique(source.select(rf"{stem}\.png"), lambda member: member.stem)
    require(images, "image (<scene>00.tif of UC Merced)", source)
    require(labels, "label map (<scene>00.png of DLRSD)", source)
    splits = split(sorted(images))
    return [Pair(splits[pair.stem], pair.stem, pair.image, pair.labels) for pair in paired("train", images, labels)]


def split(stems: Sequence[str]) -> dict[str, Split]:
    """The split of each image: the last of every scene, by name, are for validation."""
    scenes: dict[str, list[str]] = defaultdict(list)
    for stem in sorted(stems):
        scenes[re.sub(r"\d+$", "", stem)].append(stem)
    return {
        stem: "train" if place < len(scene) - round(VAL_SHARE * len(scene)) else "val"
        for scene in scenes.values()
        for place, stem in enumerate(scene)
    }


def recipe(args: argparse.Namespace) -> Recipe:
    """The recipe for the options given."""
    return Recipe(
        name="dlrsd",
        data=DATA_SETS["dlrsd"],
        pairs=pairs,
        decode=from_indices(shifted(17)),
        tiling=Tiling(args.tile, args.stride),
        trim=args.trim,
        parameters={"validation": VAL_SHARE},
        note=NOTE,
    )


def options(parser: argparse.ArgumentParser) -> None:
    """Add what only this script takes."""
    parser.add_argument(
        "--trim",
        type=whole,
        default=0,
        help="pixels by which an image and its label map may differ in height or width (44 of UC Merced's images are not "
        "256 x 256); both are then cut to what they share (default: %(default)s)",
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0, or 2 with a line on standard error."""
    return command(__doc__ or "", recipe, arguments, tile=None, extend=options)


if __name__ == "__main__":
    sys.exit(main())
