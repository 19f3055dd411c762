"""What is asked of an image: words or a sentence, and what is said of the whole scene."""

from __future__ import annotations

from collections.abc import Sequence

from ovrs.errors import InputError
from ovrs.inference.sentence import Sentence
from ovrs.vocabulary import Vocabulary

Words = Vocabulary | str | Sequence[str]


def asked(
    words: Words | Sentence, description: str | None, threshold: float | None, *, reads_sentences: bool
) -> tuple[Vocabulary, float | None]:
    """The vocabulary that is asked for, and the confidence below which a pixel is background, None where there is none.

    Args:
        description: what is said of the whole scene; None leaves what the vocabulary says.
        threshold: that confidence, for words.
        reads_sentences: whether the model does.

    Raises:
        VocabularyError: no words, a word twice, or a description that is too long.
        InputError: a threshold beside a sentence, which has its own.
    """
    if not isinstance(words, Sentence):
        vocabulary = as_vocabulary(words)
    elif threshold is not None:
        raise InputError("a sentence has a threshold of its own; leave confidence_threshold out")
    else:
        vocabulary, threshold = words.asked(reads_sentences)
    return vocabulary if description is None else vocabulary.with_description(description), threshold


def as_vocabulary(words: Words) -> Vocabulary:
    """A vocabulary from one, from a comma list, or from a list of names.

    Raises:
        VocabularyError: no words, or a word twice.
    """
    if isinstance(words, Vocabulary):
        return words
    return Vocabulary.parse(words) if isinstance(words, str) else Vocabulary.from_names(words)
