"""How a file is to be read."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from ovrs.errors import InputError
from ovrs.inference.climate_options import ClimateOptions
from ovrs.inference.nodata import Nodata
from ovrs.inference.sar_options import SarOptions
from ovrs.inference.stretch import StretchRule

# A scene is never in memory as a whole; the limit is against a file that says it is endless.
DEFAULT_MAX_PIXELS = 10_000_000_000
DEFAULT_MAX_PICTURE = 100_000_000

# Numbers from 1 of the bands that stand for red, green and blue.
Bands = tuple[int, int, int]


@dataclass(frozen=True)
class ReadOptions:
    """How a file becomes eight-bit RGB, and its SAR partner decibels.

    Attributes:
        bands: numbers from 1 of the bands that stand for red, green and blue; None takes the file's own.
        stretch: how other than eight-bit values are brought to 0..255.
        nodata: what is invalid beside what the file declares, see :data:`Nodata`.
        gsd: metres a pixel at which the model sees the scene; None takes the file's own.
        max_pixels: of a GeoTIFF, which is never in memory as a whole.
        max_picture: pixels of a picture, which is.
        allow_remote: read GeoTIFFs at ``https://``, ``http://``, ``s3://`` and ``gs://`` too, and trust a VRT or one of GDAL's
            virtual paths (``/vsizip/...``) with whatever files it points to. Otherwise none of these is so much as asked for.
        sar: how its SAR partner is read, where it has one.
        climate: where it was taken, for models that read it.

    Raises:
        InputError: other than three bands.
    """

    bands: Bands | None = None
    stretch: StretchRule = field(default_factory=StretchRule)
    nodata: Nodata = "auto"
    gsd: float | None = None
    max_pixels: int = DEFAULT_MAX_PIXELS
    max_picture: int = DEFAULT_MAX_PICTURE
    allow_remote: bool = False
    sar: SarOptions = field(default_factory=SarOptions)
    climate: ClimateOptions = field(default_factory=ClimateOptions)

    def __post_init__(self) -> None:
        if self.bands is not None and len(self.bands) != 3:
            raise InputError(f"bands {self.bands}: give three, for red, green and blue")

    def at(self, climate: ClimateOptions | None) -> ReadOptions:
        """The same of images that were taken elsewhere; None changes nothing."""
        return self if climate is None else replace(self, climate=climate)


def parse_bands(text: str) -> Bands:
    """Read three numbers as ``4,3,2``.

    Raises:
        InputError: anything else.
    """
    numbers = [number.strip() for number in text.split(",")]
    if len(numbers) != 3 or not all(number.isdecimal() and int(number) > 0 for number in numbers):
        raise InputError(f"--bands {text!r}: give three numbers from 1, for red, green and blue, as 4,3,2")
    return int(numbers[0]), int(numbers[1]), int(numbers[2])
