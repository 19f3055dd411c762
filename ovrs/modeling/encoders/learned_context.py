"""What a system learns to say before every class's name: vectors in the place of words (TSMNet eq. 4, DenseCLIP, CoOp)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ovrs.modeling.encoders.text import ClipText, SentenceText

SPREAD = 0.02  # of the vectors at first: as CLIP's own embeddings of tokens were drawn


class LearnedContext(nn.Module):
    """[p, e_k] of eq. 4: vectors between the start token and the tokens of each text, through CLIP's text tower.

    Args:
        length: how many vectors.
        width: channels of a token of the tower.
    """

    def __init__(self, *, length: int, width: int) -> None:
        super().__init__()
        self.vectors = nn.Parameter(torch.randn(length, width) * SPREAD)

    def forward(self, tower: ClipText, texts: Sequence[str]) -> Tensor:
        """Embed ``texts`` -> [len(texts), C], not normalised."""
        return tower(texts, self.vectors)


class LearnedOffset(nn.Module):
    """The same for a sentence encoder that is no module, into which no vector can be put: one vector added to all embeddings.

    Args:
        dim: C, channels of an embedding.
    """

    def __init__(self, *, dim: int) -> None:
        super().__init__()
        self.offset = nn.Parameter(torch.zeros(dim))

    def forward(self, tower: SentenceText, texts: Sequence[str]) -> Tensor:
        """Embed ``texts`` -> [len(texts), C], not normalised."""
        embedded: Tensor = tower(texts)
        return embedded + self.offset
