"""What the scores of one image decide, pixel by pixel: the best seen, the best unseen and the best of all names.

All that a report needs follows from these few planes, so the scores are read once and not kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

# A score is kept this far from 0 and 1 before its logit is taken, which bounds the logit to about 13.8.
CLAMP = 1e-6


@dataclass(frozen=True)
class Decision:
    """Names per counted pixel [P] by index; of equal scores the lower index wins. N stands for the background.

    Attributes:
        truth: the true class.
        plain: the best of all names, the background among them.
        foreground: the best class; it differs from ``plain`` where the background wins.
        grouped: the best of the group, seen or unseen, that the true class belongs to.
        seen: the best seen class.
        rest: the best of all names but the seen ones.
        margin: logit(score of ``seen``) - logit(score of ``rest``); None where one of the two has no name.
    """

    truth: NDArray[np.integer]
    plain: NDArray[np.integer]
    foreground: NDArray[np.integer]
    grouped: NDArray[np.integer]
    seen: NDArray[np.integer]
    rest: NDArray[np.integer]
    margin: NDArray[np.float32] | None


def decide(scores: Tensor, truth: Tensor, seen: Sequence[bool], ignore_label: int) -> Decision:
    """Decide the pixels of one image that count.

    Args:
        scores: [N, H, W] in 0..1, on any device; or [N + 1, H, W], the last being the background's.
        truth: labels [H, W].
        seen: for each of the N classes, whether training saw its labels.
        ignore_label: the label of pixels that do not count.

    Raises:
        ValueError: a score of a counted pixel is not a number.
    """
    truth = truth.to(scores.device).flatten()
    counted = (truth != ignore_label).nonzero()[:, 0]
    groups = [[index for index, flag in enumerate(seen) if flag is wanted] for wanted in (True, False)]
    best_seen, best_unseen = (_best(scores, members).flatten(1).index_select(1, counted) for members in groups)
    foreground = _better(best_seen, best_unseen)
    plain, rest = foreground, best_unseen
    if len(scores) > len(seen):
        background = _best(scores, [len(seen)]).flatten(1).index_select(1, counted)
        plain, rest = _better(foreground, background), _better(best_unseen, background)
    if (foreground[0] + rest[0] + best_seen[0]).isnan().any():
        raise ValueError("scores that are not numbers (NaN) decide nothing")
    true = truth[counted]
    is_seen = torch.tensor(list(seen), device=true.device)[true.clamp(0, len(seen) - 1).long()]
    grouped = torch.where(is_seen, best_seen[1], best_unseen[1])
    margin = None
    if groups[0] and len(scores) > len(groups[0]):
        margin = (_logit(best_seen[0]) - _logit(rest[0])).cpu().numpy()
    return Decision(
        truth=true.cpu().numpy(),
        plain=_indices(plain[1]),
        foreground=_indices(foreground[1]),
        grouped=_indices(grouped),
        seen=_indices(best_seen[1]),
        rest=_indices(rest[1]),
        margin=margin,
    )


def _best(scores: Tensor, members: Sequence[int]) -> Tensor:
    """Best score and its index [2, H, W] among some channels; -1 and -1 where there are none.

    A running maximum: several times as fast on a CPU as a reduction over the first axis.
    """
    best = scores.new_full((2, *scores.shape[1:]), -1, dtype=torch.float32)
    for index in members:
        better = scores[index] > best[0]
        best[1].masked_fill_(better, index)
        torch.maximum(best[0], scores[index], out=best[0])
    return best


def _better(first: Tensor, second: Tensor) -> Tensor:
    """The better of two [2, P]; of equal scores the lower index, a group without a name never."""
    wins = (first[0] > second[0]) | ((first[0] == second[0]) & (first[1] < second[1]))
    return torch.where(wins, first, second)


def _logit(scores: Tensor) -> Tensor:
    return scores.clamp(CLAMP, 1 - CLAMP).logit()


def _indices(labels: Tensor) -> NDArray[np.integer]:
    return labels.cpu().numpy().astype(np.int32)
