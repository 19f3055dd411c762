"""Several prompts of one class as one vector."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def average_prompts(text: Tensor) -> Tensor:
    """Embeddings [N, P, C] averaged over prompts, of unit length before and after -> [N, C]."""
    return F.normalize(F.normalize(text, dim=-1).mean(dim=1), dim=-1)
