"""What a system reads that takes in class names and what is said of the whole scene."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ovrs.modeling.encoders.text_tokens import TextTokens

SURE = 1e-6  # a class's share of the softmax never comes nearer to 1


@dataclass(frozen=True)
class SceneText:
    """The words of a batch: those of N classes, and what is said of each image.

    Attributes:
        classes: [N, E].
        counts: how many rows of ``classes`` each name has, its synonyms; () = one each.
        description: of one image each, or of all alike where it holds one; a row without tokens is of an image of which
            nothing is said. None where nothing is said of any.
        channels: of a head that is bound to a list of classes, those that answer for each name, see
            :class:`~ovrs.modeling.bound_classes.BoundClasses`; () of other heads, and where words are read alone.
        said: the texts of ``description``, where a system asks which of them are the same.
    """

    classes: Tensor
    description: TextTokens | None = None
    counts: tuple[int, ...] = ()
    said: tuple[str, ...] = ()
    channels: tuple[tuple[int, ...], ...] = ()


def share_logits(logits: Tensor, counts: Sequence[int]) -> Tensor:
    """log p - log (1 - p) of the softmax p over names, each by its best word, for all its rows: [B, rows, H, W] -> the same.

    ``counts`` says how many rows each name has; () = one each.
    """
    shares = best_words(logits, counts).log_softmax(dim=1)
    logits = shares - torch.log1p(-shares.exp().clamp(max=1 - SURE))
    return logits.repeat_interleave(torch.tensor(counts, device=logits.device), dim=1) if counts else logits


def best_words(logits: Tensor, counts: Sequence[int]) -> Tensor:
    """Logits [B, rows, H, W] -> [B, names, H, W]: that of the best of each name's rows, which stand together."""
    if len(counts) in (0, logits.shape[1]):
        return logits
    return torch.stack([words.amax(dim=1) for words in logits.split(list(counts), dim=1)], dim=1)
