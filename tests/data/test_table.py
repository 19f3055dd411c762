import pytest

from ovrs.data.table import DATA_SETS, IGNORE_LABEL, SPLITS, Layout
from ovrs.vocabulary import normalized

ROWS = list(DATA_SETS.values())
COUNTS = {
    "isaid": 15,
    "fast": 37,
    "dlrsd": 17,
    "openearthmap": 8,
    "loveda": 7,
    "flair": 12,
    "potsdam": 5,
    "vaihingen": 5,
    "floodnet": 10,
    "landdiscover50k": 40,
    "swjtu_vl": 7,
    "yeseg": 7,
}


def test_every_data_set_has_a_row_with_as_many_classes_as_its_papers_score():
    assert {row.name: len(row.classes) for row in ROWS if row.name != "scenes"} == COUNTS


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_row_can_be_used_as_a_vocabulary(row):
    vocabulary = row.vocabulary  # refuses a word that stands for two classes
    assert vocabulary.num_classes == len(row.classes) <= 254, "labels must leave 255 free"
    assert row.ignore_label == IGNORE_LABEL
    assert len({tuple(color) for color in vocabulary.palette}) == len(vocabulary)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_row_says_where_it_is_from_and_under_which_terms(row):
    assert all(text == text.strip() != "" for text in (row.title, row.ignored, row.source, row.licence, row.citation))


@pytest.mark.parametrize("row", [row for row in ROWS if row.name != "scenes"], ids=lambda row: row.name)
def test_a_row_of_files_names_a_page_and_a_year(row):
    assert row.source.startswith("https://")
    assert any(year in row.citation for year in map(str, range(2010, 2027))) or "arXiv:" in row.citation


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_classes_are_unseen_only_where_a_paper_says_so(row):
    assert (row.unseen_from is not None) == any(not cls.seen for cls in row.classes)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_colours_are_the_owners_where_they_publish_any(row):
    given = [cls.color for cls in row.classes]
    if row.name in ("landdiscover50k", "swjtu_vl", "yeseg"):
        assert given == [None] * len(given)
    else:
        assert [tuple(color) for color in row.vocabulary.palette] == given


def test_titles_and_folders_are_distinct():
    assert len({normalized(row.title) for row in ROWS}) == len(ROWS)
    folders = [
        folder for row in ROWS for at in row.splits.values() if isinstance(at, Layout) for folder in (at.images, at.masks)
    ]
    assert len(set(folders)) == len(folders)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_counts_are_of_splits_that_there_are(row):
    assert row.splits and set(row.splits) <= set(SPLITS)
    assert set(row.expected_counts) <= set(row.splits)


def test_counts_are_the_papers():
    assert DATA_SETS["isaid"].expected_counts == {"train": 18076, "val": 6363}
    assert DATA_SETS["dlrsd"].expected_counts == {"train": 5601, "val": 1401}
    assert DATA_SETS["openearthmap"].expected_counts == {"train": 31154, "val": 5195}


def test_the_two_towns_of_isprs_share_their_classes():
    assert DATA_SETS["potsdam"].classes == DATA_SETS["vaihingen"].classes
