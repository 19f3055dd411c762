"""Several prompts of one class as one vector, and one more prompt among several."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def average_prompts(text: Tensor) -> Tensor:
    """Embeddings [..., P, C] averaged over prompts, of unit length before and after -> [..., C]."""
    return F.normalize(F.normalize(text, dim=-1).mean(dim=-2), dim=-1)


def with_sentence(text: Tensor, sentence: Tensor, said: Tensor) -> Tensor:
    """Embeddings of P prompts with one further prompt averaged into each of them: ``p -> unit(P unit(p) + unit(sentence))``.

    That is the weight of one prompt in P + 1: but for the last change of length, the mean over the P is that of all P + 1.
    There are as many as before, so a cost volume keeps its channels.

    Args:
        text: [N, P, C].
        sentence: the further prompt of each class [..., N, C].
        said: bool [..., N], false where there is none: those prompts stay as they are.

    Returns:
        [..., N, P, C].
    """
    further = F.normalize(sentence, dim=-1).unsqueeze(-2)
    mixed = F.normalize(text.shape[-2] * F.normalize(text, dim=-1) + further, dim=-1)
    return torch.where(said[..., None, None], mixed, text)
