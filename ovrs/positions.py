"""Words of a sentence that name a place or a direction in the image: what a flip, a turn or a crop of it may make untrue."""

from __future__ import annotations

import re

# Read as words alone: "the right of way" counts too, and "the ship nearest the pier" does not, being true however it is turned.
_WORDS = re.compile(
    r"\b(?:(?:left|right)(?:most|hand)?|(?:left|right|up|down)wards?|(?:top|bottom)(?:most)?|(?:upper|lower)(?:most)?"
    r"|lowest|highest|above|below|middle|cent(?:er|re)|central|corner"
    r"|(?:(?:north|south)-?(?:east|west)?|east|west)(?:ern|ernmost|most|ward)?)\b",
    re.IGNORECASE,
)


def position_words(sentence: str) -> tuple[str, ...]:
    """The words of position in lower case, in their order: ``("upper", "left")`` of "the upper-left plane"."""
    return tuple(word.lower() for word in _WORDS.findall(sentence))


def is_positional(sentence: str) -> bool:
    """Whether a sentence names a place or a direction in the image."""
    return _WORDS.search(sentence) is not None
