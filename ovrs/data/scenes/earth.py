"""Which of the places on Earth scenes are drawn from: by climate zone, and with some held out to be tested on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ovrs.data.scenes.climate import EARTH

# Which places are held out must be the same in training and evaluation, whatever their seeds.
_SEED = 20240611


@dataclass(frozen=True)
class Parts:
    """Rows of the table of places, in three parts that share none.

    Attributes:
        trained: what training draws from.
        places: those held out of the zones that training draws from.
        zone: all of the zone that is held out.
    """

    trained: tuple[int, ...]
    places: tuple[int, ...]
    zone: tuple[int, ...]


def earth_zones() -> tuple[str, ...]:
    """The codes of the climate zones in which there are places, sorted."""
    return tuple(sorted({row[2] for row in EARTH}))


def places_in(zones: Sequence[str]) -> tuple[int, ...]:
    """The rows that lie in one of the zones, by their codes; none given: all rows."""
    return tuple(number for number, row in enumerate(EARTH) if row[2] in zones or not zones)


def parted(zones: Sequence[str] = (), held_out_zone: str = "", share: float = 0.0) -> Parts:
    """The places of ``zones`` with some held out.

    Of every zone about ``share`` of its places is held out, one at least and never the last, so that each zone keeps some to
    train on; of a zone with a single place none is. A larger share holds out the same places and more.

    Args:
        zones: codes; () = all there are.
        held_out_zone: whose places all are held out, be it among ``zones`` or not; "" = none.
        share: 0 to below 1.
    """
    held: list[int] = []
    for zone in earth_zones():
        rows = places_in((zone,))
        count = min(len(rows) - 1, max(1, round(share * len(rows)))) if share > 0 else 0
        order = np.random.default_rng([_SEED, *zone.encode()]).permutation(rows)
        held += order[:count].tolist()
    known = [number for number in places_in(zones) if EARTH[number][2] != held_out_zone]
    return Parts(
        trained=tuple(number for number in known if number not in held),
        places=tuple(number for number in known if number in held),
        zone=places_in((held_out_zone,)) if held_out_zone else (),
    )
