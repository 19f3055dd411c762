r"""Take red, green and blue of FLAIR #1's patches and its 12 main classes, rare ones ignored. Patches stay whole (512 x 512).

    python datasets/prepare_flair.py --source downloads/flair --output $DETECTRON2_DATASETS

What to download (https://ignf.github.io/FLAIR/, or IGNF/FLAIR on Hugging Face), in either form:
  by kind    flair_aerial_train.zip, flair_labels_train.zip, flair_1_aerial_test.zip, flair_1_labels_test.zip, with
             D004_2021/Z1_NN/img/IMG_000001.tif ... and D004_2021/Z1_NN/msk/MSK_000001.tif ...
  by domain  data/train-val/D004_2021.zip ... and data/flair#1-test/D012_2019.zip ...

Patches have five bands (red, green, blue, near infrared, height); the first three are kept. Masks hold 1 to 19, of which 1 to
12 are classes here; 13 to 19 are what the owners' baseline joins as "other". Images and masks are paired by their number; their
domain (D012_2019) is a folder or archive of their path. The ten domains of FLAIR #1's test set are the validation split, as in
GSNet's protocol; the others train. Patches above number 77,412 belong to FLAIR #2 and are left out.

Class values, colours, domains and numbers were read in the owners' repository (README and file lists); the archives could not
be looked at, so folders between domain and patch are not relied on.

Result: FLAIR_split/{train,val}/{imgs,D2masks}.
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
from ovrs.data.table import DATA_SETS, SPLITS, Split
from ovrs.errors import DataError

TEST_DOMAINS = frozenset(
    f"D{department:03d}_{year}"
    for year, departments in {2019: (12, 76, 85), 2020: (26, 71, 83), 2021: (22, 64, 68, 75)}.items()
    for department in departments
)
LAST_PATCH = 77_412  # 61,712 to train and 15,700 to test; FLAIR #2 numbers on
RARE = tuple(range(13, 20))

DOMAIN = re.compile(r"(?:^|/)(D\d{3}_\d{4})(?:\.zip)?/", re.IGNORECASE)


def pairs(source: Source) -> list[Pair]:
    """Patches and masks by number. Raises DataError where one lacks the other or tells no domain."""
    images, masks = (
        [member for member in source.select(rf"(?:.*/)?{kind}_\d+\.tif") if int(number(member)) <= LAST_PATCH]
        for kind in ("IMG", "MSK")
    )
    require(images, "aerial patch of FLAIR #1 (IMG_000001.tif)", source)
    require(masks, "mask of FLAIR #1 (MSK_000001.tif)", source)
    found: list[Pair] = []
    for split in SPLITS:
        chosen = [unique((member for member in kind if split_of(member) == split), number) for kind in (images, masks)]
        found += paired(split, chosen[0], chosen[1])
    return found


def number(member: Member) -> str:
    """``000001`` of ``IMG_000001.tif``."""
    return member.stem.rpartition("_")[2]


def split_of(member: Member) -> Split:
    """The split of a patch's domain. Raises DataError if its path names none."""
    domain = DOMAIN.search(member.path)
    if domain is None:
        raise DataError(f"{member.shown}: its path names no domain (such as D004_2021); keep the owner's folders")
    return "val" if domain[1].upper() in TEST_DOMAINS else "train"


def recipe(args: argparse.Namespace) -> Recipe:
    """The recipe for the options given."""
    row = DATA_SETS["flair"]
    return Recipe(
        name="flair",
        data=row,
        pairs=pairs,
        decode=from_indices(shifted(len(row.classes), ignored=RARE)),
        tiling=Tiling(args.tile, args.stride),
        parameters={"bands": "1, 2, 3 of 5"},
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0, or 2 with a line on standard error."""
    return command(__doc__ or "", recipe, arguments, tile=None)


if __name__ == "__main__":
    sys.exit(main())
