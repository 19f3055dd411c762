"""Places on the Earth as a sphere: which coordinates are one, how far two are apart, and how far a coast reaches."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ovrs.errors import InputError

COAST_KM = 20.0
"""How far from the sought place the nearest land may lie: harbours, piers and small islands have the climate of their coast."""

EARTH_KM = 6371.0088
"""The mean radius."""


def check_coordinates(lon: float, lat: float) -> None:
    """Refuse what is no place on Earth.

    Raises:
        InputError: NaN, infinite, or out of range; the message says so where the two look exchanged.
    """
    if math.isfinite(lon) and math.isfinite(lat) and -180 <= lon <= 180 and -90 <= lat <= 90:
        return
    swapped = math.isfinite(lon) and math.isfinite(lat) and -90 <= lon <= 90 and -180 <= lat <= 180
    hint = "; are they exchanged?" if swapped else ""
    raise InputError(f"latitude {lat:g} and longitude {lon:g} are no place on Earth: -90 to 90 and -180 to 180{hint}")


def kilometres(lon: float, lat: float, to_lon: NDArray[np.float64], to_lat: NDArray[np.float64]) -> NDArray[np.float64]:
    """Great-circle distances on a sphere from one place to others, by the haversine formula [km]; all in degrees."""
    half_lat, half_lon = np.radians(to_lat - lat) / 2, np.radians(to_lon - lon) / 2
    chord = np.sin(half_lat) ** 2 + math.cos(math.radians(lat)) * np.cos(np.radians(to_lat)) * np.sin(half_lon) ** 2
    return np.asarray(2 * EARTH_KM * np.arcsin(np.sqrt(np.clip(chord, 0, 1))))
