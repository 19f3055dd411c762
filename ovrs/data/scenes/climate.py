"""Where on Earth a scene lies and when it was taken: places with their climate zone, seasons, and the map projection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import atan2, atanh, cos, cosh, floor, radians, sin, sinh, sqrt

import numpy as np

# Longitude and latitude in degrees, Koeppen-Geiger zone, whether it lies at a coast.
EARTH: tuple[tuple[float, float, str, bool], ...] = (
    (103.85, 1.29, "Af", True), (32.58, 0.35, "Af", False), (-48.50, -1.45, "Af", True), (114.10, -3.33, "Af", False),
    (-34.90, -8.05, "Am", True), (98.67, 3.59, "Am", False), (120.98, 14.60, "Aw", True), (3.39, 6.45, "Aw", True),
    (39.28, -6.80, "Aw", True), (130.84, -12.46, "Aw", True), (-47.90, -15.80, "Aw", False), (100.50, 13.75, "Aw", True),
    (72.85, 19.00, "Aw", True), (106.70, 10.80, "Aw", True), (-82.37, 23.10, "Aw", True), (15.30, -4.35, "Aw", False),
    (55.30, 25.20, "BWh", True), (46.70, 24.70, "BWh", False), (31.25, 30.05, "BWh", False), (-77.05, -12.05, "BWh", True),
    (-112.05, 33.45, "BWh", False), (-115.15, 36.15, "BWh", False), (67.00, 24.90, "BWh", True), (14.50, -22.95, "BWk", True),
    (133.88, -23.70, "BWh", False), (-17.40, 14.70, "BSh", True), (32.50, 37.87, "BSk", False), (-104.95, 39.70, "BSk", False),
    (-0.88, 41.65, "BSk", False), (44.50, 40.18, "BSk", False), (-9.15, 38.72, "Csa", True), (5.40, 43.30, "Csa", True),
    (23.70, 37.95, "Csa", True), (-3.70, 40.40, "Csa", False), (115.85, -31.95, "Csa", True), (10.20, 36.80, "Csa", True),
    (-118.25, 33.80, "Csb", True), (18.45, -33.95, "Csb", True), (-71.60, -33.05, "Csb", True), (-8.60, 41.15, "Csb", True),
    (-122.30, 47.60, "Csb", True), (-90.05, 29.95, "Cfa", True), (-76.30, 36.90, "Cfa", True), (-84.40, 33.75, "Cfa", False),
    (121.50, 31.20, "Cfa", True), (139.65, 35.45, "Cfa", True), (-58.40, -34.60, "Cfa", True), (151.20, -33.85, "Cfa", True),
    (31.00, -29.85, "Cfa", True), (9.20, 45.45, "Cfa", False), (114.15, 22.30, "Cwa", True), (77.20, 28.60, "Cwa", False),
    (104.05, 30.65, "Cwa", False), (36.82, -1.29, "Cwb", False), (-99.13, 19.43, "Cwb", False), (4.45, 51.90, "Cfb", True),
    (-0.10, 51.50, "Cfb", False), (8.55, 47.40, "Cfb", False), (8.80, 53.10, "Cfb", True), (-4.50, 48.40, "Cfb", True),
    (145.00, -37.85, "Cfb", True), (174.80, -36.85, "Cfb", True), (-6.25, 53.35, "Cfb", True), (12.60, 55.70, "Cfb", True),
    (-87.65, 41.85, "Dfa", True), (-93.25, 45.00, "Dfa", False), (37.60, 55.75, "Dfb", False), (24.95, 60.17, "Dfb", True),
    (18.05, 59.33, "Dfb", True), (30.50, 50.45, "Dfb", False), (-73.55, 45.50, "Dfb", False), (82.90, 55.00, "Dfb", False),
    (116.40, 39.90, "Dwa", False), (131.90, 43.10, "Dwb", True), (141.35, 43.05, "Dfb", True), (-149.90, 61.20, "Dfc", True),
    (18.95, 69.65, "Dfc", True), (40.50, 64.55, "Dfc", True),
)  # fmt: skip

_ZONES = {
    "A": "tropical",
    "BW": "desert",
    "BS": "semi-arid",
    "Cs": "Mediterranean",
    "Cf": "temperate",
    "Cw": "monsoon",
    "D": "continental",
}

# How green the land is from 0 to 1: winter, spring, summer, autumn; in the tropics the dry and the rainy season.
_GREEN = {
    "desert": (0.06, 0.1, 0.04, 0.05),
    "semi-arid": (0.3, 0.45, 0.25, 0.25),
    "Mediterranean": (0.68, 0.78, 0.3, 0.4),
    "temperate": (0.52, 0.85, 0.78, 0.62),
    "monsoon": (0.4, 0.45, 0.88, 0.7),
    "continental": (0.25, 0.65, 0.8, 0.5),
}
_FROSTLESS = ("Af", "Am", "Aw", "BS", "Cw")
_SEASONS = ("winter", "spring", "summer", "autumn")


def lying(coast: bool, warm: bool, places: Sequence[int] = ()) -> list[tuple[float, float, str, bool]]:
    """The rows of the table of places, of all or of ``places``, that lie by the sea or where it never freezes, if so asked."""
    rows = [EARTH[number] for number in places] if len(places) else EARTH
    return [row for row in rows if (row[3] or not coast) and (row[2][:2] in _FROSTLESS or not warm)]


@dataclass(frozen=True)
class Setting:
    """Where and when: longitude and latitude in degrees, Koeppen-Geiger zone, month 1 to 12."""

    lon: float = 8.8
    lat: float = 53.1
    climate: str = "Cfb"
    month: int = 7

    @classmethod
    def draw(cls, rng: np.random.Generator, coast: bool = False, warm: bool = False, places: Sequence[int] = ()) -> Setting:
        """A place of the table, some kilometres off, in any month; by the sea, or where it never freezes, if so asked.

        Args:
            places: rows of the table that it is drawn from, see :mod:`ovrs.data.scenes.earth`; () = all.

        Raises:
            ValueError: none of them is such a place, see :func:`lying`.
        """
        table = lying(coast, warm, places)
        if not table:
            raise ValueError(f"no place by the sea ({coast}) or without frost ({warm}) among the rows {tuple(places)}")
        lon, lat, climate, _ = table[int(rng.integers(len(table)))]
        lon, lat = (round(float(v + rng.uniform(-0.15, 0.15)), 6) for v in (lon, lat))
        return cls(lon, lat, climate, int(rng.integers(1, 13)))

    @property
    def zone(self) -> str:
        """The climate in a word: tropical, desert, semi-arid, Mediterranean, temperate, monsoon or continental."""
        return _ZONES.get(self.climate[0]) or _ZONES[self.climate[:2]]

    @property
    def season(self) -> str:
        """Winter, spring, summer or autumn of its hemisphere; in the tropics the dry or the rainy season."""
        quarter = ((self.month % 12) // 3 + (0 if self.lat >= 0 else 2)) % 4
        if self.zone != "tropical":
            return _SEASONS[quarter]
        warm = 5 <= (self.month + (0 if self.lat >= 0 else 6) - 1) % 12 + 1 <= 10
        return "rainy season" if warm or self.climate == "Af" else "dry season"

    @property
    def green(self) -> float:
        """How green the land is, 0 to 1."""
        if self.zone == "tropical":
            return 0.92 if self.season == "rainy season" else 0.5
        return _GREEN[self.zone][_SEASONS.index(self.season)]

    @property
    def snow_chance(self) -> float:
        """How likely snow lies."""
        if self.season == "winter":
            return {"continental": 0.65, "temperate": 0.08 if self.climate == "Cfb" else 0.0}.get(self.zone, 0.0)
        return 0.0

    @property
    def epsg(self) -> int:
        """The EPSG code of its UTM zone."""
        return (32600 if self.lat >= 0 else 32700) + floor((self.lon + 180.0) / 6.0) % 60 + 1

    @property
    def easting_northing(self) -> tuple[float, float]:
        """Metres east and north in its UTM zone, after Krueger's series to the third order (within a millimetre here)."""
        flattening = 1 / 298.257223563
        n = flattening / (2 - flattening)
        radius = 6378137.0 / (1 + n) * (1 + n**2 / 4 + n**4 / 64)
        alpha = (
            n / 2 - 2 * n**2 / 3 + 5 * n**3 / 16,
            13 * n**2 / 48 - 3 * n**3 / 5,
            61 * n**3 / 240,
        )
        lat, away = radians(self.lat), radians(self.lon - (6.0 * ((self.epsg % 100) - 1) - 177.0))
        squash = 2 * sqrt(n) / (1 + n)
        t = sinh(atanh(sin(lat)) - squash * atanh(squash * sin(lat)))
        xi, eta = atan2(t, cos(away)), atanh(sin(away) / sqrt(1 + t * t))
        east = eta + sum(a * cos(2 * j * xi) * sinh(2 * j * eta) for j, a in enumerate(alpha, 1))
        north = xi + sum(a * sin(2 * j * xi) * cosh(2 * j * eta) for j, a in enumerate(alpha, 1))
        return 500_000.0 + 0.9996 * radius * east, 0.9996 * radius * north + (0.0 if self.lat >= 0 else 10_000_000.0)
