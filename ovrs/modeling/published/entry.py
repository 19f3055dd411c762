"""A row of the table of published weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Part = Literal["vision_language", "guidance", "image", "text", "system"]
Channels = tuple[float, float, float]

# Means and standard deviations of red, green and blue, 0..255.
CLIP: tuple[Channels, Channels] = ((122.7709383, 116.7460125, 104.09373615), (68.5005327, 66.6321579, 70.3231630))
IMAGENET: tuple[Channels, Channels] = ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
HALF: tuple[Channels, Channels] = ((127.5, 127.5, 127.5), (127.5, 127.5, 127.5))


@dataclass(frozen=True, kw_only=True)
class PublishedWeights:
    """Weights that somebody published, and what must be known to use them.

    Attributes:
        name: what a configuration calls them in ``WEIGHTS``, as ``openai/ViT-B-16``; the part before the slash is the family.
        part: what they are weights of: ``MODEL.VISION_LANGUAGE``, ``MODEL.GUIDANCE``, ``MODEL.IMAGE``, ``MODEL.TEXT`` or a
            whole system.
        architecture: the ``NAME`` beside that ``WEIGHTS`` (for a system the layout that ``tools/convert_checkpoint.py`` reads).
        address: where the file is published.
        file: its name in the cache, with a folder where it needs files beside it.
        licence: as its publisher states it; "" where none is stated.
        source: paper or page.
        normalization: mean and standard deviation of red, green and blue, 0..255, that the encoder's input is normalised with;
            None where it reads no images.
        size: side in pixels of the images it was trained on; 0 likewise.
        patch: pixels a token; of a pyramid, at its finest level; 0 likewise.
        megabytes: of a million bytes, as its publisher's page rounds them, or four bytes for each of its numbers; 0 = unknown.
        sha256: of the file, only where its publisher states it; "" elsewhere.
        md5: its first digits, likewise (SAM's are in the file's name).
        member: where a zip archive lies at the address, the ending of the one file in it that is kept.
        beside: names of small files that lie beside it at the address and are needed with it: a tokenizer's, settings.
        gsd: metres a pixel of the images it was trained on, where its publisher states one.
    """

    name: str
    part: Part
    architecture: str
    address: str
    file: str
    licence: str
    source: str
    normalization: tuple[Channels, Channels] | None
    size: int
    patch: int
    megabytes: int
    sha256: str = ""
    md5: str = ""
    member: str = ""
    beside: tuple[str, ...] = ()
    gsd: float | None = None

    @property
    def family(self) -> str:
        """What stands before the slash of the name."""
        return self.name.split("/")[0]

    @property
    def files(self) -> tuple[str, ...]:
        """All that belongs to it in the cache."""
        return (self.file, *(str(Path(self.file).with_name(name)) for name in self.beside))

    @property
    def most_bytes(self) -> int:
        """No more than this is taken from the address: the size and a tenth for its rounding, 10 GB where it is unknown."""
        return int(self.megabytes * 1.1e6) + 1_000_000 if self.megabytes else 10_000_000_000
