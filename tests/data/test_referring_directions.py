import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ovrs.data.referring.attributes import attributes_of
from ovrs.data.referring.directions import MOVES, UnmovableError, is_moved_by, moved

# Sentence; mirrored from left to right; from top to bottom; turned by a quarter counter-clockwise.
TABLE = [
    ("the ship on the left", "the ship on the right", None, "the ship at the bottom"),
    ("The Leftmost ship", "The Rightmost ship", None, "The Bottommost ship"),
    ("the RIGHTMOST ship", "the LEFTMOST ship", None, "the TOPMOST ship"),
    ("the plane at the top", None, "the plane at the bottom", "the plane on the left"),
    ("the upper building", None, "the lower building", "the left building"),
    ("the uppermost pool", None, "the lowermost pool", "the leftmost pool"),
    ("the topmost pool", None, "the bottommost pool", "the leftmost pool"),
    ("the lowest pool in the image", None, "the highest pool in the image", "the rightmost pool in the image"),
    ("the upper-left plane", "the upper-right plane", "the lower-left plane", "the lower-left plane"),
    ("the plane in the top right corner", "the plane in the top left corner", "the plane in the bottom right corner",
     "the plane in the top left corner"),
    ("the pool on the top left", "the pool on the top right", "the pool on the bottom left", "the pool on the bottom left"),
    ("Left bottom corner", "Right bottom corner", "Left top corner", "Right bottom corner"),
    ("the ship to the left of the pier", "the ship to the right of the pier", None, "the ship below the pier"),
    ("the ship right of the pier", "the ship left of the pier", None, "the ship above the pier"),
    ("a car above the road", None, "a car below the road", "a car to the left of the road"),
    ("on the left of the image", "on the right of the image", None, "at the bottom of the image"),
    ("the car nearest the right of the image", "the car nearest the left of the image", None,
     "the car nearest the top of the image"),
    ("the left-hand lane", "the right-hand lane", None, "the bottom lane"),
    ("the tank in the northeast", "the tank in the northwest", "the tank in the southeast", "the tank in the northwest"),
    ("the north-western field", "the north-eastern field", "the south-western field", "the south-western field"),
    ("the southernmost ship", None, "the northernmost ship", "the easternmost ship"),
    ("the horizontal runway", None, None, "the vertical runway"),
    ("the ship on the right next to the pier", "the ship on the left next to the pier", None,
     "the ship at the top next to the pier"),
    ("on top of the image", None, "on bottom of the image", "on left of the image"),
    ("left, right and top", "right, left and top", "left, right and bottom", "bottom, top and left"),
    # No direction, whatever it looks like.
    *((sentence, None, None, None) for sentence in (
        "the ship in the middle", "the central pool in the centre", "the bright upright tank", "a road at a right angle",
        "right-angled roads", "the car right next to the pier", "the crane on top of the roof", "the flat top building",
        "a rooftop", "the leftover soil", "the topsoil", "a top-down view", "the largest ship nearest the pier", "",
    )),
]  # fmt: skip

UNMOVABLE = (
    "the ship further up", "the car driving down the road", "the car left behind", "the car turning left", "a left-turn lane",
    "the right of way", "the house lower than the others", "cars driving clockwise", "the land left over",
)  # fmt: skip


@pytest.mark.parametrize("row", TABLE, ids=[row[0] for row in TABLE])
def test_words_follow_the_image(row):
    sentence, *answers = row
    for move, answer in zip(MOVES, answers, strict=True):
        assert moved(sentence, [move]) == (sentence if answer is None else answer)
        assert is_moved_by(sentence, [move]) == (answer is not None)


@pytest.mark.parametrize("sentence", UNMOVABLE)
def test_what_cannot_be_told_is_refused(sentence):
    assert is_moved_by(sentence, MOVES)
    with pytest.raises(UnmovableError, match=re.escape(repr(sentence))):
        moved(sentence, ["mirror"])


def test_moves_follow_one_another():
    assert moved("the upper ship on the left", ["mirror", "overturn"]) == "the lower ship on the right"
    assert moved("the ship above the pier", ["turn"] * 4) == "the ship above the pier"
    assert moved("the leftmost ship", ["turn", "turn"]) == "the rightmost ship"
    assert moved("the leftmost ship", []) == "the leftmost ship"


SIDES = "left right top bottom upper lower leftmost rightmost topmost bottommost uppermost lowermost lowest highest above below"
POINTS = "north south east west northeast south-western southernmost left-hand right-hand leftward upward downward horizontal"
OTHERS = "the ship pier of to on in at and angle next image largest Left RIGHT Upper , . - up turn behind middle bright roof"
WORDS = st.sampled_from(f"{SIDES} {POINTS} {OTHERS}".split())


@settings(max_examples=250, deadline=None)
@given(st.lists(WORDS, max_size=9).map(" ".join))
def test_a_sentence_mirrored_twice_is_the_sentence(sentence):
    for move in ("mirror", "overturn"):
        try:
            once = moved(sentence, [move])
        except UnmovableError:
            continue
        assert moved(once, [move]) == sentence
        assert len(once.split()) == len(sentence.split())


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=60))
def test_any_text_is_moved_or_refused(text):
    for move in MOVES:
        try:
            once = moved(text, [move])
        except UnmovableError:
            continue
        assert once == text or is_moved_by(text, [move])


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["upper", "lower", "top", "bottom"]), st.sampled_from(["left", "right"]), st.sampled_from([" ", "-"]))
def test_four_quarter_turns_of_a_corner_are_none(high, wide, joint):
    sentence = f"the {high}{joint}{wide} ship"
    assert moved(sentence, ["turn"] * 4) == sentence
    assert moved(sentence, ["turn"] * 2) == moved(sentence, ["mirror", "overturn"])


@pytest.mark.parametrize(
    ("sentence", "category", "attributes"),
    [
        ("the ship", "ship", ()),
        ("the leftmost ship", None, ("location",)),
        ("the small vehicle", "small vehicle", ()),
        ("the large small vehicle", "small vehicle", ("size",)),
        ("the small vehicle", None, ("size",)),
        ("the dark red roof nearest the pool", None, ("relation", "color")),
        ("a ship to the left of the biggest gray pier", None, ("location", "relation", "size", "color")),
    ],
)
def test_attributes_are_found_in_the_words(sentence, category, attributes):
    assert attributes_of(sentence, category) == attributes
