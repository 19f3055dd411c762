"""A user's own climate map: any raster that rasterio reads, on any grid.

What its numbers mean is said by a legend beside it, or else is the numbering of Beck et al., "Present and future Köppen-Geiger
climate classification maps at 1-km resolution" (2018) and "High-resolution (1 km) Köppen-Geiger maps for 1901-2099" (2023).
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ovrs.climate.sphere import COAST_KM, kilometres
from ovrs.climate.zones import ZONES, Zone
from ovrs.errors import InputError

if TYPE_CHECKING:
    from rasterio.crs import CRS

BECK = [
    *("Af", "Am", "Aw", "BWh", "BWk", "BSh", "BSk", "Csa", "Csb", "Csc", "Cwa", "Cwb", "Cwc", "Cfa", "Cfb", "Cfc"),
    *("Dsa", "Dsb", "Dsc", "Dsd", "Dwa", "Dwb", "Dwc", "Dwd", "Dfa", "Dfb", "Dfc", "Dfd", "ET", "EF"),
]
"""Beck et al.'s zones, numbered from 1; 0 is water."""

_LEGEND_LINE = re.compile(r"^\s*(\d+)\s*[:;,=\t ]\s*([A-Za-z]{2,3})\b")
# Finer cells are passed over when the nearest land is sought [cells a side].
_MOST_CELLS = 1024
_KM_PER_DEGREE = 111.2


def zone_in(path: Path, lon: float, lat: float) -> Zone | None:
    """The zone that a raster gives for a place, or for the nearest cell with a zone within ``COAST_KM``.

    Args:
        path: a raster with a coordinate reference system; its first band holds numbers of zones. A text file beside it, of
            the same name or named ``legend.txt``, with lines such as "4: BWh", says what they mean; without one, they are
            Beck et al.'s. 0, nodata and, in a floating-point raster, NaN mean no zone.
        lon, lat: degrees.

    Returns:
        None beyond the raster, or where no cell that near has a zone.

    Raises:
        InputError: the raster cannot be read or has no CRS, its legend cannot be used, or a number has no meaning.
    """
    meanings = legend_of(path)
    with _opened(path) as file:
        found = _numbers_near(file, lon, lat)
    if found is None or found[1] > COAST_KM:
        return None
    number = found[0]  # the others near by need no meaning
    if number not in meanings:
        known = f"{min(meanings):g} to {max(meanings):g}"
        raise InputError(
            f"{path}: {number:g} at latitude {lat:g}, longitude {lon:g} is no number of a climate zone ({known} are); "
            f"say what the numbers mean in {path.with_suffix('.txt').name} beside it, with lines such as '4: BWh'"
        )
    return meanings[number]


def legends_beside(path: Path) -> tuple[Path, Path]:
    """The files that may say what a raster's numbers mean, whether they are there or not; the first that is counts."""
    return path.with_suffix(".txt"), path.with_name("legend.txt")


def check_raster(path: Path) -> None:
    """Try whether a raster can be one of climate zones; its numbers are not read.

    Raises:
        InputError: it cannot be read or has no CRS, or its legend cannot be used.
    """
    legend_of(path)
    with _opened(path):
        pass


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """A raster with a coordinate reference system; what goes wrong in reading it names the file."""
    import rasterio
    from rasterio._err import CPLE_BaseError
    from rasterio.errors import CRSError, NotGeoreferencedWarning, RasterioError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(path) as file:
                if file.crs is None:
                    raise InputError(f"{path}: a climate raster needs a coordinate reference system; this one has none")
                yield file
    except (RasterioError, CPLE_BaseError, CRSError, OSError) as error:
        raise InputError(f"{path}: the climate raster cannot be read ({error})") from error


def legend_of(path: Path) -> dict[float, Zone]:
    """What a raster's numbers mean: by ``NAME.txt`` or ``legend.txt`` beside ``NAME.tif``, else by Beck et al.

    Raises:
        InputError: a legend without a line of a zone, or that cannot be read.
    """
    for legend in legends_beside(path):
        if legend.is_file():
            return _read_legend(legend)
    return {float(number): ZONES[code] for number, code in enumerate(BECK, start=1)}


def _read_legend(legend: Path) -> dict[float, Zone]:
    by_lower = {code.lower(): zone for code, zone in ZONES.items()}
    try:
        lines = legend.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise InputError(f"{legend}: cannot be read: {error.strerror}") from error
    found = {float(match[1]): match[2].lower() for line in lines if (match := _LEGEND_LINE.match(line))}
    meanings = {number: by_lower[code] for number, code in found.items() if code in by_lower}
    if not meanings:
        raise InputError(f"{legend}: no line gives a number its climate zone, such as '4: BWh'; rename it if it is no legend")
    return meanings


def _numbers_near(file: Any, lon: float, lat: float) -> tuple[float, float] | None:
    """The number of the cell that a place lies in, at 0 km, or of the nearest with one; None where there is none."""
    from rasterio.windows import Window

    xs, ys = project("EPSG:4326", file.crs, [lon], [lat])
    if not (math.isfinite(xs[0]) and math.isfinite(ys[0])):
        return None
    turn = _turn(file, xs[0])
    column, row = ~file.transform @ (xs[0] + turn, ys[0])
    if 0 <= column < file.width and 0 <= row < file.height:
        own = _with_zone(file.read(1, window=Window(int(column), int(row), 1, 1), masked=True))
        if np.isfinite(own).all():
            return float(own[0, 0]), 0.0
    return _nearest(file, lon, lat, turn)


def project(
    source: CRS | str, target: CRS | str, xs: ArrayLike, ys: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Coordinates in another reference system; infinite where it has none for a place."""
    from rasterio._err import CPLE_BaseError
    from rasterio.errors import RasterioError
    from rasterio.warp import transform

    points = np.stack([np.asarray(xs, np.float64), np.asarray(ys, np.float64)])
    try:
        done = np.asarray(transform(source, target, *points)[:2])
    except (RasterioError, CPLE_BaseError):
        if points.shape[1] == 1:
            done = np.full_like(points, np.inf)
        else:  # one point beyond a projection's domain spoils all
            done = np.concatenate(
                [project(source, target, *point) for point in np.split(points, points.shape[1], axis=1)], axis=1
            )
    return done[0], done[1]


def _turn(file: Any, x: float) -> float:
    """What to add to longitudes, for maps that run from 0 to 360 degrees rather than from -180 to 180."""
    if not file.crs.is_geographic:
        return 0.0
    return next((turn for turn in (0.0, 360.0, -360.0) if file.bounds.left <= x + turn <= file.bounds.right), 0.0)


def _nearest(file: Any, lon: float, lat: float, turn: float) -> tuple[float, float] | None:
    from rasterio.windows import Window

    rows, columns = _window(file, lon, lat, turn)
    height, width = rows[1] - rows[0], columns[1] - columns[0]
    if height <= 0 or width <= 0:
        return None
    shape = min(height, _MOST_CELLS), min(width, _MOST_CELLS)
    cells = _with_zone(file.read(1, window=Window(columns[0], rows[0], width, height), masked=True, out_shape=shape))
    where = np.argwhere(np.isfinite(cells))
    if not len(where):
        return None
    down = rows[0] + (where[:, 0] + 0.5) * height / shape[0]
    right = columns[0] + (where[:, 1] + 0.5) * width / shape[1]
    xs, ys = file.transform @ (right, down)
    to_lon, to_lat = project(file.crs, "EPSG:4326", xs, ys)
    distance = kilometres(lon, lat, to_lon, to_lat)
    best = int(np.argmin(np.where(np.isfinite(distance), distance, np.inf)))
    return float(cells[tuple(where[best])]), float(distance[best])


def _window(file: Any, lon: float, lat: float, turn: float) -> tuple[tuple[int, int], tuple[int, int]]:
    """First and last row and column that can lie within the reach of a place, kept to the raster."""
    reach = COAST_KM / _KM_PER_DEGREE
    aside = min(reach / max(math.cos(math.radians(lat)), 1e-6), 180.0)
    steps = np.linspace(-1, 1, 9)
    around = [(lon + aside * x, min(max(lat + reach * y, -90), 90)) for x in steps for y in steps]
    xs, ys = project("EPSG:4326", file.crs, [place[0] for place in around], [place[1] for place in around])
    right, down = ~file.transform @ (xs + turn, ys)
    known = np.isfinite(right) & np.isfinite(down)
    if not known.any():
        return (0, 0), (0, 0)
    return _kept(down[known], file.height), _kept(right[known], file.width)


def _kept(positions: NDArray[np.float64], size: int) -> tuple[int, int]:
    first, last = math.floor(positions.min()) - 1, math.ceil(positions.max()) + 1
    return max(first, 0), min(last, size)


def _with_zone(band: Any) -> NDArray[np.float64]:
    """Numbers as float64, NaN where there is no zone: nodata, and 0, which no map gives a zone."""
    numbers = np.ma.filled(band.astype(np.float64), np.nan)
    numbers[numbers == 0] = np.nan
    return numbers
