"""What words say of each place: the score map (TSMNet eq. 7), and the words themselves weighed by it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def score_map(features: Tensor, text: Tensor) -> Tensor:
    """s = cosine of every place and every class (eq. 7).

    Args:
        features: z [B, E, H, W].
        text: t [B, N, E], the words of each image.

    Returns:
        [B, N, H, W] in -1..1, whatever the lengths of either.
    """
    features = F.normalize(features, dim=1)
    return torch.einsum("behw,bne->bnhw", features, F.normalize(text, dim=-1).to(features.dtype))


def text_prior(scores: Tensor, text: Tensor, *, temperature: float = 0.07) -> Tensor:
    """sum over classes k of softmax(s / temperature)_k t_k: what a place is likely to be, in the channels of words.

    The paper concatenates s itself to the features, which fixes the number of classes. This has the channels of words, however
    many classes there are and in whatever order.

    Args:
        scores: s [B, N, H, W], see :func:`score_map`.
        text: t [B, N, E], taken as it is: lengths matter.
        temperature: of the softmax over classes.

    Returns:
        [B, E, H, W].
    """
    shares = (scores.float() / temperature).softmax(dim=1)
    return torch.einsum("bnhw,bne->behw", shares.to(text.dtype), text)
