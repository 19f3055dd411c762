"""From scores of words to scores of the names that they stand for."""

from __future__ import annotations

from itertools import groupby

import torch
from torch import Tensor

from ovrs.vocabulary import Synonyms, Vocabulary


def rows_to_names(logits: Tensor, vocabulary: Vocabulary) -> Tensor:
    """[B, rows, h, w] -> [B, names, h, w]: the words of each name together; a threshold becomes a constant channel."""
    owners = vocabulary.row_classes
    if len(owners) > len(set(owners)):
        counts = [len(list(rows)) for _, rows in groupby(owners)]  # the rows of a name stand together
        groups = logits.split(counts, dim=1)
        logits = torch.stack([_together(words, vocabulary.synonyms) for words in groups], dim=1)
    if vocabulary.background.policy == "threshold":
        constant = torch.full_like(logits[:, :1], vocabulary.background.threshold).logit()
        logits = torch.cat([logits, constant], dim=1)
    return logits


def _together(words: Tensor, how: Synonyms) -> Tensor:
    """[B, words, h, w] -> [B, h, w]: the best word, or the mean of their scores in 0..1."""
    return words.amax(dim=1) if how == "max" else words.sigmoid().mean(dim=1).logit(eps=1e-6)
