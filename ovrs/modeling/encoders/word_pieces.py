"""BERT's way of cutting sentences into pieces of words that it knows."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from pathlib import Path

import torch
from tokenizers.implementations import BertWordPieceTokenizer
from torch import Tensor

from ovrs.errors import ConfigError, WeightsError

logger = logging.getLogger(__name__)

PADDING, UNKNOWN, FIRST, LAST = "[PAD]", "[UNK]", "[CLS]", "[SEP]"
TRIED = 64  # words of a vocabulary that its tokenizer must know


class WordPieces:
    """Sentences to numbers of word pieces.

    Sentences are read in lower case unless the vocabulary has words with capitals. Longer ones than ``max_tokens`` are cut
    behind it, the closing ``[SEP]`` with them, as MAFN's published code does.

    Args:
        vocabulary: the pieces in the order of their numbers.
        max_tokens: longest sentence, ``[CLS]`` and ``[SEP]`` included.
        origin: the file, for messages.

    Raises:
        ConfigError: no room for a word in ``max_tokens``.
        WeightsError: a vocabulary without BERT's special tokens, or one whose words are not found by it.
    """

    def __init__(self, vocabulary: Sequence[str], *, max_tokens: int = 20, origin: str = "the vocabulary") -> None:
        if max_tokens < 3:
            raise ConfigError(f"sentences of {max_tokens} tokens have no room for a word beside {FIRST} and {LAST}; give 3")
        numbers = {piece: number for number, piece in enumerate(vocabulary)}
        missing = [piece for piece in (PADDING, UNKNOWN, FIRST, LAST) if piece not in numbers]
        if missing:
            raise WeightsError(f"{origin}: no vocabulary of BERT's: it lacks {', '.join(missing)}")
        cased = any(piece != piece.lower() and not re.fullmatch(r"\[.*\]", piece) for piece in vocabulary)
        self.max_tokens = max_tokens
        self.size = len(vocabulary)
        self.padding, self.unknown = numbers[PADDING], numbers[UNKNOWN]
        self._tokenizer = BertWordPieceTokenizer(numbers, lowercase=not cased)
        self._warned: set[str] = set()
        self._require_known(vocabulary, origin)

    def __call__(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Numbers [N, L] of N >= 1 sentences, padded to the longest, and which of them are tokens [N, L] (bool)."""
        rows = [self._numbers(text) for text in texts]
        length = max(len(row) for row in rows)
        numbers = torch.tensor([row + [self.padding] * (length - len(row)) for row in rows])
        lengths = torch.tensor([len(row) for row in rows])
        return numbers, torch.arange(length) < lengths[:, None]

    def count(self, text: str) -> int:
        """How many tokens a sentence has, ``[CLS]`` and ``[SEP]`` included, before anything is cut off."""
        return len(self._tokenizer.encode(text).ids)

    def _numbers(self, text: str) -> list[int]:
        numbers: list[int] = self._tokenizer.encode(text).ids
        if self.unknown in numbers:
            self._warn_once("unknown", f"{text!r} holds a word that the text encoder cannot spell; it reads {UNKNOWN} instead")
        if len(numbers) > self.max_tokens:
            self._warn_once("cut", f"{text!r} has {len(numbers)} tokens and is read up to the {self.max_tokens}th")
        return numbers[: self.max_tokens]

    def _warn_once(self, what: str, message: str) -> None:
        if what not in self._warned:
            self._warned.add(what)
            logger.warning("%s; further sentences of this kind are not mentioned", message)

    def _require_known(self, vocabulary: Sequence[str], origin: str) -> None:
        """Some ways of building a tokenizer leave it without its vocabulary: every word is then [UNK], and nothing says so."""
        words = [piece for piece in vocabulary if piece.isascii() and piece.isalpha()][:TRIED]
        lost = [word for word in words if self._tokenizer.encode(word, add_special_tokens=False).tokens != [word]]
        if lost:
            raise WeightsError(f"{origin}: its tokenizer does not know its own words: {', '.join(lost[:8])}")


def read_vocabulary(path: Path) -> list[str]:
    """The pieces in a ``vocab.txt``, one a line.

    Raises:
        WeightsError: missing or not text.
    """
    try:
        return path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise WeightsError(f"{path}: not readable as a vocabulary of word pieces: {reason}") from error
