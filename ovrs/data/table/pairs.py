"""Rows of data sets in which optical images have SAR partners and descriptions: those of TSMNet."""

from ovrs.data.sar.encoding import SarEncoding
from ovrs.data.table.data_set import SPLITS, DataSet, Layout, Split, classes

# In TSMNet's public code label 0 is what has no class of its own, and 7 (YESeg's "other") becomes 0.
_CLASSES = classes(
    ("others|other|background", None),
    ("bare ground|bare land|bare soil", None),
    ("low vegetation|grass|shrubs", None),
    ("trees|tree|woodland", None),
    ("houses|house|building", None),
    ("water|river|lake", None),
    ("roads|road|street", None),
)


def _paired_tiles(folder: str) -> dict[Split, Layout]:
    places = {split: f"{folder}_split/{split}" for split in SPLITS}
    return {
        split: Layout(
            f"{place}/imgs", f"{place}/D2masks", sar=f"{place}/sar", sar_suffixes=(".png",), descriptions=f"{place}/texts"
        )
        for split, place in places.items()
    }


SWJTU_VL = DataSet(
    name="swjtu_vl",
    title="SWJTU-Vision-Language",
    classes=_CLASSES,
    splits=_paired_tiles("SWJTU_VL"),
    ignored="nothing",
    source="https://github.com/yeyuanxin110/SWJTU-Vision-Language",
    licence="none stated, as far as known",
    citation="Dai et al., Multi-modal semantic segmentation for open vocabulary interactions with remote sensing images "
    "(TSMNet; its public code is of 2025)",
    expected_counts={"train": 800, "val": 1912},
    sar=SarEncoding("8bit"),
)

YESEG = DataSet(
    name="yeseg",
    title="YESeg-OPT-SAR",
    classes=_CLASSES,
    splits=_paired_tiles("YESeg"),
    ignored="nothing: 0 (background) and 7 (other) are both others, as in TSMNet",
    source="https://github.com/yeyuanxin110/YESeg-OPT-SAR",
    licence="none stated, as far as known; the images are Google Earth's",
    citation="Wei et al., MGFNet: An MLP-dominated gated fusion network for semantic segmentation of high-resolution "
    "multi-modal remote sensing images, JAG 2024",
    expected_counts={"train": 800, "val": 1431},
    sar=SarEncoding("8bit"),
)

PAIRS = (SWJTU_VL, YESEG)
