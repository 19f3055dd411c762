"""A site: the canvas, the colours and the random stream that every drawing function is handed."""

from dataclasses import dataclass

import numpy as np

from ovrs.data.scenes.canvas import Canvas
from ovrs.data.scenes.palette import Palette


@dataclass(frozen=True)
class Site:
    """What one scene is drawn with."""

    canvas: Canvas
    palette: Palette
    rng: np.random.Generator

    @property
    def span(self) -> float:
        """The shorter side of the image in metres."""
        return min(self.canvas.height, self.canvas.width) * self.canvas.gsd

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return bool(self.rng.random() < probability)

    def between(self, low: float, high: float) -> float:
        """A uniform draw."""
        return float(self.rng.uniform(low, high))
