import pytest

from ovrs.data.referring.directions import MOVES, moved
from ovrs.data.scenes import draw_scene
from ovrs.positions import is_positional, position_words


@pytest.mark.parametrize(
    ("sentence", "words"),
    [
        ("The upper-left plane", ("upper", "left")),
        ("a ship in the middle, below the bridge", ("middle", "below")),
        ("the leftmost of the storage tanks", ("leftmost",)),
        ("the south-eastern car, not the northernmost", ("south-eastern", "northernmost")),
        ("the lake in the CENTRE", ("centre",)),
        (
            "the bottommost roof, not the highest; the righthand one, downwards",
            ("bottommost", "highest", "righthand", "downwards"),
        ),
        ("the largest ship nearest the pier", ()),
        ("the bright court by the centerline of the eastlake stop", ()),
    ],
)
def test_words_of_position_are_whole_words(sentence, words):
    assert position_words(sentence) == words
    assert is_positional(sentence) == bool(words)


def test_a_sentence_of_position_stays_one_however_its_image_is_mirrored_or_turned():
    said = {expression.sentence for index in range(30) for expression in draw_scene(3, index, size=256).expressions}
    said |= {
        f"the {word} plane" for word in ("leftmost", "uppermost", "topmost", "right-hand", "lefthand", "northward", "upward")
    }
    placed = [sentence for sentence in sorted(said) if is_positional(sentence)]
    assert len(placed) > 40
    for sentence in placed:
        for move in MOVES:
            assert is_positional(moved(sentence, [move])), (sentence, move)
