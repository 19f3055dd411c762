"""Lines that tell the user what a model makes no use of, or would have made use of."""

from __future__ import annotations

import logging

from ovrs.vocabulary import Vocabulary

logger = logging.getLogger(__name__)


class Hints:
    """Says each hint once, as a line ``hint: ...`` of the log; without a log set up it goes to standard error."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def say(self, hint: str) -> None:
        """Say it, unless it was said."""
        if hint not in self._said:
            self._said.add(hint)
            logger.warning("hint: %s", hint)

    def of_scale(self, given: str, learnt: str) -> None:
        """Say it if SAR is ``given`` on another scale than a model has ``learnt``, each ``db`` or ``8bit``; "" says nothing."""
        names = {"db": "decibels", "8bit": "pictures of eight bits"}
        if learnt in names and given != learnt:
            self.say(f"SAR is given as {names[given]}, and this model learnt from {names[learnt]}: do not rely on its map")

    def of_words(self, vocabulary: Vocabulary, *, reads_sentences: bool) -> tuple[tuple[str, str], ...]:
        """Say it if several classes are asked of a model that reads sentences; for the tags of what is written."""
        if not reads_sentences or vocabulary.num_classes < 2:
            return ()
        self.say(
            "this model reads sentences and answers each class by itself, as one sentence; classes have not learnt to share an "
            "image, so ask one after the other: --expression 'the ship on the left', again for each (Segmenter.refer in Python)"
        )
        return (("WORDS", "each class read as a sentence by itself"),)

    def beside(self, description: str, sar: bool, *, reads_descriptions: bool, reads_sar: bool) -> tuple[tuple[str, str], ...]:
        """What a model is given beside an image and words, against what it reads: a hint for what it ignores or lacks.

        Args:
            description: what is said of the whole scene, "" where nothing is.
            sar: whether there is a SAR partner.

        Returns:
            For the tags of what is written: a description that is read, and what was lacking.
        """
        lacked = []
        if description and not reads_descriptions:
            self.say("this model reads words alone: what is said of the whole scene (the description) changes nothing")
        if sar and not reads_sar:
            self.say("this model reads optical images alone: their SAR partners change nothing")
        if reads_sar and not sar:
            self.say("this model also reads SAR, and none was given: it answers from the image alone")
            lacked.append("SAR")
        if reads_descriptions and not description:
            self.say("this model also reads what is said of the whole scene (a description), and nothing was said")
            lacked.append("a description")
        said = (("DESCRIPTION", description),) if description and reads_descriptions else ()
        return (*said, ("LACKED", " and ".join(lacked))) if lacked else said
