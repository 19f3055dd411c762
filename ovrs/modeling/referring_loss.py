"""The loss of referring segmentation as RMSIN's and MAFN's published code has it; the papers do not state one."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from ovrs.modeling.losses import IGNORED, over_processes
from ovrs.modeling.windows import resize

# Weights of the two sides of the cross entropy, of the two terms, and what keeps the Dice of an absent side from 0 / 0.
OUTSIDE, INSIDE = 0.9, 1.1
CROSS_ENTROPY, DICE = 0.9, 0.1
SMOOTH = 1e-6


def referring_losses(logits: Tensor, target: Tensor) -> dict[str, Tensor]:
    """Weighted cross entropy and Dice of what a sentence means, and of what it does not.

    Args:
        logits: [B, h, w], the difference of the published code's two channels; resized bilinearly to the target, as evaluation
            enlarges scores: each in the middle of its pixels. (In the published code corners are aligned, here and there.)
        target: [B, H, W]: 1 where the sentence's thing is, 0 elsewhere, 255 where nothing counts.

    Returns:
        ``loss_ce``, a mean over pixels; and ``loss_dice``, summed over both sides and the images of this process and so
        larger the larger the batch, as published. Both with their weights.
    """
    height, width = target.shape[-2:]
    logits = resize(logits.float()[:, None], (height, width))[:, 0]
    counted = (target != IGNORED).float()
    inside = (target == 1).float()
    weight = counted * (OUTSIDE + (INSIDE - OUTSIDE) * inside)
    entropy = F.binary_cross_entropy_with_logits(logits, inside, reduction="none")
    return {
        "loss_ce": CROSS_ENTROPY * (weight * entropy).sum() / over_processes(weight.sum()),
        "loss_dice": DICE * (_dice(logits.sigmoid(), inside, counted) + _dice((-logits).sigmoid(), 1 - inside, counted)).sum(),
    }


def _dice(share: Tensor, side: Tensor, counted: Tensor) -> Tensor:
    """1 - Dice of each image [B], of shares in 0..1 and what is there, both [B, H, W]."""
    share, side = share * counted, side * counted
    together, apart = (share * side).sum(dim=(1, 2)), (share + side).sum(dim=(1, 2))
    return 1 - (2 * together + SMOOTH) / (apart + SMOOTH)
