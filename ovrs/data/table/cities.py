"""Rows of data sets of towns from the air at a few centimetres: the two of ISPRS, and a flood."""

from ovrs.data.table.data_set import DataSet, classes, tiles
from ovrs.vocabulary import VocabularyClass

ISPRS_CLASSES: tuple[VocabularyClass, ...] = classes(
    ("impervious surface|paved surface|road", (255, 255, 255)),
    ("building|house|roof", (0, 0, 255)),
    ("low vegetation|grass|lawn", (0, 255, 255)),
    ("tree|woodland", (0, 255, 0)),
    ("car|vehicle", (255, 255, 0)),
)

_ISPRS_IGNORED = (
    "clutter/background (red), which the protocols leave out, and the boundaries between objects (black) in the labels that "
    "come without boundaries"
)
_ISPRS_LICENCE = "free for research on request; the terms come with the owner's files"

POTSDAM = DataSet(
    name="potsdam",
    title="ISPRS Potsdam",
    classes=ISPRS_CLASSES,
    splits=tiles("Potsdam"),
    ignored=_ISPRS_IGNORED,
    source="https://www.isprs.org/education/benchmarks/UrbanSemLab/2d-sem-label-potsdam.aspx",
    licence=_ISPRS_LICENCE,
    citation="Rottensteiner et al., The ISPRS benchmark on urban object classification and 3D building reconstruction, "
    "ISPRS Annals I-3, 2012",
    expected_counts={"train": 3456, "val": 2016},
    climate="Cfb",
)

VAIHINGEN = DataSet(
    name="vaihingen",
    title="ISPRS Vaihingen",
    classes=ISPRS_CLASSES,
    splits=tiles("Vaihingen"),
    ignored=_ISPRS_IGNORED,
    source="https://www.isprs.org/education/benchmarks/UrbanSemLab/2d-sem-label-vaihingen.aspx",
    licence=_ISPRS_LICENCE + "; the images are the DGPF's (Cramer, 2010), who ask to be named",
    citation="Rottensteiner et al., The ISPRS benchmark on urban object classification and 3D building reconstruction, "
    "ISPRS Annals I-3, 2012",
    expected_counts={"train": 344, "val": 398},
    climate="Cfb",
)

# Ten names compete, as in GSNet's protocol, though no pixel of the first one counts.
FLOODNET = DataSet(
    name="floodnet",
    title="FloodNet",
    classes=classes(
        ("background", (0, 0, 0)),
        ("building-flooded|flooded building|flooded house", (255, 0, 0)),
        ("building-non-flooded|dry building|building not flooded", (180, 120, 120)),
        ("road-flooded|flooded road|submerged road", (160, 150, 20)),
        ("road-non-flooded|dry road|road not flooded", (140, 140, 140)),
        ("water|river|lake", (61, 230, 250)),
        ("tree|woodland", (0, 82, 255)),
        ("vehicle|car|truck", (255, 0, 245)),
        ("pool|swimming pool", (255, 235, 0)),
        ("grass|lawn|meadow", (4, 250, 7)),
    ),
    splits=tiles("FloodNet", ".jpg"),
    ignored="0, background: GSNet's protocol leaves it out; the other published values stay",
    source="https://github.com/BinaLab/FloodNet-Supervised_v1.0",
    licence="Community Data License Agreement - Permissive 1.0",
    citation="Rahnemoonfar et al., FloodNet: A High Resolution Aerial Imagery Dataset for Post Flood Scene Understanding, "
    "IEEE Access 2021",
    expected_counts={"train": 1445, "val": 898},
    climate="Cfa",  # Texas, after Hurricane Harvey
)

CITIES = (POTSDAM, VAIHINGEN, FLOODNET)
