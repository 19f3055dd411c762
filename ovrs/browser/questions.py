"""What a guest typed, as a vocabulary or a sentence."""

from __future__ import annotations

from ovrs.inference.sentence import Sentence
from ovrs.vocabulary import Background, Vocabulary
from ovrs.vocabulary_files import presets


def question_of(
    words: str | None, one_sentence: bool, background: str | None = None, threshold: float | None = None
) -> tuple[Vocabulary | Sentence, float | None]:
    """What was typed: classes (see :func:`vocabulary_of`), or a sentence that is taken whole.

    Raises:
        VocabularyError: no words, or no sentence.
    """
    if not one_sentence:
        return vocabulary_of(words, background, threshold)
    return Sentence(words or "", threshold=threshold or None, others=_split(background) or None), None


def vocabulary_of(
    words: str | None, background: str | None = None, threshold: float | None = None
) -> tuple[Vocabulary, float | None]:
    """The vocabulary of what was typed, and the confidence threshold to segment with.

    Args:
        words: a comma list, synonyms behind bars; the text of a ready vocabulary brings its colours with it.
        background: words for everything else, or nothing.
        threshold: a pixel less sure is background; 0 and None have no such rule.

    Raises:
        VocabularyError: see :class:`Vocabulary`.
    """
    ready = {words_of(preset): preset for preset in map(Vocabulary.preset, presets())}
    words = words or ""
    vocabulary = ready.get(words.strip()) or Vocabulary.parse(words)
    others = _split(background)
    if others:
        return vocabulary.with_background(Background("words", others)), threshold or None
    if threshold:
        return vocabulary.with_background(Background("threshold", threshold=threshold)), None
    return vocabulary.with_background(Background()), None


def _split(words: str | None) -> tuple[str, ...]:
    return tuple(word.strip() for word in (words or "").split(",") if word.strip())


def words_of(vocabulary: Vocabulary) -> str:
    """The classes as one would type them."""
    return ", ".join("|".join(cls.words) for cls in vocabulary.classes)
