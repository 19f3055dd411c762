"""What is said of whole images: text files, or lines of JSON."""

import json

import pytest
from sar_pairs import configured, described, samples

from ovrs.data.catalog import list_entries
from ovrs.errors import DataError


def test_descriptions_may_be_json_lines(pairs):
    said = [{"image": "photos/a.png", "description": "One  river."}, {"image": "c", "description": "Two fields.", "by": "me"}]
    (pairs / "said.jsonl").write_text("\n\n".join(json.dumps(line) for line in said))
    cfg = configured(described(pairs, split={"descriptions": "said.jsonl"}))
    assert [sample["description"] for sample in samples(cfg)] == ["One river.", "", "Two fields."]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"image": "a.png", "description": "x"}\n{"image": "a.png"', "said.jsonl, line 2: is no JSON"),
        ('{"image": "a.png", "caption": "x"}', "said.jsonl, line 1: give"),
        (
            '{"image": "a.png", "description": "x"}\n{"image": "a.png", "description": "y"}',
            "'a.png' is described a second",
        ),
        ('{"image": "z.png", "description": "x"}', "said.jsonl: describes none of the 3 images, such as .*a.png"),
        ('{"image": "a.png", "description": "' + "x" * 6000 + '"}', "says 6,000 characters of its image; 5,000 are allowed"),
        ("", "describes none of the 3 images"),
    ],
)
def test_descriptions_that_cannot_work_are_named(pairs, text, message):
    (pairs / "said.jsonl").write_text(text)
    described(pairs, split={"descriptions": "said.jsonl"})
    with pytest.raises(DataError, match=message):
        list_entries("pairs_train")


def test_a_missing_place_of_descriptions_is_named(pairs):
    described(pairs, split={"descriptions": "nowhere"})
    with pytest.raises(DataError, match="nowhere: is no folder of .txt files, nor a file of JSON lines"):
        list_entries("pairs_train")
