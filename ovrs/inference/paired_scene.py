"""A scene with its SAR partner: both are read in the same windows, on the same grid."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from ovrs.inference.partner import Partner, SarInput, open_partner
from ovrs.inference.resampling import Window
from ovrs.inference.sar_options import Modalities, SarOptions
from ovrs.inference.scene import Scene


class PairedScene(Scene):
    """Another scene whose windows are float32 [3 + S, h, w]: red, green and blue in 0..255, and SAR behind them, NaN where
    nothing was measured. ``sar_scale`` says which these are: ``db``, or ``8bit``.

    Of ``modalities="sar"`` the colours are NaN, and what the radar did not see is nodata.
    """

    def __init__(self, scene: Scene, partner: Partner, modalities: Modalities = "both") -> None:
        self.sar_scale = partner.scale
        self._scene, self._partner, self._alone = scene, partner, modalities == "sar"
        self.place, self.model_size = scene.place, scene.model_size
        self.facts = (*scene.facts, ("SAR", partner.said), *((("MODALITIES", "sar alone"),) if self._alone else ()))

    @property
    def version(self) -> str:
        """See the base class."""
        return f"{self._scene.version}, with SAR of {self._partner.version}"

    def read(self, top: int, bottom: int, left: int, right: int) -> NDArray[np.float32]:
        """See the base class."""
        sar = self._partner.on(self.model_size, Window(top, bottom, left, right))
        if self._alone:
            colors = np.full((3, bottom - top, right - left), np.nan, dtype=np.float32)
        else:
            colors = self._scene.read(top, bottom, left, right).astype(np.float32)
        return np.concatenate([colors, sar])

    def valid(self, top: int, bottom: int, left: int, right: int) -> NDArray[np.bool_]:
        """See the base class."""
        valid = self._scene.valid(top, bottom, left, right)
        if not self._alone:
            return valid
        return np.asarray(valid & np.isfinite(self._partner.read(top, bottom, left, right)).any(axis=0))

    def reduced(self, size: tuple[int, int]) -> NDArray[np.uint8]:
        """See the base class."""
        return self._scene.reduced(size)


@contextmanager
def beside(scene: Scene, sar: SarInput | None, options: SarOptions, modalities: Modalities, bands: int = 0) -> Iterator[Scene]:
    """A scene with its SAR partner, or as it is without one; the partner is open as long as the context lasts.

    Raises:
        OvrsError: see :func:`ovrs.inference.partner.open_partner`.
    """
    if sar is None or modalities == "optical":
        yield scene
        return
    with open_partner(sar, scene.place, options, bands) as partner:
        yield PairedScene(scene, partner, modalities)
