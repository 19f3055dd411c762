"""What a system reads that takes in class names and what is said of the whole scene."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ovrs.modeling.encoders.text_tokens import TextTokens


@dataclass(frozen=True)
class SceneText:
    """The words of a batch: those of N classes, and what is said of each image.

    Attributes:
        classes: [N, E].
        counts: how many rows of ``classes`` each name has, its synonyms; () = one each.
        description: of one image each, or of all alike where it holds one; a row without tokens is of an image of which
            nothing is said. None where nothing is said of any.
    """

    classes: Tensor
    description: TextTokens | None = None
    counts: tuple[int, ...] = ()


def best_words(logits: Tensor, counts: Sequence[int]) -> Tensor:
    """Logits [B, rows, H, W] -> [B, names, H, W]: that of the best of each name's rows, which stand together."""
    if len(counts) in (0, logits.shape[1]):
        return logits
    return torch.stack([words.amax(dim=1) for words in logits.split(list(counts), dim=1)], dim=1)
