"""Lines that tell the user what a model makes no use of, or would have made use of."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ovrs.vocabulary import Vocabulary

if TYPE_CHECKING:
    from ovrs.inference.whereabouts import Whereabouts

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

    def told(
        self, model: object, vocabulary: Vocabulary, where: Whereabouts | None, *, climate: str, sar: bool
    ) -> tuple[tuple[str, str], ...]:
        """All that is to be said of what a model is given beside an image.

        Args:
            model: a :class:`~ovrs.inference.tile_models.TileModel`.
            vocabulary: with the description that the model is given.
            where: what a model that reads places is told of an image; None for one that reads none.
            climate: what the user says of the place, "" where that is nothing.
            sar: whether there is a SAR partner.

        Returns:
            For the tags of what is written.
        """
        reads = {name: bool(getattr(model, name, False)) for name in ("reads_descriptions", "reads_sar")}
        facts = self.of_place(where, climate)
        facts += self.beside(vocabulary.description, sar, lacked="" if where is None else where.lacked, **reads)
        return facts + self.of_words(vocabulary, reads_sentences=bool(getattr(model, "reads_sentences", False)))

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

    def of_place(self, where: Whereabouts | None, climate: str) -> tuple[tuple[str, str], ...]:
        """Say it if a model reads no places and one is given, or does and does not know the place; see :meth:`told`."""
        if where is None:
            if climate:
                self.say(f"this model reads no descriptions of places: where an image was taken ({climate}) changes nothing")
            return ()
        if where.hint:
            self.say(where.hint)
        return where.facts

    def beside(
        self, description: str, sar: bool, *, reads_descriptions: bool, reads_sar: bool, lacked: str = ""
    ) -> tuple[tuple[str, str], ...]:
        """What a model is given beside an image and words, against what it reads: a hint for what it ignores or lacks.

        Args:
            description: what is said of the whole scene, "" where nothing is.
            sar: whether there is a SAR partner.
            lacked: what the description lacks, which :meth:`of_place` has said.

        Returns:
            For the tags of what is written: a description that is read, and what was lacking.
        """
        lacking = [lacked] if lacked else []
        if description and not reads_descriptions:
            self.say("this model reads words alone: what is said of the whole scene (the description) changes nothing")
        if sar and not reads_sar:
            self.say("this model reads optical images alone: their SAR partners change nothing")
        if reads_sar and not sar:
            self.say("this model also reads SAR, and none was given: it answers from the image alone")
            lacking.append("SAR")
        if reads_descriptions and not description:
            self.say("this model also reads what is said of the whole scene (a description), and nothing was said")
            lacking.append("a description")
        said = (("DESCRIPTION", description),) if description and reads_descriptions else ()
        return (*said, ("LACKED", " and ".join(lacking))) if lacking else said
