"""What is said of whole images: text files, or lines of JSON."""

import json

import pytest
from sar_pairs import configured, described, samples

from ovrs.data.catalog import list_entries
from ovrs.errors import DataError
from ovrs.vocabulary import MAX_DESCRIPTION, Vocabulary


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
        ('{"image": "a.png", "description": "' + "x" * 6000 + '"}', "line 1: 'xxx.*' has 6,000 characters; 4,000 are allowed"),
        ('{"image": "a.png", "description": "a river\\u007f town"}', r"line 1: 'a river\\x7f town' holds U\+007F"),
        ("", "describes none of the 3 images"),
    ],
)
def test_descriptions_that_cannot_work_are_named(pairs, text, message):
    (pairs / "said.jsonl").write_text(text)
    described(pairs, split={"descriptions": "said.jsonl"})
    with pytest.raises(DataError, match=message):
        list_entries("pairs_train")


def test_a_description_in_a_file_is_held_to_what_a_vocabulary_takes(pairs):
    cfg = configured(described(pairs))
    (pairs / "texts/a.txt").write_text("x" * MAX_DESCRIPTION)
    sample, *_ = samples(cfg)
    assert Vocabulary.parse("water").with_description(sample["description"]).description == "x" * MAX_DESCRIPTION
    for text, message in (("x" * (MAX_DESCRIPTION + 1), "a.txt: .* has 4,001 characters"), ("a\x1b[1m", r"a.txt: .*U\+001B")):
        (pairs / "texts/a.txt").write_text(text)
        with pytest.raises(DataError, match=message):
            samples(cfg)


def test_only_the_end_of_a_line_ends_it(pairs):
    """JSON may hold what other readers of lines take for their end."""
    text = '{"image": "a.png", "description": "A river\u2028town."}\r\n{"image": "b.png", "description": "A\x85field."}\n'
    (pairs / "said.jsonl").write_bytes(text.encode())
    cfg = configured(described(pairs, split={"descriptions": "said.jsonl"}))
    assert [sample["description"] for sample in samples(cfg)] == ["A river town.", "A field.", ""]


def test_a_missing_place_of_descriptions_is_named(pairs):
    described(pairs, split={"descriptions": "nowhere"})
    with pytest.raises(DataError, match="nowhere: is no folder of .txt files, nor a file of JSON lines"):
        list_entries("pairs_train")
