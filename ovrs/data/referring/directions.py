"""Words of direction, changed along with an image that is mirrored or turned, so that what a sentence says stays true.

English only. Words of a place that no mirror moves (``the ship in the middle``) stay, and so do those that look like a
direction and are none (``right angle``, ``on top of``). Where it cannot be told, or no other word would do, the sentence must
not be moved (:class:`UnmovableError`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal, get_args

from ovrs.errors import DataError

# Mirrored from left to right, mirrored from top to bottom, turned by a quarter counter-clockwise.
Move = Literal["mirror", "overturn", "turn"]
MOVES: tuple[Move, ...] = get_args(Move)

# Left, bottom, right, top: a quarter turn leads from each to the next. The first row that holds a word is the one it follows.
_ROWS = (
    ("left", "bottom", "right", "top"),
    ("left", "lower", "right", "upper"),
    ("left", "below", "right", "above"),
    ("leftmost", "bottommost", "rightmost", "topmost"),
    ("leftmost", "lowermost", "rightmost", "uppermost"),
    ("leftmost", "lowest", "rightmost", "highest"),
    ("left-most", "bottom-most", "right-most", "top-most"),
    ("left-hand", "bottom", "right-hand", "top"),
    ("lefthand", "bottom", "righthand", "top"),
    ("leftward", "downward", "rightward", "upward"),
    ("leftwards", "downwards", "rightwards", "upwards"),
    *(tuple(f"{point}{end}" for point in ("west", "south", "east", "north")) for end in ("", "ern", "ernmost", "most", "ward")),
)
_PLACES = {word: (row, place) for row in reversed(_ROWS) for place, word in enumerate(row)}
# Where a quarter turn leads to: "to the left of the pier" becomes "below the pier".
_BESIDE = {"left": "below", "right": "above"}
# And lines, which have no side, change places.
_TURNED = {"above": "to the left of", "below": "to the right of", "horizontal": "vertical", "vertical": "horizontal"}
_TURNED |= {"horizontally": "vertically", "vertically": "horizontally"}

_HIGH, _WIDE = "upper|lower|top|bottom", "left|right"
_POINT = "(north|south)(-?)(east|west)(ern|ernmost|most|ward)?"
_PICTURE = r"(?:the |this )?(?:image|picture|photo|photograph|scene|frame|view|tile|map)\b"
_SIDE_OF = rf"(?:(?:to|on|at) the ({_WIDE}) of|(?<!the )({_WIDE}) of)(?! {_PICTURE})"
_CORNER = rf"({_HIGH})([- ])({_WIDE})|({_WIDE})([- ])({_HIGH})"
_PLACED = rf"(?:on|at) the (left|right|top|bottom)(?![- ](?:{_HIGH}|{_WIDE}|hand|most)\b)"
_SINGLE = "|".join(sorted({*_PLACES, *_TURNED}, key=len, reverse=True))
_WORD = re.compile(rf"\b(?:{_SIDE_OF}|{_PLACED}|{_CORNER}|{_POINT}|({_SINGLE}))\b", re.IGNORECASE)

# What comes before a side that is meant as a place: "the ship on the right next to the pier".
_BEFORE_SIDES = ("the", "on", "at", "to", "in", "from", "far", "upper", "lower", "top", "bottom", "and", "or")
_A_SIDE = "".join(rf"(?<!\b{word} )" for word in _BEFORE_SIDES)
_HERE = r" (?=(?:next|beside|near|nearest|by|in|at|on|above|below|behind|between|along|against|across|outside|inside|under)\b)"
# Words that stand for no direction. Each pattern fits both words of a pair, so that none becomes what would be left alone.
_NO_DIRECTION = re.compile(
    r"\b(?:(?:(?:left|right)[- ]angle[sd]?"
    rf"|on (?:top|bottom) of(?! {_PICTURE})"
    r"|(?:flat|roof|table|hill|mountain|tree|tank)[- ](?:top|bottom)s?"
    r"|(?:top|bottom)[- ](?:down|up|view|soil|floor|deck)"
    rf"|(?:has|have|had) (?:left|right))\b|{_A_SIDE}right{_HERE})",
    re.IGNORECASE,
)
# Directions that no word of the lists follows, and what may or may not be one.
_UNMOVABLE = re.compile(
    r"\b(?:up|down|clockwise|counter-?clockwise|anti-?clockwise|o'clock"
    r"|(?:left|right)[- ](?:turn|turns|turning|over)|turn(?:s|ed|ing)? (?:left|right)"
    r"|(?:left|right) of way|(?:lower|upper|lowest|highest) than"
    rf"|{_A_SIDE}left{_HERE})\b",
    re.IGNORECASE,
)


class UnmovableError(DataError):
    """A sentence with a direction that cannot be changed with its image."""


def moved(sentence: str, moves: Sequence[Move]) -> str:
    """The sentence as it is true of an image after ``moves``, one after the other.

    A mirrored sentence mirrored again is the sentence; four quarter turns may leave other words of the same meaning.

    Raises:
        UnmovableError: see there.
    """
    for move in moves:
        sentence = _moved(sentence, move)
    return sentence


def is_moved_by(sentence: str, moves: Sequence[Move]) -> bool:
    """Whether any of ``moves`` makes the sentence untrue as it stands, or may do so."""
    try:
        return any(_moved(sentence, move) != sentence for move in moves)
    except UnmovableError:
        return True


def _moved(sentence: str, move: Move) -> str:
    kept = [match.span() for match in _NO_DIRECTION.finditer(sentence)]
    for match in _UNMOVABLE.finditer(sentence):
        if not _within(match, kept):
            raise UnmovableError(
                f"{sentence!r}: what becomes of {match[0]!r} where the image is mirrored or turned is not known"
            )
    change = _turned if move == "turn" else _mirrored
    return _WORD.sub(lambda match: match[0] if _within(match, kept) else change(match, move), sentence)


def _within(match: re.Match[str], spans: Sequence[tuple[int, int]]) -> bool:
    return any(start < match.end() and match.start() < end for start, end in spans)


def _mirrored(match: re.Match[str], move: Move) -> str:
    """Each word of what was found, by itself."""
    return re.sub(
        r"north|south|west|east|[a-z]+(?:-(?:hand|most))?", lambda word: _opposite(word[0], move), match[0], flags=re.I
    )


def _opposite(word: str, move: Move) -> str:
    row, place = _PLACES.get(word.lower(), ((), 0))
    if not row or place % 2 != (move == "overturn"):
        return word
    return _as_written(row[(place + 2) % 4], word)


def _turned(match: re.Match[str], move: Move) -> str:
    beside, close, placed, high, after, wide, wide_first, between, high_last, *point, word = match.groups()
    if beside or close:
        return _as_written(_BESIDE[(beside or close).lower()], match[0])
    if placed:
        side = _next(placed)
        return _as_written(f"{'on' if side in ('left', 'right') else 'at'} the {side}", match[0])
    if high:
        return _corner(high, wide, "{high}" + after + "{wide}", match[0])
    if wide_first:
        return _corner(high_last, wide_first, "{wide}" + between + "{high}", match[0])
    if point[0]:
        north, joint, east, end = point
        return _as_written(f"{_next(east)}{joint}{_next(north)}{end or ''}", match[0])
    return _as_written(_TURNED.get(word.lower()) or _next(word), word)


def _next(word: str) -> str:
    row, place = _PLACES[word.lower()]
    return row[(place + 1) % 4]


def _corner(high: str, wide: str, order: str, written: str) -> str:
    """The corner that follows: of the upper left one, the lower left one; in the words and the order of what was written."""
    row = _PLACES[high.lower()][0]
    new_high = row[(_PLACES[wide.lower()][1] + 1) % 4]
    return _as_written(order.format(high=new_high, wide=_next(high)), written)


def _as_written(word: str, model: str) -> str:
    """A word with the capitals of the one it stands for."""
    if model.isupper() and len(model) > 1:
        return word.upper()
    return word[:1].upper() + word[1:] if model[:1].isupper() else word
