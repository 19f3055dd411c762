"""Rows of data sets whose classes cover the land: every pixel has one."""

from ovrs.data.table.data_set import DataSet, classes, tiles

DLRSD = DataSet(
    name="dlrsd",
    title="DLRSD",
    classes=classes(
        ("airplane|plane|aircraft", (166, 202, 240)),
        ("bare soil|bare ground|bare earth", (128, 128, 0)),
        ("buildings|building|house", (0, 0, 128)),
        ("cars|car|vehicle", (255, 0, 0)),
        ("chaparral|shrubland|scrub", (0, 128, 0)),
        ("court|tennis court|sports court", (128, 0, 0)),
        ("dock|pier|jetty", (255, 233, 233)),
        ("field|crop field|farmland", (160, 160, 164)),
        ("grass|lawn|meadow", (0, 128, 128)),
        ("mobile home|trailer home", (90, 87, 255)),
        ("pavement|road|parking lot", (255, 255, 0)),
        ("sand|beach", (255, 192, 0)),
        ("sea|ocean", (0, 0, 255)),
        ("ship|boat|vessel", (255, 0, 192)),
        ("tanks|storage tank|oil tank", (128, 0, 128)),
        ("trees|tree|woodland", (0, 255, 0)),
        ("water|river|lake", (0, 255, 255)),
        unseen="airplane, bare soil, buildings, cars, pavement, sea, trees",
    ),
    splits=tiles("DLRSD", ".jpg"),
    ignored="nothing: the published values 1 to 17 are all classes",
    source="https://sites.google.com/view/zhouwx/dataset",
    licence="none stated, as far as known; the images are those of the UC Merced Land Use Dataset (USGS)",
    citation="Shao et al., Performance Evaluation of Single-Label and Multi-Label Remote Sensing Image Retrieval "
    "Using a Dense Labeling Dataset, Remote Sensing 2018",
    unseen_from="AerOSeg, Table 1",
    expected_counts={"train": 5601, "val": 1401},
)

OPENEARTHMAP = DataSet(
    name="openearthmap",
    title="OpenEarthMap",
    classes=classes(
        ("bareland|bare land|bare soil", (128, 0, 0)),
        ("rangeland|grassland|shrubland", (0, 255, 36)),
        ("developed space|pavement|parking lot", (148, 148, 148)),
        ("road|street|highway", (255, 255, 255)),
        ("tree|forest|woodland", (34, 97, 38)),
        ("water|river|lake", (0, 69, 255)),
        ("agriculture land|agricultural land|cropland", (75, 181, 73)),
        ("building|house|roof", (222, 31, 7)),
        unseen="developed space, tree, water, agriculture land",
    ),
    splits=tiles("OpenEarthMap"),
    ignored="0, unknown",
    source="https://open-earth-map.org",
    licence="labels under the licence of each image's source; where that is public domain or unstated, CC BY-NC-SA 4.0",
    citation="Xia et al., OpenEarthMap: A Benchmark Dataset for Global High-Resolution Land Cover Mapping, WACV 2023",
    unseen_from="AerOSeg, Table 1",
    expected_counts={"train": 31154, "val": 5195},
    tiles_name_regions=True,
)

LOVEDA = DataSet(
    name="loveda",
    title="LoveDA",
    classes=classes(
        ("background", (255, 255, 255)),
        ("building|house|roof", (255, 0, 0)),
        ("road|street|highway", (255, 255, 0)),
        ("water|river|lake", (0, 0, 255)),
        ("barren|bare land|bare soil", (159, 129, 183)),
        ("forest|woodland|trees", (0, 255, 0)),
        ("agriculture|cropland|farmland", (255, 195, 128)),
    ),
    splits=tiles("LoveDA"),
    ignored="0, no data; the published values 1 to 7 become 0 to 6",
    source="https://github.com/Junjue-Wang/LoveDA",
    licence="CC BY-NC-SA 4.0; the images are Google Earth's under its terms",
    citation="Wang et al., LoveDA: A Remote Sensing Land-Cover Dataset for Domain Adaptive Semantic Segmentation, "
    "NeurIPS Datasets and Benchmarks 2021",
    expected_counts={"train": 2522, "val": 1669},
    climate="Cfa",  # Nanjing, Changzhou and Wuhan
)

FLAIR = DataSet(
    name="flair",
    title="FLAIR #1",
    classes=classes(
        ("building|house|roof", (219, 14, 154)),
        ("pervious surface|gravel surface|unpaved surface", (147, 142, 123)),
        ("impervious surface|paved surface|asphalt", (248, 12, 0)),
        ("bare soil|bare ground|bare earth", (169, 113, 1)),
        ("water|river|lake", (21, 83, 174)),
        ("coniferous|coniferous tree|conifer", (25, 74, 38)),
        ("deciduous|deciduous tree|broadleaf tree", (70, 228, 131)),
        ("brushwood|shrubs|scrub", (243, 166, 13)),
        ("vineyard|grapevines", (102, 0, 130)),
        ("herbaceous vegetation|grass|meadow", (85, 255, 0)),
        ("agricultural land|cropland|crop field", (255, 243, 13)),
        ("plowed land|ploughed field|tilled soil", (228, 223, 124)),
    ),
    splits=tiles("FLAIR"),
    ignored="13 to 19 (swimming pool, snow, clear cut, mixed, ligneous, greenhouse, other): rare, joined as 'other' by the "
    "owner's baseline and left out by GSNet's protocol; the published values 1 to 12 become 0 to 11",
    source="https://ignf.github.io/FLAIR/",
    licence="Licence Ouverte / Open Licence 2.0 (Etalab)",
    citation="Garioud et al., FLAIR #1: semantic segmentation and domain adaptation dataset, arXiv:2211.12979",
    expected_counts={"train": 61712, "val": 15700},
)

LAND_COVER = (DLRSD, OPENEARTHMAP, LOVEDA, FLAIR)
