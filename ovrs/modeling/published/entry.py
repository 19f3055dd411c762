"""A row of the table of published weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Part = Literal["vision_language", "guidance", "system"]


@dataclass(frozen=True)
class PublishedWeights:
    """Weights that somebody published, and what must be known to use them.

    Attributes:
        name: what a configuration calls them in ``WEIGHTS``, as ``openai/ViT-B-16``.
        part: what they are weights of: ``MODEL.VISION_LANGUAGE``, ``MODEL.GUIDANCE`` or a whole system.
        architecture: the ``NAME`` beside that ``WEIGHTS`` (for a system the layout that ``tools/convert_checkpoint.py`` reads).
        address: where the file is published; "" where it must be got by hand, and ``source`` says how.
        file: its name in the cache.
        licence: as its publisher states it.
        source: paper or page.
        sha256: of the file, whole or its first digits, only where its publisher states it; "" elsewhere.
        bytes: its size, where its publisher states it; 0 elsewhere.
        mean: of red, green and blue, 0..255, that the encoder's input is normalised with.
        std: likewise.
        size: side in pixels of the images it was trained on.
        patch: pixels a token.
        gsd: metres a pixel of those images, where that is known.
    """

    name: str
    part: Part
    architecture: str
    address: str
    file: str
    licence: str
    source: str
    sha256: str = ""
    bytes: int = 0
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    size: int = 0
    patch: int = 0
    gsd: tuple[float, float] | None = None
