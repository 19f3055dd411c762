"""How a sentence is laid over a scene that is larger than what a model sees at a time.

A window knows nothing of what lies beside it: in windows, *leftmost* would be said of every one of them. The rule:

- ``whole``: the scene is read once, reduced to the model's input, and the mask is enlarged. Models that squeeze images to a
  fixed size, as they were trained, see the scene so; for others it keeps its shape. Small things are lost.
- ``windows``: every window by itself, at the scene's resolution. Words of position mean the window.
- ``auto``: ``whole`` where the sentence has words of position (:mod:`ovrs.positions`) and the model reads sentences, or where
  the scene fits into about one window; else ``windows``. It fits where a window holds it; for models that squeeze, where it is
  at most twice as long. Models that know words and no sentences would pay for places that they do not know.
"""

from __future__ import annotations

from dataclasses import dataclass

from ovrs.inference.maps import reduced_size
from ovrs.inference.scene import Scene
from ovrs.inference.sentence import Sentence
from ovrs.inference.tiles import Tiling
from ovrs.inference.whole_scene import WholeScene
from ovrs.positions import position_words

# How much longer than a window a scene may be to be squeezed into it without being asked.
_ABOUT_ONE = 2
# From this reduction on it is worth saying what is lost.
_MUCH = 4
# Cells of scores across the smallest thing that may be found.
_LEAST_CELLS = 2


@dataclass(frozen=True)
class Grounding:
    """What was done.

    Attributes:
        grid: rows and columns of the one reading; None where the scene is read in windows, or one window holds it as it is.
        said: the same in words.
        hint: what is lost by it and how to have it otherwise; empty where nothing is.
    """

    grid: tuple[int, int] | None
    said: str
    hint: str = ""

    def view(self, scene: Scene) -> Scene:
        """The scene as it is read."""
        return scene if self.grid is None else WholeScene(scene, self.grid)

    @property
    def report(self) -> str:
        """What was done and what is lost by it, a line each."""
        return f"read: {self.said}" + (f"\nhint: {self.hint}" if self.hint else "")

    @property
    def facts(self) -> tuple[tuple[str, str], ...]:
        """For the tags of what is written."""
        return ("GROUNDING", self.said), *((("GROUNDING_HINT", self.hint),) if self.hint else ())


def ground(sentence: Sentence, scene: Scene, tiling: Tiling, *, squeezes: bool, reads_sentences: bool) -> Grounding:
    """Choose by the rule above.

    Args:
        tiling: its tiles are the model's windows.
        squeezes: the model was trained on images squeezed to a window.
        reads_sentences: the model was trained on sentences.
    """
    words, longer, side = position_words(sentence.text), max(scene.model_size), tiling.tile
    placed = " and ".join(repr(word) for word in dict.fromkeys(words))
    fits = longer <= (_ABOUT_ONE * side if squeezes else side)
    by_place = bool(words) and reads_sentences
    unread = f"this model knows things and no places: {placed} counts as any other word" if words and not by_place else ""
    if sentence.grounding == "windows" or (sentence.grounding == "auto" and not by_place and not fits):
        said = f"windows of {side} pixels, each read by itself"
        if longer <= side or not by_place:
            return Grounding(None, said, unread)
        return Grounding(None, said, f"{placed} is said of every window by itself; --grounding whole reads the scene as one")
    why = f", for {placed} is said of all of it" if by_place and not fits and sentence.grounding == "auto" else ""
    if longer <= side and not squeezes:
        return Grounding(None, f"the whole scene in one window{why}", unread)
    shape = scene.height, scene.width
    grid = (side, side) if squeezes else reduced_size(shape, side)
    reduction = max(full / read for full, read in zip(shape, grid, strict=True))
    said = f"the whole scene at once, as {grid[1]} x {grid[0]} pixels{why}"
    if reduction <= _MUCH:
        return Grounding(grid, said, unread)
    least = round(_LEAST_CELLS * tiling.patch / tiling.per_patch * reduction)
    lost = f"reduced {reduction:.3g} times, so that things below some {least:,} pixels are hardly seen"
    way_out = f"for such things leave out {placed} and give" if by_place else "for such things give"
    hints = [*([unread] if unread else []), f"{lost}; {way_out} --grounding windows"]
    return Grounding(grid, said, "; ".join(hints))
