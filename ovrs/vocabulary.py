"""The vocabulary: what the user asks for, as one immutable object from the command line to the cost volume.

A vocabulary is an ordered list of classes, each with synonyms, and a policy that says what a pixel is that none of them fits.
"""

from __future__ import annotations

import os
import re
import reprlib
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ovrs.errors import VocabularyError
from ovrs.palette import Color, assign_colors

Policy = Literal["none", "words", "threshold"]
# How the scores of a class's words become its own.
Synonyms = Literal["max", "mean"]

BACKGROUND_NAME = "background"

# Limits that no use meets, but a wrong file does: of words in all; of characters in a word, and in a description.
MAX_WORDS = 10_000
MAX_LENGTH = 500
MAX_DESCRIPTION = 4_000


def cleaned(word: object, owner: str, longest: int = MAX_LENGTH) -> str:
    """A word with single spaces; it may be empty.

    Raises:
        VocabularyError: it is no text, too long, or holds what cannot be shown; ``owner`` says whose word it is.
    """
    if not isinstance(word, str):
        raise VocabularyError(f"{owner}: {shortened(word)} is no text")
    word = " ".join(word.split())
    if len(word) > longest:
        raise VocabularyError(f"{owner}: {shortened(word)} has {len(word):,} characters; {longest:,} are allowed")
    hidden = [char for char in word if unicodedata.category(char) in ("Cc", "Cs")]
    if hidden or (word and not any(char.isprintable() and char != " " for char in word)):
        raise VocabularyError(f"{owner}: {word!a} holds U+{ord((hidden or word)[0]):04X}, which cannot be shown; remove it")
    return word


def shortened(value: object) -> str:
    """What stands in a message for something that a user gave, however large it is."""
    return reprlib.repr(value)


def normalized(word: str) -> str:
    """The form in which two words count as the same: case and runs of white space do not matter."""
    return " ".join(word.split()).casefold()


@dataclass(frozen=True)
class VocabularyClass:
    """One class: the name it is shown by, other words for it, its colour (RGB, 0..255), and whether training sees its labels.

    Where its score is below ``threshold`` (0..1) it is not chosen; None leaves that to the background policy.

    Raises:
        VocabularyError: an empty name or synonym or one that :func:`cleaned` refuses, a colour that is not three values of
            0..255, or a threshold outside 0..1.
    """

    name: str
    synonyms: tuple[str, ...] = ()
    color: Color | None = None
    seen: bool = True
    threshold: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", cleaned(self.name, "a class"))
        object.__setattr__(self, "synonyms", tuple(cleaned(word, f"class {self.name!r}") for word in self.synonyms))
        if not all(self.words):
            raise VocabularyError(f"a class has an empty name or synonym: {shortened(list(self.words))}")
        if self.color is not None:
            color = tuple(int(value) for value in self.color)
            if len(color) != 3 or not all(0 <= value <= 255 for value in color):
                raise VocabularyError(f"class {self.name!r}: the colour {list(color)} is not red, green, blue of 0..255")
            object.__setattr__(self, "color", color)
        if self.threshold is not None and not 0.0 <= self.threshold <= 1.0:
            raise VocabularyError(f"class {self.name!r}: the threshold {self.threshold} is outside 0..1")

    @property
    def words(self) -> tuple[str, ...]:
        """The name, then its synonyms."""
        return (self.name, *self.synonyms)


@dataclass(frozen=True)
class Background:
    """What becomes of a pixel that fits no class.

    ``none``: it takes the best class all the same. ``words``: distractor words compete with the classes, and where one of
    them wins the pixel is background. ``threshold``: a pixel is background where the best class's confidence is below
    ``threshold`` (0..1).

    Raises:
        VocabularyError: an unknown policy, ``words`` without a word, or a threshold outside 0..1.
    """

    policy: Policy = "none"
    words: tuple[str, ...] = ()
    threshold: float = 0.5

    def __post_init__(self) -> None:
        object.__setattr__(self, "words", tuple(cleaned(word, "the background") for word in self.words))
        if self.policy not in get_args(Policy):
            raise VocabularyError(
                f"unknown background policy {shortened(self.policy)}; there are {', '.join(get_args(Policy))}"
            )
        if self.policy == "words" and not (self.words and all(self.words)):
            raise VocabularyError("the background policy 'words' needs at least one word, and no empty one")
        if self.policy != "words" and self.words:
            raise VocabularyError(
                f"the background policy {self.policy!r} takes no words, but has {shortened(list(self.words))}"
            )
        if not 0.0 <= self.threshold <= 1.0:
            raise VocabularyError(f"the background threshold {self.threshold} is outside 0..1")


@dataclass(frozen=True)
class Vocabulary:
    """Classes in the order of the map's values, and the background policy. Hashable, picklable, immutable.

    The score of a class is that of its best word, or with ``synonyms="mean"`` the mean over its words. ``description`` is what
    is said of the whole scene, "" where nothing is; a system that reads no descriptions answers as without one.
    ``class_descriptions`` say one sentence of each class, "" of none; they belong to a place, and files leave them out.

    Raises:
        VocabularyError: no class, more than ``MAX_WORDS`` words, a word given twice (also across synonyms; case and white
            space do not tell apart), a class with a threshold and no background for what falls below it, class descriptions
            not one a class, or a description that is too long or cannot be shown.
    """

    classes: tuple[VocabularyClass, ...]
    background: Background = Background()
    synonyms: Synonyms = "max"
    description: str = ""
    class_descriptions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", tuple(self.classes))
        object.__setattr__(self, "description", cleaned(self.description, "the description", MAX_DESCRIPTION))
        if not self.classes:
            raise VocabularyError("the vocabulary is empty; name at least one class")
        said = tuple(cleaned(text, f"class description {place}") for place, text in enumerate(self.class_descriptions, 1))
        if len(said) not in (0, len(self.classes)):
            raise VocabularyError(f"{len(said)} class descriptions for {len(self.classes)} classes; give one for each, or none")
        object.__setattr__(self, "class_descriptions", said if any(said) else ())
        if len(self.rows) > MAX_WORDS:
            raise VocabularyError(
                f"the vocabulary has {len(self.rows):,} words, synonyms and background included; {MAX_WORDS:,} are allowed"
            )
        owners: dict[str, str] = {}
        for cls in self.classes:
            for word in cls.words:
                _claim(owners, word, f"class {cls.name!r}")
        if self.background.policy != "none" and normalized(BACKGROUND_NAME) in owners:
            raise VocabularyError(
                f"{BACKGROUND_NAME!r} is a class here and also the name of what the background policy "
                f"{self.background.policy!r} leaves over; drop one of the two"
            )
        for word in self.background.words:
            _claim(owners, word, "the background")
        if self.synonyms not in get_args(Synonyms):
            raise VocabularyError(
                f"synonyms are taken together by {shortened(self.synonyms)}; there are {', '.join(get_args(Synonyms))}"
            )
        limited = [cls.name for cls in self.classes if cls.threshold is not None]
        if limited and self.background.policy == "none":
            raise VocabularyError(
                f"class {limited[0]!r} has a threshold, but there is no background for what falls below it; name words for it, "
                "or a threshold for all"
            )

    def __len__(self) -> int:
        return len(self.names)

    @property
    def names(self) -> tuple[str, ...]:
        """Class names by map value; ``background`` comes last where there is a background policy."""
        names = tuple(cls.name for cls in self.classes)
        return names if self.background.policy == "none" else (*names, BACKGROUND_NAME)

    @property
    def num_classes(self) -> int:
        """How many classes there are, the background not counted."""
        return len(self.classes)

    @property
    def rows(self) -> tuple[str, ...]:
        """Every word that is embedded: the words of each class in class order, then the background's."""
        return (*(word for cls in self.classes for word in cls.words), *self.background.words)

    @property
    def row_classes(self) -> tuple[int, ...]:
        """For each of ``rows``, the index into ``names`` that it votes for."""
        owners = [index for index, cls in enumerate(self.classes) for _ in cls.words]
        return (*owners, *[self.num_classes] * len(self.background.words))

    @property
    def palette(self) -> NDArray[np.uint8]:
        """Colours uint8 [len(names), 3]: those given, and distinct readable ones for the others; the background is grey."""
        given: list[Color | None] = [cls.color for cls in self.classes]
        if len(self.names) > len(given):
            given.append((110, 110, 110))
        return np.array(assign_colors(self.names, tuple(given)), dtype=np.uint8)

    @classmethod
    def from_names(cls, names: Iterable[str]) -> Vocabulary:
        """One class per name, taken whole."""
        return cls(tuple(VocabularyClass(name) for name in names))

    @classmethod
    def parse(cls, text: str) -> Vocabulary:
        """Read a comma list with synonyms behind bars: ``"ship|boat|vessel, bridge"``.

        Raises:
            VocabularyError: no word, a word twice, or what looks like the name of a vocabulary file.
        """
        if text.strip().lower().endswith((".yaml", ".yml", ".json", ".txt")):
            raise VocabularyError(
                f"{text.strip()}: looks like a file, not like words; a vocabulary file must exist (--vocab-file)"
            )
        return cls(tuple(class_from_words(entry, r"\|") for entry in text.split(",") if entry.strip(" |\t\n")))

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Vocabulary:
        """Read a vocabulary file: ``.txt`` (SegEarth's form), ``.json`` (CAT-Seg's form, or ovrs's) or ``.yaml`` (ovrs's own).

        Raises:
            VocabularyError: the file is missing, unreadable, of an unknown kind, empty, or names a class twice.
        """
        from ovrs.vocabulary_files import read_vocabulary

        return read_vocabulary(path)

    @classmethod
    def preset(cls, name: str) -> Vocabulary:
        """A ready vocabulary by name, see :func:`ovrs.vocabulary_files.presets`.

        Raises:
            VocabularyError: there is none of that name.
        """
        from ovrs.vocabulary_files import read_preset

        return read_preset(name)

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write ovrs's own form as YAML or JSON, from which :meth:`read` gives an equal vocabulary, class descriptions aside.

        Raises:
            VocabularyError: the name does not end in ``.yaml``, ``.yml`` or ``.json``, or the file cannot be written.
        """
        from ovrs.vocabulary_files import write_vocabulary

        write_vocabulary(self, path)

    def with_background(self, background: Background) -> Vocabulary:
        """The same classes under another background policy."""
        return replace(self, background=background)

    def with_description(self, text: str) -> Vocabulary:
        """The same classes in a scene of which ``text`` is said; "" says nothing."""
        return replace(self, description=text)

    def with_class_descriptions(self, sentences: Iterable[str]) -> Vocabulary:
        """The same classes with a sentence said of each, in their order; "" says nothing, () nothing of any."""
        return replace(self, class_descriptions=tuple(sentences))

    def seen_only(self) -> Vocabulary:
        """The classes whose labels training sees, in order; all else stays."""
        said = tuple(said for cls, said in zip(self.classes, self.class_descriptions, strict=False) if cls.seen)
        return replace(self, classes=tuple(cls for cls in self.classes if cls.seen), class_descriptions=said)


def class_from_words(text: str, separator: str) -> VocabularyClass:
    """A class from its words on one line; empty ones between two separators are skipped."""
    words = [word for word in re.split(separator, text) if word.strip()]
    if not words:
        raise VocabularyError(f"{shortened(text)} names no class")
    return VocabularyClass(words[0], tuple(words[1:]))


def _claim(owners: dict[str, str], word: str, owner: str) -> None:
    key = normalized(word)
    if key in owners:
        raise VocabularyError(f"{word!r} is given twice: by {owners[key]} and by {owner}")
    owners[key] = owner
