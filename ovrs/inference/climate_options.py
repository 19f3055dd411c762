"""Where images were taken, as a user says it, and what else goes into the prompt that a model is told of it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from ovrs.climate.seasons import SEASONS
from ovrs.climate.zones import ZONES, zone_named
from ovrs.errors import InputError
from ovrs.inference.addresses import version_of

if TYPE_CHECKING:
    from ovrs.climate.bank import PromptBank
    from ovrs.climate.places import Place

_WHERE = ("location", "region", "zone")


@dataclass(frozen=True)
class ClimateOptions:
    """What is known of where images were taken; nothing of it is needed for a GeoTIFF with a coordinate reference system.

    At most one of the first three says where; it counts for every image and before an image's own coordinates.

    Attributes:
        location: latitude and longitude in degrees, as ``25.2,55.3`` or ``25.2N 55.3E``.
        region: a city or region of :func:`ovrs.climate.places.region_named`.
        zone: the code of a climate zone, as ``BWh``.
        raster: a climate raster in place of the map that comes along; see :func:`ovrs.climate.lookup.zone_at`.
        bank: a prompt bank in place of the one that comes along.
        season: one of :data:`ovrs.climate.seasons.SEASONS`, which the prompt then says; "" says nothing.
        say_pixel_size: whether the prompt says how large a pixel is, where that is known.

    Raises:
        InputError: several of the three, or a place, zone or season that there is not.
    """

    location: str = ""
    region: str = ""
    zone: str = ""
    raster: Path | None = None
    bank: Path | None = None
    season: str = ""
    say_pixel_size: bool = False

    def __post_init__(self) -> None:
        given = [name for name in _WHERE if getattr(self, name).strip()]
        if len(given) > 1:
            raise InputError(f"--{' and --'.join(given)}: each says where the image was taken; give one of them")
        if self.season and self.season not in SEASONS:
            raise InputError(f"--season {self.season!r}: choose from {', '.join(SEASONS)}")
        if self.zone.strip():
            object.__setattr__(self, "zone", zone_named(self.zone).code)
        _ = self.place

    @classmethod
    def where(cls, text: str) -> ClimateOptions:
        """The options of a text that may be a zone, coordinates or the name of a region; without a word there are none.

        Raises:
            InputError: it is none of these.
        """
        text = text.strip()
        if text.casefold() in map(str.casefold, ZONES):
            return cls(zone=text)
        return cls(location=text) if any(letter.isdigit() for letter in text) else cls(region=text)

    @property
    def place(self) -> Place | None:
        """The place that the location or the region names; None without either.

        Raises:
            InputError: there is no such place.
        """
        if not (self.location.strip() or self.region.strip()):
            return None
        from ovrs.climate.places import parse_location, region_named

        return parse_location(self.location) if self.location.strip() else region_named(self.region)

    @property
    def versions(self) -> str:
        """What tells the state of the files that are named from another, legends beside a raster too; "" without any."""
        files = [self.bank]
        if self.raster is not None:
            from ovrs.climate.raster import legends_beside

            files += [self.raster, *legends_beside(Path(self.raster))]
        return ", ".join(version_of(Path(file)) for file in files if file is not None)

    def check(self) -> None:
        """Try all that can be tried without an image, so that mistakes are told before a model is loaded.

        Raises:
            InputError: the raster cannot be read, or a package is missing that knows the zone of the place.
            DataError: the bank cannot be read.
        """
        self.prompt_bank()
        if self.raster is not None and not os.path.isfile(self.raster):
            raise InputError(f"--climate-raster {self.raster}: there is no such file")
        if (place := self.place) is not None:
            from ovrs.climate.lookup import zone_at

            zone_at(place.lon, place.lat, self.raster)

    def prompt_bank(self) -> PromptBank | None:
        """The bank that is named, read once in each of its states; None for the one that comes along.

        Raises:
            DataError: it cannot be read.
        """
        return None if self.bank is None else read_bank(Path(self.bank))

    def __str__(self) -> str:
        """What is given, as it stands on the command line."""
        names = {"raster": "climate_raster", "bank": "prompt_bank"}
        given = {name: value for name, value in vars(self).items() if value not in ("", None, False)}
        options = {names.get(name, name).replace("_", "-"): value for name, value in given.items()}
        return ", ".join(f"--{name}" if value is True else f"--{name} {value}" for name, value in options.items())


def read_bank(path: Path) -> PromptBank:
    """The bank of a file, read once in each of its states.

    Raises:
        DataError: it cannot be read.
    """
    return _bank(path, version_of(path))


@lru_cache(maxsize=4)
def _bank(path: Path, version: str) -> PromptBank:
    """The bank of a file in the state of that version."""
    from ovrs.climate.bank import PromptBank

    return PromptBank.load(path)
