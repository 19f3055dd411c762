"""A sentence in place of a vocabulary: what it says is one class, and all else is background."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

from ovrs.errors import VocabularyError
from ovrs.vocabulary import BACKGROUND_NAME, Background, Vocabulary, VocabularyClass, cleaned, shortened

How = Literal["auto", "windows", "whole"]

# What a sentence competes with where a system knows words and no sentences: what covers most images, each with other words for
# it. One that the sentence itself names, by any of them, is left out.
OTHERS: dict[str, tuple[str, ...]] = {
    "water": ("river", "lake", "sea", "pond"),
    "building": ("house", "roof"),
    "road": ("street",),
    "tree": ("forest", "wood"),
    "grass": ("meadow", "lawn"),
    "bare soil": ("soil", "sand", "ground"),
    "pavement": ("parking",),
    "cropland": ("field", "farmland", "crop"),
    "harbor": ("harbour", "pier", "quay", "dock"),
    "bridge": (),
    "vehicle": ("car", "truck", "bus"),
    "ship": ("boat", "vessel"),
}
THRESHOLD = 0.5
# Of what a sentence says; readable on water, roofs and fields.
_COLOR = (255, 196, 0)
# Characters of a sentence in the name of a file.
_NAME_LENGTH = 40


@dataclass(frozen=True)
class Sentence:
    """What is asked of a scene in one sentence.

    Attributes:
        text: taken whole; commas and bars are part of it.
        grounding: whether the scene is read in ``windows``, each by itself, or as a ``whole``, reduced to one window of the
            model; ``auto`` chooses (:func:`ovrs.inference.grounding.ground`).
        threshold: the score from which on a pixel is in the mask; None takes 0.5 without other words, and beside them none.
        others: words that compete with the sentence; None takes none for systems that read sentences, and :data:`OTHERS`
            for those that know words.

    Raises:
        VocabularyError: no sentence, one too long, another grounding or a threshold outside 0..1.
    """

    text: str
    grounding: How = "auto"
    threshold: float | None = None
    others: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", cleaned(self.text, "the sentence"))
        if not any(char.isalnum() for char in self.text):
            raise VocabularyError(f"the sentence {self.text!r} holds no word; say what to find, as 'the ship on the left'")
        if self.grounding not in get_args(How):
            raise VocabularyError(f"unknown grounding {shortened(self.grounding)}; there are {', '.join(get_args(How))}")
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise VocabularyError(f"the threshold {self.threshold:g} of a sentence is outside 0..1")

    @property
    def names(self) -> tuple[str, str]:
        """What the values of the map are called: the sentence, and the background."""
        return self.text, BACKGROUND_NAME

    @property
    def slug(self) -> str:
        """The sentence as part of a file's name."""
        return re.sub(r"\W+", "-", self.text.lower()).strip("-_")[:_NAME_LENGTH].rstrip("-_")

    def asked(self, reads_sentences: bool) -> tuple[Vocabulary, float | None]:
        """The vocabulary of one, and the confidence threshold beside its other words.

        Args:
            reads_sentences: the system does, and 0.5 is the border of its scores.
        """
        usual = () if reads_sentences else tuple(word for word, same in OTHERS.items() if not _names(self.text, word, *same))
        others = usual if self.others is None else self.others
        border = THRESHOLD if self.threshold is None else self.threshold
        background = Background("words", others) if others else Background("threshold", threshold=border)
        return Vocabulary((VocabularyClass(self.text, color=_COLOR),), background), self.threshold if others else None


def _names(sentence: str, *words: str) -> bool:
    """Whether one of the words stands in a sentence, in the singular or the plural."""
    return re.search(rf"\b(?:{'|'.join(map(re.escape, words))})(?:e?s)?\b", sentence, re.IGNORECASE) is not None
