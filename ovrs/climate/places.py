"""Where an image was taken: from its georeference, from coordinates, or from the name of a city or region."""

from __future__ import annotations

import csv
import difflib
import math
import re
import unicodedata
import warnings
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from ovrs.climate.raster import project
from ovrs.climate.sphere import check_coordinates
from ovrs.errors import InputError

if TYPE_CHECKING:
    from affine import Affine
    from rasterio.crs import CRS

_REGIONS = Path(__file__).parent / "regions.csv"
_NUMBER = re.compile(r"([+-]?\d+(?:\.\d+)?)\s*°?\s*([NSEW]?)", re.IGNORECASE)
_FORMS = "write latitude, longitude, such as 25.2,55.3 or 25.2N 55.3E or -33.9,18.4"


@dataclass(frozen=True)
class Place:
    """A place on Earth.

    Attributes:
        lon, lat: degrees east and north, WGS 84.
        origin: how it is known, for people: "the middle of scene.tif", "region Dubai".
    """

    lon: float
    lat: float
    origin: str

    def __str__(self) -> str:
        """Such as "25.20 N, 55.27 E (region Dubai)"."""
        lat, lon = (
            f"{abs(self.lat):.2f} {'N' if self.lat >= 0 else 'S'}",
            f"{abs(self.lon):.2f} {'E' if self.lon >= 0 else 'W'}",
        )
        return f"{lat}, {lon} ({self.origin})"


def place_of_raster(path: Path) -> Place | None:
    """The middle of a raster by its CRS and transform, or by its ground control points.

    Returns:
        None where the file says of no place: without a CRS, such as most pictures.

    Raises:
        InputError: the file cannot be read.
    """
    import rasterio
    from rasterio._err import CPLE_BaseError
    from rasterio.errors import CRSError, NotGeoreferencedWarning, RasterioError
    from rasterio.transform import from_gcps

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(path) as file:
                origin = f"the middle of {Path(path).name}"
                points, crs = file.gcps
                if points and crs is not None:
                    return place_of_grid(crs, from_gcps(points), file.width, file.height, f"{origin}, by its control points")
                return place_of_grid(file.crs, file.transform, file.width, file.height, origin)
    except (RasterioError, CPLE_BaseError, CRSError, OSError) as error:
        raise InputError(f"{path}: cannot be read as an image ({error})") from error


def place_of_grid(
    crs: CRS | None, transform: Affine | None, width: int, height: int, origin: str = "the image's middle"
) -> Place | None:
    """The middle of an image's grid; None where CRS or transform are missing, or put it nowhere on Earth."""
    if crs is None or transform is None or transform.is_identity:  # rasterio's word for no transform
        return None
    x, y = transform @ (width / 2, height / 2)
    lon, lat = (float(values[0]) for values in project(crs, "EPSG:4326", [x], [y]))
    if not (math.isfinite(lon) and -90 <= lat <= 90 and abs(lon) <= 540):
        return None
    return Place((lon + 180) % 360 - 180, lat, origin)


def parse_location(text: str, origin: str = "--location") -> Place:
    """Coordinates as people write them: latitude first, or each with the letter of its direction.

    Args:
        text: "25.2,55.3", "25.2 55.3", "25.2N 55.3E", "55.3° E, 25.2° N" or "-33.9,18.4"; degrees with a decimal point.
        origin: what the place says of itself.

    Raises:
        InputError: anything else, or no place on Earth.
    """
    found = re.fullmatch(rf"{_NUMBER.pattern}\s*[,;\s]\s*{_NUMBER.pattern}", text.strip(), re.IGNORECASE)
    if found is None:
        raise InputError(f"{text!r} is no location; {_FORMS}")
    first, second = (float(found[1]), found[2].upper()), (float(found[3]), found[4].upper())
    if first[1] in ("E", "W") and second[1] in ("N", "S"):
        first, second = second, first
    if (first[1], second[1]) != ("", "") and not (first[1] in ("N", "S") and second[1] in ("E", "W")):
        raise InputError(f"{text!r} is no location: one of N or S and one of E or W, or none of them; {_FORMS}")
    if any(letter and number < 0 for number, letter in (first, second)):
        raise InputError(f"{text!r} is no location: a letter or a minus, not both; {_FORMS}")
    lat, lon = (-number if letter in ("S", "W") else number for number, letter in (first, second))
    try:
        check_coordinates(lon, lat)
    except InputError as error:
        raise InputError(f"{text!r}: {error}") from error
    return Place(lon, lat, origin)


def region_named(name: str) -> Place:
    """A city or region of the shipped list, in whatever case, with or without accents, blanks and hyphens.

    Raises:
        InputError: it is not in the list; the message names those that are near.
    """
    regions, key = _regions(), _key(name)
    if key in regions:
        return regions[key]
    near = [regions[match] for match in difflib.get_close_matches(key, regions, n=6, cutoff=0.7)]
    names = list(dict.fromkeys(place.origin.removeprefix("region ") for place in near))[:3]
    hint = f"near: {', '.join(names)}; or" if names else ""
    raise InputError(f"no region {name!r} in the list of {len(set(regions.values()))}; {hint} give its coordinates: LAT,LON")


def region_of_tile(name: str) -> Place | None:
    """The region that a tile's file name begins with: "buenos_aires_39.tif" of OpenEarthMap lies in Buenos Aires.

    Only numbers may follow the region, since other words can mean anything; None where no region is named so.
    """
    match = re.fullmatch(r"(.*?)((?:[_-]\d+)*)", Path(name).stem)
    return _regions().get(_key(match[1])) if match else None


def region_names() -> list[str]:
    """The names of the shipped regions, as they are written there."""
    return sorted({place.origin.removeprefix("region ") for place in _regions().values()})


@lru_cache(maxsize=1)
def _regions() -> dict[str, Place]:
    """Every shipped place by each of its names, as :func:`_key` writes them."""
    found: dict[str, Place] = {}
    with _REGIONS.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            place = Place(float(row["lon"]), float(row["lat"]), f"region {row['name']}")
            for name in (row["name"], *filter(None, row["also"].split("|"))):
                if found.setdefault(_key(name), place) is not place:
                    raise ValueError(f"{_REGIONS.name}: {name!r} is the name of two places")
    return found


def _key(name: str) -> str:
    """Letters and digits alone, without accents, in lower case."""
    plain = unicodedata.normalize("NFKD", name.casefold().replace("ł", "l").replace("ø", "o").replace("đ", "d"))
    return "".join(letter for letter in plain if letter.isalnum())
