"""Calibrated stacking (Chao et al., ECCV 2016): a constant subtracted from the logits of seen names before the best is taken.

Training on the seen classes alone biases a model towards them; the constant takes that bias off. It must be chosen without the
test's labels: on folds of the seen classes, some hidden from a training and in its evaluation treated as the unseen ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ovrs.errors import DataError

if TYPE_CHECKING:
    from ovrs.evaluation.decisions import Decision


class CalibrationCurve:
    """Confusion matrices for many constants in one pass over the data; ``counts`` is all its state, int64 [2, K + 1, N, N + 1].

    A pixel's decision depends on the constant only through its margin, so it is counted once, under the number of constants
    at which its seen name (``counts[0]``) wins, and for the others its rest (``counts[1]``).

    Args:
        num_classes: N.
        constants: K of them, in any order.
    """

    def __init__(self, num_classes: int, constants: Iterable[float]) -> None:
        self.constants = tuple(sorted({float(constant) for constant in constants}))
        self._sorted = np.array(self.constants)
        self.counts = np.zeros((2, len(self.constants) + 1, num_classes, num_classes + 1), dtype=np.int64)

    def add(self, decision: Decision) -> None:
        """Count one image; nothing where only one of the groups has names."""
        if decision.margin is None:
            return
        margin = decision.margin.astype(np.float64)
        won = np.searchsorted(self._sorted, margin, side="left")
        # Where margin and constant are equal the plain decision stands, so that the constant 0 is the plain argmax.
        tied = np.append(self._sorted, np.inf)[won] == margin
        won += tied & (decision.plain == decision.seen)
        _, bins, classes, columns = self.counts.shape
        rows = won * classes + decision.truth.astype(np.int64)
        for counts, chosen in zip(self.counts, (decision.seen, decision.rest), strict=True):
            counts += np.bincount(rows * columns + chosen, minlength=counts.size).reshape(bins, classes, columns)


def matrices(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Confusion matrices [K, N, N + 1], one a constant in rising order, of a curve's (or several curves' summed) counts."""
    seen, rest = counts
    # At constant k the seen name wins in the bins above k, the rest in those up to k.
    return seen[::-1].cumsum(axis=0)[::-1][1:] + rest.cumsum(axis=0)[:-1]


@dataclass(frozen=True)
class Choice:
    """The chosen constant, the folds' mean h-mIoU at it, and the mean curve; ``at_edge``: a wider grid may be better."""

    constant: float
    mean: float
    curve: tuple[float, ...]
    at_edge: bool


def choose_constant(constants: Sequence[float], folds: Mapping[str, Sequence[float]]) -> Choice:
    """The constant with the best mean over folds of h-mIoU; of equal ones the smallest.

    Args:
        constants: the grid, K of them in rising order.
        folds: K values of h-mIoU in percent for each fold.

    Raises:
        DataError: no fold, a fold whose curve is not K long, or one where h-mIoU is undefined.
    """
    if not folds:
        raise DataError("no fold to choose the constant from")
    for name, values in folds.items():
        if len(values) != len(constants):
            raise DataError(f"{name}: {len(values)} values for {len(constants)} constants; evaluate all folds on one grid")
        if not np.isfinite(values).all():
            raise DataError(f"{name}: h-mIoU is undefined; its seen or its hidden classes do not occur in the evaluated images")
    curve = np.mean(list(folds.values()), axis=0)
    best = int(curve.argmax())
    return Choice(float(constants[best]), float(curve[best]), tuple(curve.tolist()), best in (0, len(constants) - 1))
