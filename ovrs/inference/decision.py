"""From scores to a map: the best class of every pixel, how sure it is, and what is background."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ovrs.errors import InputError
from ovrs.inference.segmented import Labels, label_type
from ovrs.vocabulary import Vocabulary

# Scores looked at together [floats; 8 MiB].
_CHUNK = 2**21
# Probabilities are written as 0..254 for 0..1; 255 is nodata.
PROBABILITY_STEPS = 254


@dataclass(frozen=True)
class Decided:
    """A piece of a map.

    Attributes:
        labels: [h, w] in the vocabulary's order, the type's largest value where there is nodata.
        confidence: float32 [h, w] in 0..1, NaN where there is nodata.
        probabilities: uint8 [names, h, w], 0..254 for 0..1 and 255 for nodata; None unless asked for.
    """

    labels: Labels
    confidence: NDArray[np.float32]
    probabilities: NDArray[np.uint8] | None = None

    @classmethod
    def beside(cls, parts: Sequence[Decided]) -> Decided:
        """One piece of pieces from left to right."""
        if len(parts) == 1:
            return parts[0]
        scores = [part.probabilities for part in parts if part.probabilities is not None]
        return cls(
            np.concatenate([part.labels for part in parts], axis=1),
            np.concatenate([part.confidence for part in parts], axis=1),
            np.concatenate(scores, axis=2) if scores else None,
        )


class Decision:
    """What a pixel becomes.

    Args:
        vocabulary: its names in order. A class whose score is below its threshold is not chosen; where none reaches its own,
            the pixel is background. With a background given by a threshold the confidence of that is one minus the best
            score, with one of words the best score.
        threshold: of the classes that have none, where the background is given by words.
        probabilities: keep the scores of all classes.

    Raises:
        InputError: a threshold outside 0..1, without a background for what falls below it, or beside the background's own.
    """

    def __init__(self, vocabulary: Vocabulary, *, threshold: float | None = None, probabilities: bool = False) -> None:
        policy = vocabulary.background.policy
        if threshold is not None and policy == "none":
            raise InputError(
                "a confidence threshold needs a background for what falls below it; see ovrs.vocabulary.Background"
            )
        if threshold is not None and policy == "threshold":
            raise InputError(
                f"the vocabulary's background has a threshold of its own, {vocabulary.background.threshold:g}; "
                "give one of the two"
            )
        if threshold is not None and not 0 <= threshold <= 1:
            raise InputError(f"a confidence threshold of {threshold:g} is outside 0..1")
        self.by_threshold = policy == "threshold"
        common = vocabulary.background.threshold if self.by_threshold else threshold or 0.0
        least = [common if cls.threshold is None else cls.threshold for cls in vocabulary.classes]
        # Names that are scored; a background by threshold is none of them.
        self.names = vocabulary.num_classes if self.by_threshold else len(vocabulary)
        # The score below which each of them is not chosen.
        self.least = torch.tensor(least + [common] * (self.names - len(least)))
        self.background = len(vocabulary) - 1
        self.dtype = label_type(len(vocabulary))
        self.probabilities = probabilities
        # What tags say beside the vocabulary.
        self.facts = () if threshold is None else (("CONFIDENCE_THRESHOLD", f"{threshold:g}"),)

    def __call__(self, scores: Callable[[int, int], Tensor], valid: NDArray[np.bool_]) -> Decided:
        """Decide a piece.

        Args:
            scores: gives those of names ``first`` to ``last`` (exclusive) [names, h, w].
            valid: bool [h, w]; the rest is nodata.
        """
        nodata = np.iinfo(self.dtype).max
        kept = np.full((self.names, *valid.shape), 255, dtype=np.uint8) if self.probabilities else None
        if not valid.any():
            return Decided(np.full(valid.shape, nodata, self.dtype), np.full(valid.shape, np.nan, np.float32), kept)
        best, labels = torch.full(valid.shape, -1.0), torch.zeros(valid.shape, dtype=torch.long)
        highest = torch.zeros(valid.shape)
        limits = self.least.view(-1, 1, 1)
        step = max(_CHUNK // valid.size, 1)
        for first in range(0, self.names, step):
            part = scores(first, min(first + step, self.names))
            value, index = torch.where(part >= limits[first : first + step], part, -1.0).max(dim=0)
            better = value > best
            best, labels = torch.where(better, value, best), torch.where(better, index + first, labels)
            highest = torch.maximum(highest, part.amax(dim=0))
            if kept is not None:
                steps = (part * PROBABILITY_STEPS).round_().clamp_(0, PROBABILITY_STEPS).to(torch.uint8).numpy()
                kept[first : first + step] = np.where(valid, steps, 255)
        none = best < 0  # no class reached its threshold
        labels = labels.masked_fill(none, self.background)
        best = torch.where(none, 1 - highest if self.by_threshold else highest, best)
        return Decided(
            np.where(valid, labels.numpy(), nodata).astype(self.dtype),
            np.where(valid, best.clamp(0, 1).numpy(), np.float32("nan")).astype(np.float32),
            kept,
        )
