import pytest

from ovrs.positions import is_positional, position_words


@pytest.mark.parametrize(
    ("sentence", "words"),
    [
        ("The upper-left plane", ("upper", "left")),
        ("a ship in the middle, below the bridge", ("middle", "below")),
        ("the leftmost of the storage tanks", ("leftmost",)),
        ("the south-eastern car, not the northernmost", ("south-eastern", "northernmost")),
        ("the lake in the CENTRE", ("centre",)),
        ("the largest ship nearest the pier", ()),
        ("the bright court by the centerline of the eastlake stop", ()),
    ],
)
def test_words_of_position_are_whole_words(sentence, words):
    assert position_words(sentence) == words
    assert is_positional(sentence) == bool(words)
