r"""Cut OpenEarthMap into tiles of 256 x 256 pixels: 8 classes of land cover.

    python datasets/prepare_openearthmap.py --source downloads/openearthmap --output $DETECTRON2_DATASETS

What to download: OpenEarthMap.zip from https://zenodo.org/records/7223446 (https://open-earth-map.org), which holds
  OpenEarthMap_wo_xBD/train.txt, val.txt, test.txt             names of files, 3,000, 500 and 1,500
  OpenEarthMap_wo_xBD/xbd_files.csv                            which of them are images of xBD
  OpenEarthMap_wo_xBD/<region>/images/<region>_1.tif           about 1,000 pixels a side
  OpenEarthMap_wo_xBD/<region>/labels/<region>_1.tif           0 unknown, 1 bareland ... 8 building
Labels have the licence of their image's source, CC BY-NC-SA 4.0 where that is public domain or unstated. The layout is the one
of the owners' readme and of their repository bao18/open_earth_map.

The images of xBD are not in the archive. They are left out, as in the papers, also where a user has added them with the
owners' script; --with-xbd takes them in. The test list is not used.

Result: OpenEarthMap_split/{train,val}/{imgs,D2masks}. Masks hold the table's labels (0 bareland ... 7 building);
unknown is 255.
"""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Mapping, Sequence

from ovrs.data.preparation.command import command
from ovrs.data.preparation.labels import from_indices, shifted
from ovrs.data.preparation.recipe import Pair, Recipe, paired, require
from ovrs.data.preparation.source import Member, Source, unique
from ovrs.data.preparation.tiling import Tiling
from ovrs.data.table import DATA_SETS, SPLITS
from ovrs.errors import DataError

NOTE = (
    "The papers cut OpenEarthMap without xBD into 31,154 and 5,195 tiles and do not say how; neither is a multiple of the "
    "16 tiles of 1,024 pixels a side. Here the owners' train and val lists without xBD are cut side by side, the last tile "
    "of a row or column moved back into the image, and a tile without any labelled pixel is dropped."
)


def pairs(source: Source, with_xbd: bool = False) -> list[Pair]:
    """The owners' train and val lists as pairs. Raises DataError where a listed file is missing."""
    lists = {split: _only(source, f"{split}.txt") for split in SPLITS}
    xbd = set() if with_xbd else _xbd_names(source)
    images = unique(source.select(r".*/images/[^/]+\.tiff?"), lambda member: member.stem)
    labels = unique(source.select(r".*/labels/[^/]+\.tiff?"), lambda member: member.stem)
    require(images, "image (<region>/images/*.tif)", source)
    require(labels, "label map (<region>/labels/*.tif)", source)
    found: list[Pair] = []
    for split, names in lists.items():
        wanted = [name for name in _names(names) if name not in xbd]
        found += paired(split, _listed(wanted, images, names, "image"), _listed(wanted, labels, names, "label map"))
    return found


def _only(source: Source, name: str) -> Member:
    members = unique(source.select(rf"(?:.*/)?{name}"), lambda member: member.name)
    require(members, name, source)
    return members[name]


def _names(member: Member) -> list[str]:
    """The names in a list of files, without suffixes."""
    lines = member.read().decode("utf-8", "replace").split()
    if not lines:
        raise DataError(f"{member.shown}: names no file; download the archive again")
    return [line.removesuffix(".tif") for line in lines]


def _xbd_names(source: Source) -> set[str]:
    """The files that are images of xBD, without suffixes: the second column of xbd_files.csv."""
    names = set()
    for member in source.select(r"(?:.*/)?xbd_files\.csv"):
        rows = member.read().decode("utf-8", "replace").splitlines()
        names |= {row.split(",")[1].strip().removesuffix(".tif") for row in rows if row.count(",")}
    return names


def _listed(wanted: Sequence[str], there: Mapping[str, Member], names: Member, kind: str) -> dict[str, Member]:
    lacking = [name for name in wanted if name not in there]
    if lacking:
        raise DataError(
            f"{names.shown}: {len(lacking)} of {len(wanted)} files have no {kind}, the first being {lacking[0]}.tif; download "
            "the archive again, and keep its xbd_files.csv, which tells the images that it does not hold"
        )
    return {name: there[name] for name in wanted}


def recipe(args: argparse.Namespace) -> Recipe:
    """The recipe for the options given."""
    return Recipe(
        name="openearthmap",
        data=DATA_SETS["openearthmap"],
        pairs=functools.partial(pairs, with_xbd=args.with_xbd),
        decode=from_indices(shifted(8)),
        tiling=Tiling(args.tile, args.stride, edge="shift"),
        parameters={"with_xbd": args.with_xbd},
        note=NOTE,
    )


def options(parser: argparse.ArgumentParser) -> None:
    """Add what only this script takes."""
    parser.add_argument("--with-xbd", action="store_true", help="take in the images of xBD, which you added to the archive")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0, or 2 with a line on standard error."""
    return command(__doc__ or "", recipe, arguments, extend=options)


if __name__ == "__main__":
    sys.exit(main())
