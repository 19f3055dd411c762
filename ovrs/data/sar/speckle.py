"""Speckle filters, by name. Speckle multiplies: each works on intensity, not on decibels.

Pixels that are NaN, and what lies beyond the edge, count for nothing in a window; a NaN pixel stays NaN. So a raster that is
filtered in pieces, each with a margin of :attr:`Speckle.reach`, is what it would be filtered whole.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ovrs.errors import InputError

SPECKLE_FILTERS = ("none", "boxcar", "lee", "refined_lee")

# The window of the refined Lee filter, and how far from its middle the nine 3 x 3 means lie that find an edge [pixels].
REFINED_WINDOW = 7
_STEP = 2


class SpeckleError(InputError):
    """A setting of a speckle filter that cannot work.

    Attributes:
        setting: ``name``, ``window`` or ``looks``, as :class:`Speckle` calls it.
        value: what it is.
        wanted: what it may be.
    """

    def __init__(self, setting: str, value: object, wanted: str) -> None:
        super().__init__(f"speckle filter: {setting} is {value!r}; {wanted}")
        self.setting, self.value, self.wanted = setting, value, wanted


@dataclass(frozen=True)
class Speckle:
    """A speckle filter and its settings.

    Attributes:
        name: one of ``SPECKLE_FILTERS``: ``boxcar`` is the mean of the window; ``lee`` weighs that mean against the pixel by
            how much more the window varies than speckle does (Lee, 1980); ``refined_lee`` does so in the half of a window of
            7 pixels that lies along the edge on the pixel's side (Lee, 1981).
        window: side in pixels, odd, of 3..63; ``refined_lee`` has its own.
        looks: equivalent number of looks, above 0: speckle has a variance of 1 / looks of the squared mean.

    Raises:
        SpeckleError: another name, window or number of looks.
    """

    name: str = "none"
    window: int = 5
    looks: float = 1.0

    def __post_init__(self) -> None:
        if self.name not in SPECKLE_FILTERS:
            raise SpeckleError("name", self.name, f"choose {', '.join(SPECKLE_FILTERS)}")
        if type(self.window) is not int or not 3 <= self.window <= 63 or self.window % 2 == 0:
            raise SpeckleError("window", self.window, "give its side in pixels, odd, of 3..63")
        if not isinstance(self.looks, int | float) or isinstance(self.looks, bool) or not 0 < self.looks < float("inf"):
            raise SpeckleError("looks", self.looks, "give the equivalent number of looks, above 0")

    def require_known_scale(self, scale: str) -> None:
        """Refuse to be used on values of a scale that says nothing of the power.

        Raises:
            SpeckleError: a filter that needs the power, on ``8bit``.
        """
        if scale == "8bit" and self.name not in ("none", "boxcar"):
            wanted = "it needs to know what values are, and those of 8bit are stretched by a rule that nobody knows"
            raise SpeckleError("name", self.name, f"{wanted}; choose none or boxcar")

    @property
    def reach(self) -> int:
        """How many pixels away a value can still change a pixel."""
        sides = {"none": 1, "refined_lee": REFINED_WINDOW}
        return sides.get(self.name, self.window) // 2

    def __call__(self, power: NDArray[np.float32]) -> NDArray[np.float32]:
        """Intensity float32 [H, W] with less speckle; NaN where it was."""
        if self.name == "boxcar":
            return boxcar(power, self.window)
        if self.name == "lee":
            return lee(power, self.window, self.looks)
        return refined_lee(power, self.looks) if self.name == "refined_lee" else power


UNFILTERED = Speckle()


def boxcar(power: NDArray[np.float32], window: int) -> NDArray[np.float32]:
    """The mean of each pixel's window: float32 [H, W]."""
    mean, _ = _moments(power, np.ones((window, window)))
    return np.where(np.isnan(power), np.nan, mean).astype(np.float32)


def lee(power: NDArray[np.float32], window: int, looks: float) -> NDArray[np.float32]:
    """Lee's filter for multiplicative noise: float32 [H, W]."""
    return _weighed(power, *_moments(power, np.ones((window, window))), looks)


def refined_lee(power: NDArray[np.float32], looks: float) -> NDArray[np.float32]:
    """Lee's filter in windows that do not cross an edge: float32 [H, W]."""
    chosen = _side_of_edge(power)
    mean, variance = np.zeros(power.shape), np.zeros(power.shape)
    for side, kernel in enumerate(half_windows()):
        here = chosen == side
        if here.any():
            found = _moments(power, kernel)
            mean[here], variance[here] = found[0][here], found[1][here]
    return _weighed(power, mean, variance, looks)


def half_windows() -> list[NDArray[np.float64]]:
    """The eight halves [7, 7] of a window, middle line included: W, E, NW, SE, N, S, NE, SW."""
    y, x = np.mgrid[-3:4, -3:4]
    lines = (x, x + y, y, y - x)
    return [kernel.astype(np.float64) for line in lines for kernel in (line <= 0, line >= 0)]


def _side_of_edge(power: NDArray[np.float32]) -> NDArray[np.intp]:
    """For each pixel the half window [H, W] (an index into :func:`half_windows`) on its own side of the strongest edge."""
    middle, _ = _moments(power, np.ones((3, 3)))
    around = np.pad(middle, _STEP, constant_values=np.nan)
    height, width = power.shape

    def towards(down: int, right: int) -> NDArray[np.float64]:
        top, left = _STEP * (1 + down), _STEP * (1 + right)
        there = around[top : top + height, left : left + width]
        return np.where(np.isnan(there), middle, there)

    pairs = [(towards(*here), towards(-here[0], -here[1])) for here in ((0, -1), (-1, -1), (-1, 0), (-1, 1))]
    strongest = np.argmax([np.nan_to_num(abs(first - second)) for first, second in pairs], axis=0)
    second_is_nearer = [abs(second - middle) < abs(first - middle) for first, second in pairs]
    return 2 * strongest + np.choose(strongest, second_is_nearer)


def _moments(power: NDArray[np.float32], kernel: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and variance [H, W] of the known values under a kernel of ones; NaN where there is none."""
    known = np.isfinite(power)
    values = np.where(known, power, 0).astype(np.float64)
    count, total, squares = (_sums(part, kernel) for part in (known * 1.0, values, values**2))
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.where(count > 0.5, total / np.rint(count), np.nan)
        return mean, np.maximum(squares / np.rint(count) - mean**2, 0)


def _sums(values: NDArray[np.float64], kernel: NDArray[np.float64]) -> NDArray[np.float64]:
    if kernel.all():  # by rows and columns; large kernels would go through Fourier space, where bright pixels reach far ones
        found = cv2.sepFilter2D(values, cv2.CV_64F, kernel[0], kernel[0], borderType=cv2.BORDER_CONSTANT)
    else:
        found = cv2.filter2D(values, cv2.CV_64F, kernel, borderType=cv2.BORDER_CONSTANT)
    return np.asarray(found, dtype=np.float64)


def _weighed(
    power: NDArray[np.float32], mean: NDArray[np.float64], variance: NDArray[np.float64], looks: float
) -> NDArray[np.float32]:
    """mean + k (pixel - mean), k being the share of the variance that is not speckle's."""
    with np.errstate(divide="ignore", invalid="ignore"):
        own = np.maximum(variance - mean**2 / looks, 0) / (1 + 1 / looks)
        share = np.where(variance > 0, own / variance, 0)
    return np.where(np.isnan(power), np.nan, mean + share * (power - mean)).astype(np.float32)
