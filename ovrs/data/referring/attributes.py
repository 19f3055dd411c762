"""What a sentence tells a thing by, read from its words: for data sets that say nothing of it themselves."""

from __future__ import annotations

import re

from ovrs.positions import is_positional

_PATTERNS = {
    "relation": r"near|nearest|close(?:st)? to|next to|beside|adjacent|between|behind|opposite|along|around|surrounded"
    r"|in front of|far(?:thest)? from|(?:left|right) of|above|below",
    "size": r"(?:large|bigg?|small|tini|tiny|huge|long|short|wide|narrow)(?:er|r|est|st)?",
    "color": r"(?:dark |light )?(?:red|green|blue|yellow|white|black|gray|grey|brown|orange|purple|pink)",
}
_FOUND = {name: re.compile(rf"\b(?:{pattern})\b", re.IGNORECASE) for name, pattern in _PATTERNS.items()}


def attributes_of(sentence: str, category: str | None = None) -> tuple[str, ...]:
    """Any of ``location`` (in the image), ``relation`` (to another thing), ``size`` and ``color``; none for a bare name.

    Args:
        sentence: what is said.
        category: the name of the thing's class, in which a word counts for nothing (the ``small vehicle`` may be large).
    """
    rest = re.sub(rf"\b{re.escape(category)}\b", " ", sentence, flags=re.IGNORECASE) if category else sentence
    location = ("location",) if is_positional(sentence) else ()
    return location + tuple(name for name, words in _FOUND.items() if words.search(rest))
