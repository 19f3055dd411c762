"""How the values of a band become eight bits: one stretch for a scene, so that its tiles agree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ovrs.errors import InputError


@dataclass(frozen=True)
class StretchRule:
    """What the user asks for.

    Attributes:
        kind: ``auto`` leaves eight bits as they are and stretches the rest between percentiles; ``none`` cuts values to
            0..255; ``percent`` stretches between percentiles of each band, ``values`` between two values.
        low, high: percentiles (0..100) or values; they become 0 and 255.

    Raises:
        InputError: ends that are not ascending, or percentiles outside 0..100.
    """

    kind: Literal["auto", "none", "percent", "values"] = "auto"
    low: float = 2.0
    high: float = 98.0

    def __post_init__(self) -> None:
        if not self.low < self.high or not np.isfinite([self.low, self.high]).all():
            raise InputError(f"a stretch from {self.low:g} to {self.high:g}: the first end must be below the second")
        if self.kind in ("auto", "percent") and not 0 <= self.low < self.high <= 100:
            raise InputError(f"a stretch from {self.low:g} % to {self.high:g} %: percentiles lie in 0..100")

    @classmethod
    def parse(cls, text: str) -> StretchRule:
        """Read ``auto``, ``none``, ``2%,98%`` or ``0,10000``.

        Raises:
            InputError: anything else.
        """
        word = text.strip().casefold()
        if word in ("auto", "none"):
            return cls("auto" if word == "auto" else "none")
        ends = [end.strip() for end in word.split(",")]
        percent = [end.endswith("%") for end in ends]
        try:
            if len(ends) == 2 and len(set(percent)) == 1:
                low, high = (float(end.removesuffix("%")) for end in ends)
                return cls("percent" if percent[0] else "values", low, high)
        except ValueError:
            pass
        raise InputError(f"--stretch {text!r}: give auto, none, two percentiles as 2%,98%, or two values as 0,10000")

    def looks_at(self, dtype: DTypeLike) -> bool:
        """Whether the stretch for values of this type depends on the values of the scene."""
        return self.kind == "percent" or (self.kind == "auto" and np.dtype(dtype) != np.uint8)

    def fit(self, sample: NDArray[Any], valid: NDArray[np.bool_]) -> Stretch | None:
        """The stretch for a scene; None where its values are to be taken as they are.

        Args:
            sample: [3, h, w] of the scene's own type, spread over all of it; it may be empty where nothing depends on it.
            valid: bool [h, w]; other pixels do not count.
        """
        if self.kind == "none" or (self.kind == "auto" and sample.dtype == np.uint8):
            return None
        if self.kind == "values":
            return Stretch((self.low,) * 3, (self.high,) * 3)
        if not valid.any():
            return Stretch((0.0,) * 3, (1.0,) * 3)
        ends = np.percentile(sample[:, valid].astype(np.float64), (self.low, self.high), axis=1)
        # A band of one value has no contrast to stretch; it becomes 0.
        high = np.where(ends[1] > ends[0], ends[1], ends[0] + 1)
        return Stretch(tuple(map(float, ends[0])), tuple(map(float, high)))


@dataclass(frozen=True)
class Stretch:
    """For each of three bands the value that becomes 0 and the one that becomes 255; values between are spread evenly."""

    low: tuple[float, ...]
    high: tuple[float, ...]

    def __call__(self, bands: NDArray[Any]) -> NDArray[np.uint8]:
        """[3, h, w] of any type -> uint8; NaN becomes 0."""
        low, high = (np.asarray(end, dtype=np.float32)[:, None, None] for end in (self.low, self.high))
        scaled = (bands.astype(np.float32) - low) * (255 / (high - low))
        return np.rint(np.nan_to_num(scaled, nan=0.0, posinf=255.0, neginf=0.0).clip(0, 255)).astype(np.uint8)

    def __str__(self) -> str:
        return "; ".join(f"{low:g} to {high:g}" for low, high in zip(self.low, self.high, strict=True))


def as_eight_bits(bands: NDArray[Any]) -> NDArray[np.uint8]:
    """[3, h, w] with values outside 0..255 cut off."""
    if bands.dtype == np.uint8:
        return bands
    return np.rint(np.nan_to_num(bands.astype(np.float32), nan=0.0, posinf=255.0, neginf=0.0).clip(0, 255)).astype(np.uint8)
