import pytest
from detectron2.data import DatasetCatalog, MetadataCatalog

from ovrs.data.catalog import registered, vocabulary_of
from ovrs.data.table import DATA_SETS
from ovrs.errors import DataError

# As Table 1 of AerOSeg lists them, in its order: first the seen ones.
SEEN = {
    "isaid": "ship, storage tank, baseball diamond, basketball court, ground track field, large vehicle, swimming pool, "
    "roundabout, plane",
    "dlrsd": "chaparral, court, dock, field, grass, mobile home, sand, ship, tanks, water",
    "openearthmap": "bareland, rangeland, road, building",
}


@pytest.mark.parametrize("name", SEEN)
def test_the_seen_classes_are_those_of_the_paper(name):
    classes = DATA_SETS[name].classes
    assert {cls.name for cls in classes if cls.seen} == set(SEEN[name].split(", "))
    assert len(classes) == {"isaid": 15, "dlrsd": 17, "openearthmap": 8}[name]


def test_labels_are_in_the_order_of_the_published_masks():
    assert DATA_SETS["isaid"].vocabulary.names.index("plane") == 13
    assert list(DATA_SETS["dlrsd"].vocabulary.names) == sorted(DATA_SETS["dlrsd"].vocabulary.names)
    assert [cls.name for cls in DATA_SETS["openearthmap"].classes if not cls.seen] == [
        "developed space",
        "tree",
        "water",
        "agriculture land",
    ]


@pytest.mark.parametrize("key", registered())
def test_metadata_is_what_detectron2_expects(key):
    metadata = MetadataCatalog.get(key)
    assert metadata.evaluator_type == "sem_seg"
    assert metadata.ignore_label == 255
    assert tuple(metadata.stuff_classes) == metadata.vocabulary.names
    assert len({tuple(color) for color in metadata.stuff_colors}) == len(metadata.stuff_classes)
    assert vocabulary_of(key) == metadata.vocabulary


def test_every_row_names_its_source_licence_and_citation():
    for row in DATA_SETS.values():
        assert row.title and row.source and row.licence and row.citation


def test_files_are_paired_by_stem_in_order(isaid_root):
    entries = DatasetCatalog.get("isaid_train")
    assert [entry["file_name"] for entry in entries] == [
        str(isaid_root / f"iSAID_split/train/imgs/tile_{i}.png") for i in (0, 1)
    ]
    assert entries[1]["sem_seg_file_name"] == str(isaid_root / "iSAID_split/train/D2masks/tile_1.png")


def test_a_missing_folder_is_named_with_the_way_out(tmp_path, monkeypatch):
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path))
    with pytest.raises(DataError, match=r"DLRSD_split/train/imgs.*DETECTRON2_DATASETS.*DLRSD_split"):
        DatasetCatalog.get("dlrsd_train")


def test_an_image_without_mask_is_named(isaid_root):
    (isaid_root / "iSAID_split/train/D2masks/tile_1.png").unlink()
    with pytest.raises(DataError, match="1 of 2 images have no mask.*D2masks/tile_1.png"):
        DatasetCatalog.get("isaid_train")


def test_an_empty_folder_is_an_error(isaid_root):
    (isaid_root / "iSAID_split/val/imgs/tile_0.png").unlink()
    with pytest.raises(DataError, match=r"iSAID_split/val/imgs holds no \.png image"):
        DatasetCatalog.get("isaid_val")


def test_scenes_need_no_files_and_their_splits_share_none():
    train, val = (DatasetCatalog.get(f"scenes_{split}") for split in ("train", "val"))
    assert {entry["scene_seed"] for entry in train}.isdisjoint(entry["scene_seed"] for entry in val)
    assert [entry["scene_index"] for entry in val] == list(range(len(val)))


def test_an_unknown_data_set_lists_the_known_ones():
    with pytest.raises(DataError, match="'nowhere_val'.*isaid_train"):
        vocabulary_of("nowhere_val")


def test_a_foreign_data_set_gives_its_stuff_classes():
    DatasetCatalog.register("foreign_val", list)
    try:
        with pytest.raises(DataError, match="stuff_classes"):
            vocabulary_of("foreign_val")
        MetadataCatalog.get("foreign_val").set(stuff_classes=["land", "water"])
        assert vocabulary_of("foreign_val").names == ("land", "water")
    finally:
        DatasetCatalog.remove("foreign_val")
        MetadataCatalog.remove("foreign_val")
