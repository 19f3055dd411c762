"""Where an image was taken, and the prompt that tells a model so: from its own coordinates, or from what the user says."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING

from ovrs.climate import places
from ovrs.climate.prompts import class_sentences, climate_prompt
from ovrs.climate.zones import Zone, zone_named
from ovrs.inference.addresses import Location
from ovrs.inference.climate_options import SEASONS, ClimateOptions

if TYPE_CHECKING:
    from ovrs.inference.reading import ReadOptions
    from ovrs.inference.segmented import Place
    from ovrs.vocabulary import Vocabulary

# Tokens that a prompt may have where a model does not say: those of MetaSegNet (Wang et al. 2024).
MOST_TOKENS = 250
# Columns of what is printed.
_WIDTH = 100


@dataclass(frozen=True)
class Whereabouts:
    """What a model that reads descriptions of places is told of an image, and why.

    Attributes:
        text: the prompt.
        place: where the image was taken; None where that is not known, or not asked for.
        zone: the climate zone there; None likewise.
        zone_by: who says the zone, where it is not looked up at the place.
        lacked: what a climate prompt lacked, so that the prompt is neutral; "" where it lacked nothing.
        left_out: classes of which the prompt says nothing.
        own: the prompt is the user's own description.
    """

    text: str
    place: places.Place | None = None
    zone: Zone | None = None
    zone_by: str = ""
    lacked: str = ""
    left_out: tuple[str, ...] = ()
    own: bool = False

    @classmethod
    def of(
        cls,
        vocabulary: Vocabulary,
        options: ClimateOptions,
        grid: Place | None = None,
        *,
        gsd: float | None = None,
        most_tokens: int = MOST_TOKENS,
        count: Callable[[str], int] | None = None,
    ) -> Whereabouts:
        """Find the place and its zone, and compose the prompt from the sentences about the classes (by their first words).

        Args:
            vocabulary: a description of its own stands, and nothing else is looked for.
            grid: the image's, whose coordinates say where it lies unless the options do; of a drawn scene its zone, too.
            gsd: metres a pixel at which the model sees the image; None is the grid's own.
            most_tokens, count: see :func:`ovrs.climate.prompts.climate_prompt`.

        Raises:
            InputError: the climate raster cannot be read, or the package that knows zones is missing.
            DataError: the prompt bank cannot be read.
        """
        if vocabulary.description:
            return cls(vocabulary.description, own=True)
        place, zone, by = _found(options, grid)
        prompt = climate_prompt(
            None if zone is None else zone.code,
            [each.name for each in vocabulary.classes],
            bank=options.prompt_bank(),
            season=SEASONS.get(options.season, ""),
            gsd=_pixel_size(grid, gsd) if options.say_pixel_size else 0.0,
            most_tokens=most_tokens,
            count=count,
        )
        lacked = _lacked(place, zone, something=bool(prompt.zone))
        return cls(prompt.text, place, zone, by, lacked, () if lacked else prompt.left_out)

    def tell(self, vocabulary: Vocabulary) -> Vocabulary:
        """The vocabulary that the model is asked, with what it is told."""
        return vocabulary.with_description(self.text)

    @property
    def hint(self) -> str:
        """What is to be said where nobody knows the place; "" otherwise."""
        return self._hint("a description of the place", f"is told {self.text!r}") if self.lacked == "a place" else ""

    @staticmethod
    def _hint(reads: str, instead: str) -> str:
        return (
            f"this model reads {reads} where an image was taken, and nothing says where that is: it {instead}; name the place "
            "by --location, --region or --zone (ClimateOptions in Python)"
        )

    @property
    def facts(self) -> tuple[tuple[str, str], ...]:
        """For the tags of what is written, beside the prompt itself."""
        found = {
            "PLACE": "" if self.place is None else str(self.place),
            "CLIMATE_ZONE": "" if self.zone is None else self.zone.code,
        }
        return tuple((name, value) for name, value in found.items() if value)

    @property
    def where(self) -> str:
        """Place and zone in one line."""
        if self.own:
            return "place: not asked for, since what is said of the scene is given"
        place = "not known" if self.place is None else str(self.place)
        if self.zone is not None:
            by = f" ({self.zone_by})" if self.zone_by else ""
            return f"place: {place}; zone {self.zone.code}, {self.zone.name}{by}"
        if self.place is not None:
            return f"place: {place}; no climate zone there, as on the open sea; one can be named by --zone"
        return f"place: {place}; name it by --location, --region or --zone"

    @property
    def lines(self) -> tuple[str, ...]:
        """Place and zone, the prompt, and of which classes it says nothing."""
        kind = " (the description given)" if self.own else f" (neutral, for lack of {self.lacked})" if self.lacked else ""
        silent = (f"nothing is said of: {', '.join(self.left_out)}",) if self.left_out else ()
        return (self.where, f"prompt{kind}: {self.text}", *silent)

    def __str__(self) -> str:
        """The same for a terminal: a line for place and zone, the prompt wrapped below."""
        return "\n".join([self.lines[0], *(fill(line, _WIDTH, subsequent_indent="  ") for line in self.lines[1:])])


@dataclass(frozen=True)
class ClassWhereabouts(Whereabouts):
    """The same for a model that reads a sentence on each class there (``Vocabulary.class_descriptions``).

    Attributes:
        text: all sentences.
        sentences: one a class, "" for none.
    """

    sentences: tuple[str, ...] = ()

    @classmethod
    def of(cls, vocabulary: Vocabulary, options: ClimateOptions, grid: Place | None = None, **_: object) -> ClassWhereabouts:
        """See :meth:`Whereabouts.of`; sentences that the vocabulary says of its classes stand. Season and size of a pixel are
        of no class.
        """
        if said := vocabulary.class_descriptions:
            return cls(" ".join(filter(None, said)), own=True, sentences=said)
        place, zone, by = _found(options, grid)
        names = [each.name for each in vocabulary.classes]
        said = class_sentences(None if zone is None else zone.code, names, bank=options.prompt_bank())
        lacked = _lacked(place, zone, something=any(said))
        silent = tuple(name for name, sentence in zip(names, said, strict=True) if not sentence)
        return cls(" ".join(filter(None, said)), place, zone, by, lacked, () if lacked else silent, sentences=said)

    def tell(self, vocabulary: Vocabulary) -> Vocabulary:
        """See the base class."""
        return vocabulary.with_class_descriptions(self.sentences)

    @property
    def hint(self) -> str:
        """See the base class."""
        return self._hint("a sentence on each class", "reads their names alone") if self.lacked == "a place" else ""

    @property
    def facts(self) -> tuple[tuple[str, str], ...]:
        """See the base class; with the sentences, which are no description of the scene."""
        return (*super().facts, ("CLASS_DESCRIPTIONS", self.text)) if self.text else super().facts

    @property
    def lines(self) -> tuple[str, ...]:
        """See the base class."""
        where, _, *silent = super().lines
        own = " (the sentences given)" if self.own else ""
        said = self.text or f"their names alone, for lack of {self.lacked}"
        return (where, f"of its classes{own}: {said}", *silent)


def whereabouts_for(model: object, grid: Place, vocabulary: Vocabulary, options: ReadOptions) -> Whereabouts | None:
    """What a model is told of an image that it is about to see; None where it reads nothing of places.

    Args:
        model: a :class:`~ovrs.inference.tile_models.TileModel`.

    Raises:
        OvrsError: see :meth:`Whereabouts.of`.
    """
    if getattr(model, "reads_class_descriptions", False):
        return ClassWhereabouts.of(vocabulary, options.climate, grid)
    if not getattr(model, "reads_places", False):
        return None
    most, count = getattr(model, "most_tokens", MOST_TOKENS), getattr(model, "count_tokens", None)
    return Whereabouts.of(vocabulary, options.climate, grid, gsd=options.gsd, most_tokens=most, count=count)


def whereabouts_of_file(location: Location, vocabulary: Vocabulary, options: ReadOptions) -> Whereabouts:
    """The same of a file, by its header alone; tokens are estimated.

    Raises:
        OvrsError: the file cannot be segmented, or see :meth:`Whereabouts.of`.
    """
    return Whereabouts.of(vocabulary, options.climate, _grid_of_file(location, options), gsd=options.gsd)


def coordinates_of_file(location: Location, options: ReadOptions) -> str:
    """Where a file says that it was taken, as :meth:`ClimateOptions.where` reads it; of a drawn scene its zone.

    Returns:
        Latitude and longitude in degrees; "" where the file says nothing.

    Raises:
        InputError: it cannot be segmented.
    """
    grid = _grid_of_file(location, options)
    if grid is None or grid.zone:
        return "" if grid is None else grid.zone
    place = _middle_of(grid)
    return "" if place is None else f"{place.lat:.4f}, {place.lon:.4f}"


def _grid_of_file(location: Location, options: ReadOptions) -> Place | None:
    """Of a GeoTIFF; None of a picture, which lies nowhere."""
    from ovrs.inference.rasters import place_of_file, read_header
    from ovrs.inference.tiff import open_tiff, reading

    header = read_header(location, options)
    if header.kind == "picture":
        return None
    with open_tiff(location, is_vrt=header.kind == "VRT") as file, reading(location):
        return place_of_file(file, location)


def _found(options: ClimateOptions, grid: Place | None) -> tuple[places.Place | None, Zone | None, str]:
    """The place of an image, the zone there, and who says the zone where it is not looked up."""
    place = options.place or (None if grid is None else _middle_of(grid))
    return place, *_zone_of(place, options, "" if grid is None else grid.zone)


def _lacked(place: places.Place | None, zone: Zone | None, *, something: bool) -> str:
    """What is lacking for a climate prompt; ``something``: whether there is a sentence about the classes."""
    if zone is None:
        return "a place" if place is None else "a climate zone"
    return "" if something else "a sentence about these classes"


def _middle_of(grid: Place) -> places.Place | None:
    """By its coordinate reference system, or the control points of a GeoTIFF that has no other."""
    if grid.crs is not None:
        name = "the image" if grid.path is None else grid.path.name
        return places.place_of_grid(grid.crs, grid.transform, grid.width, grid.height, f"the middle of {name}")
    if isinstance(grid.path, Path) and grid.path.suffix.lower() in (".tif", ".tiff"):
        return places.place_of_raster(grid.path)
    return None


def _zone_of(place: places.Place | None, options: ClimateOptions, drawn: str) -> tuple[Zone | None, str]:
    """The zone of a place, and who says so where it is not looked up there."""
    if options.zone:
        return zone_named(options.zone), "as named"
    if drawn and options.place is None:
        return zone_named(drawn), "as drawn"
    if place is None:
        return None, ""
    from ovrs.climate.lookup import zone_at

    return zone_at(place.lon, place.lat, options.raster), "" if options.raster is None else os.path.basename(options.raster)


def _pixel_size(grid: Place | None, gsd: float | None) -> float:
    """Metres a pixel; 0 where nothing says so."""
    if gsd is not None:
        return gsd
    return 0.0 if grid is None or grid.pixel_area is None else math.sqrt(grid.pixel_area)
