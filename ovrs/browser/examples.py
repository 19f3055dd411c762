"""The drawn scenes that a guest may begin with."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from ovrs.inference.drawing import Drawn, draw_for, draw_source
from ovrs.inference.segmenter import Segmenter


@dataclass(frozen=True)
class Example:
    """One of them.

    Attributes:
        name: what it is called on the page.
        seed: of the scene.
        words: classes that suit it.
        clouds: the share (0..1) of the image under clouds.
        pair: whether its SAR partner and what is said of it belong to it, as far as the model reads them.
    """

    name: str
    seed: int
    words: str
    clouds: float = 0.0
    pair: bool = False


_MARINA = "ship|boat, harbor|pier, bridge, building|house, road, tree, water"
EXAMPLES = (
    Example("marina", 22, _MARINA),
    Example("town", 8, "building|house|roof, road|street, tree, grass, vehicle|car, bare soil"),
    Example("fields", 23, "cropland|agricultural field, tree, road, water|pond, bare soil, building"),
    Example("clouds", 22, _MARINA, clouds=0.45, pair=True),
)


def examples_for(segmenter: Segmenter) -> list[Example]:
    """Those that a model can make something of: pairs only where it reads the SAR that is drawn, of one polarisation."""
    return [example for example in EXAMPLES if not example.pair or (segmenter.reads_sar and segmenter.sar_bands <= 1)]


class Gallery:
    """Examples as files in a folder of uploads, each drawn once, and again where it was cleared away."""

    def __init__(self, segmenter: Segmenter, folder: Path) -> None:
        self.examples = examples_for(segmenter)
        self._segmenter, self._folder = segmenter, folder
        self._drawn: dict[Example, Drawn] = {}

    def __getitem__(self, example: Example) -> Drawn:
        """The image, its SAR partner and its description."""
        found = self._drawn.get(example)
        if found is None or not all(Path(str(path)).exists() for path in found.source.files):
            found = self._draw(example)
            self._drawn[example] = found
        return found

    def _draw(self, example: Example) -> Drawn:
        if example.pair:
            return draw_for(self._segmenter, example.seed, self._folder, clouds=example.clouds)
        drawn = draw_source(example.seed, self._folder, clouds=example.clouds, regional=self._segmenter.reads_places)
        return replace(drawn, description="")
