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

import sys
from collections.abc import Sequence
from dataclasses import replace

from ovrs.data.preparation.drawn_pairs import drawn_pairs_command
from ovrs.data.preparation.recipe import Pair, paired, require
from ovrs.data.preparation.source import Source, unique

SAR_BAND = 4


def pairs(source: Source) -> list[Pair]:
    """Images with SAR in their fourth band, label maps and texts by name."""
    images = unique(source.select(r"(?:.*/)?img_optical_sar\d*/[^/]+\.tiff?"), lambda member: member.stem)
    labels = unique(source.select(r"(?:.*/)?ann\d*/[^/]+\.tiff?"), lambda member: member.stem)
    texts = unique(source.select(r"(?:.*/)?img_optical_sar\d*/txt/[^/]+\.txt"), lambda member: member.stem)
    require(images, "image (img_optical_sar800/1.tif)", source)
    return [
        replace(pair, sar=pair.image, sar_band=SAR_BAND, description=texts.get(pair.stem))
        for pair in paired("train", images, labels)
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0, or 2 with a line on standard error."""
    return drawn_pairs_command(__doc__ or "", "swjtu_vl", pairs, arguments)


if __name__ == "__main__":
    sys.exit(main())
