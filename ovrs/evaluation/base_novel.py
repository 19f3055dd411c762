"""Base and novel classes of a test set: those that also stood in training, by name or by a synonym, and those that did not.

This is a question of words alone. It is asked beside that of the published splits (seen and unseen), and for test sets that
have none: a model is trained on one data set and evaluated on another, whose classes partly go by the same or by kindred names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ovrs.evaluation.metrics import Counts, Mask, MeanOver, split_means
from ovrs.vocabulary import Vocabulary, VocabularyClass, normalized


@dataclass(frozen=True)
class Membership:
    """How a tested class stood in training; all None where it did not, and the class is novel.

    Attributes:
        match: ``name`` where both classes are named alike, ``synonym`` where they share another of their words.
        trained_class: name of the training class.
        trained_word: the shared word, as training spells it.
    """

    match: Literal["name", "synonym"] | None = None
    trained_class: str | None = None
    trained_word: str | None = None

    @property
    def group(self) -> str:
        """``base`` or ``novel``."""
        return "novel" if self.match is None else "base"

    def cells(self) -> dict[str, Any]:
        """The fields by name, ``group`` first."""
        return {"group": self.group, **vars(self)}

    def __str__(self) -> str:
        """For people: ``road``, ``buildings (shares building)``, or ``-``."""
        if self.match is None:
            return "-"
        return f"{self.trained_class}" if self.match == "name" else f"{self.trained_class} (shares {self.trained_word})"


def memberships(tested: Vocabulary, trained: Sequence[VocabularyClass]) -> tuple[Membership, ...]:
    """The membership of every class of ``tested``, in order.

    Two words are the same if they are so to a vocabulary (:func:`ovrs.vocabulary.normalized`): case and white space do not
    tell them apart, while hyphens and plural endings do, unless a synonym spells the other form. Of several shared words the
    first of the tested class counts, of several training classes the one that has it for a name, then the first.

    Args:
        trained: the classes that were trained, of one data set or several; a word may stand in more than one of them.
    """
    names = [(owner, owner.name) for owner in trained]
    synonyms = [(owner, word) for owner in trained for word in owner.synonyms]
    owners: dict[str, tuple[VocabularyClass, str]] = {}
    for owner, word in (*names, *synonyms):
        owners.setdefault(normalized(word), (owner, word))
    return tuple(_membership(cls, owners) for cls in tested.classes)


def _membership(cls: VocabularyClass, owners: dict[str, tuple[VocabularyClass, str]]) -> Membership:
    for own in cls.words:
        if normalized(own) in owners:
            owner, word = owners[normalized(own)]
            named = normalized(cls.name) == normalized(owner.name)
            return Membership("name" if named else "synonym", owner.name, word)
    return Membership()


def base_novel_means(counts: Counts, members: Sequence[Membership], seen: Mask, over: MeanOver) -> dict[str, float]:
    """Mean IoU of the base and of the novel classes and their harmonic mean; those called ``named-`` know only equal names.

    A division of the classes is left out where none is novel by it, and where it stands already: as the published split
    ``seen`` [N], or as that by all words.
    """
    figures: dict[str, float] = {}
    standing = [seen]
    for prefix, matches in (("", ("name", "synonym")), ("named-", ("name",))):
        base = np.array([member.match in matches for member in members], dtype=bool)
        if not base.all() and not any(np.array_equal(base, other) for other in standing):
            keys = (f"{prefix}base-mIoU", f"{prefix}novel-mIoU", f"{prefix}base-novel-h-mIoU")
            figures |= split_means(counts, base, over, keys)
        standing.append(base)
    return figures


def summarised(names: Sequence[str], members: Sequence[Membership]) -> str:
    """How many classes are base and by what, and which are novel, in a sentence."""
    named, other = (sum(member.match == match for member in members) for match in ("name", "synonym"))
    novel = [name for name, member in zip(names, members, strict=True) if member.match is None]
    return (
        f"base, standing in training too: {named + other} of {len(members)} classes, {named} by name and {other} by a synonym; "
        f"novel: {', '.join(novel) or 'none'}"
    )
