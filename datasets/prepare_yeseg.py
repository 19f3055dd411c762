r"""Gather YESeg-OPT-SAR's pairs with their labels and texts: 2,231 pairs of 256 x 256 pixels, 0.5 m, 7 classes.

    python datasets/prepare_yeseg.py --source downloads/yeseg --output $DETECTRON2_DATASETS

What to download (https://github.com/yeyuanxin110/YESeg-OPT-SAR gives the address):
  the data set   optical/1/1.png ... optical/HY_D/9.png, sar/1/1.png ... and label/1/1.png ...
  text.zip       of the same page: a description each, read from files of the same folder and name (1/1.txt), or from 1_1.txt
An image without a text is described by nothing.

Labels are 0 background, 1 bare ground ... 6 roads, 7 other; 0 and 7 become others, as in TSMNet's public code. TSMNet draws 800
pairs to train and tests on the other 1,431; which ones it does not say. Here 800 are drawn by --seed from the sorted names.
Folders and labels were read in the owners' readme, the suffix in public code that reads the data; the archives themselves could
not be looked at, and how text.zip names its files is a guess.

Result: YESeg_split/{train,val}/{imgs,sar,D2masks,texts}.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from ovrs.data.preparation.drawn_pairs import drawn_pairs_command
from ovrs.data.preparation.recipe import Pair, paired, require
from ovrs.data.preparation.source import Member, Source, unique
from ovrs.errors import DataError


def pairs(source: Source) -> list[Pair]:
    """Images, SAR, label maps and texts by folder and name."""
    kinds = {
        kind: unique(source.select(rf"(?:.*/)?{kind}/[^/]+/[^/]+\.(?:png|tiff?)"), _key) for kind in ("optical", "sar", "label")
    }
    for kind, members in kinds.items():
        require(members, f"{kind} image ({kind}/1/1.png)", source)
    texts = {_key(member): member for member in source.select(r".*/[^/]+\.txt")}
    texts |= {member.stem: member for member in source.select(r"(?:.*/)?[^/]+_[^/]+\.txt")}
    found = []
    for pair in paired("train", kinds["optical"], kinds["label"]):
        if pair.stem not in kinds["sar"]:
            raise DataError(f"{pair.image.shown}: has no SAR image of the same folder and name; download the archive again")
        found.append(replace(pair, sar=kinds["sar"][pair.stem], description=texts.get(pair.stem)))
    return found


def _key(member: Member) -> str:
    """Folder and name: names alone are given again in each folder."""
    path = PurePosixPath(member.path)
    return f"{path.parent.name}_{path.stem}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0, or 2 with a line on standard error."""
    return drawn_pairs_command(__doc__ or "", "yeseg", pairs, arguments)


if __name__ == "__main__":
    sys.exit(main())
