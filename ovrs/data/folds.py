"""Folds of the seen classes: some are hidden from a training, and stand for unseen ones in its evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ovrs.errors import ConfigError
from ovrs.vocabulary import Vocabulary, VocabularyClass, normalized


def trained_classes(own: Vocabulary, *, seen_only: bool, hidden: Sequence[str] = ()) -> dict[int, VocabularyClass]:
    """The classes by label that a training uses: all or the seen ones, without the hidden ones.

    Raises:
        ConfigError: no class is left, or see :func:`evaluated_classes`.
    """
    labels = _hidden_labels(own, hidden)
    kept = {label: cls for label, cls in enumerate(own.classes) if (cls.seen or not seen_only) and label not in labels}
    if not kept:
        raise ConfigError(
            f"no class of {', '.join(own.names)} is seen; set DATASETS.TRAIN_CLASSES to all, or hide fewer classes"
        )
    return kept


def evaluated_classes(own: Vocabulary, hidden: Sequence[str] = ()) -> dict[int, VocabularyClass]:
    """The classes by label that an evaluation uses: all; in a fold the seen ones alone, of which the hidden count as unseen.

    Raises:
        ConfigError: a hidden name is no seen class of ``own``, or none is left seen.
    """
    labels = _hidden_labels(own, hidden)
    if not labels:
        return dict(enumerate(own.classes))
    kept = {label: replace(cls, seen=label not in labels) for label, cls in enumerate(own.classes) if cls.seen}
    if len(kept) == len(labels):
        raise ConfigError("DATASETS.HIDDEN_CLASSES hides every seen class; leave one to train on")
    return kept


def evaluated_vocabulary(own: Vocabulary, hidden: Sequence[str] = ()) -> Vocabulary:
    """:func:`evaluated_classes` in label order; all else stays."""
    return replace(own, classes=tuple(evaluated_classes(own, hidden).values()))


def _hidden_labels(own: Vocabulary, hidden: Sequence[str]) -> set[int]:
    seen = {normalized(cls.name): label for label, cls in enumerate(own.classes) if cls.seen}
    wrong = [name for name in hidden if normalized(name) not in seen]
    if wrong:
        names = ", ".join(cls.name for cls in own.classes if cls.seen)
        raise ConfigError(f"DATASETS.HIDDEN_CLASSES: {wrong[0]!r} is not one of the seen classes, which are {names}")
    return {seen[normalized(name)] for name in hidden}
