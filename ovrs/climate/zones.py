"""The 31 climate zones of Köppen and Geiger: their codes, their names and words for a prompt.

The codes are those of Kottek et al., "World Map of the Köppen-Geiger climate classification updated" (2006), Table 1 and
Table 2: the first letter is the main climate (A equatorial, B arid, C warm temperate, D snow, E polar), the second the
precipitation (S steppe, W desert, f fully humid, s summer dry, w winter dry, m monsoonal), the third the temperature (h hot
arid, k cold arid, a hot summer, b warm summer, c cool summer, d extremely continental). The names are the common ones of Peel
et al. (2007) and Beck et al. (2018), who say tropical for equatorial, temperate for warm temperate and cold for snow.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from ovrs.errors import InputError


@dataclass(frozen=True)
class Zone:
    """A climate zone.

    Attributes:
        code: as on the maps, such as "BWh".
        name: in full, to be put after "a" or "the": "hot desert climate".
        words: a short phrase that says what the weather is like, to follow "a place with" or "land with".
    """

    code: str
    name: str
    words: str


_ALL = (
    Zone("Af", "tropical rainforest climate", "hot and humid weather with rain in every month"),
    Zone("Am", "tropical monsoon climate", "hot weather with heavy monsoon rain and a short dry season"),
    Zone("As", "tropical savanna climate with dry summers", "hot weather with a dry summer and a rainy winter"),
    Zone("Aw", "tropical savanna climate with dry winters", "hot weather with a rainy summer and a dry winter"),
    Zone("BWh", "hot desert climate", "hot weather with almost no rain"),
    Zone("BWk", "cold desert climate", "almost no rain and cold winters"),
    Zone("BSh", "hot steppe climate", "hot weather with little rain"),
    Zone("BSk", "cold steppe climate", "little rain and cold winters"),
    Zone("Cfa", "humid subtropical climate", "hot humid summers, mild winters and rain in every season"),
    Zone("Cfb", "temperate oceanic climate", "warm summers, mild winters and rain in every season"),
    Zone("Cfc", "subpolar oceanic climate", "short cool summers, mild winters and rain in every season"),
    Zone("Csa", "Mediterranean climate with hot summers", "hot dry summers and mild rainy winters"),
    Zone("Csb", "Mediterranean climate with warm summers", "warm dry summers and mild rainy winters"),
    Zone("Csc", "Mediterranean climate with cool summers", "short cool dry summers and mild rainy winters"),
    Zone("Cwa", "humid subtropical climate with dry winters", "hot rainy summers and mild dry winters"),
    Zone("Cwb", "subtropical highland climate with dry winters", "warm rainy summers and mild dry winters"),
    Zone("Cwc", "cool subtropical highland climate with dry winters", "short cool rainy summers and mild dry winters"),
    Zone("Dfa", "humid continental climate with hot summers", "hot summers, cold snowy winters and rain in every season"),
    Zone("Dfb", "humid continental climate with warm summers", "warm summers, cold snowy winters and rain in every season"),
    Zone("Dfc", "subarctic climate", "short cool summers and long cold snowy winters"),
    Zone("Dfd", "extremely cold subarctic climate", "short cool summers and extremely cold winters"),
    Zone("Dsa", "continental climate with hot dry summers", "hot dry summers and cold snowy winters"),
    Zone("Dsb", "continental climate with warm dry summers", "warm dry summers and cold snowy winters"),
    Zone("Dsc", "subarctic climate with dry summers", "short cool dry summers and long cold snowy winters"),
    Zone("Dsd", "extremely cold subarctic climate with dry summers", "short cool dry summers and extremely cold winters"),
    Zone("Dwa", "continental monsoon climate with hot summers", "hot rainy summers and cold dry winters"),
    Zone("Dwb", "continental monsoon climate with warm summers", "warm rainy summers and cold dry winters"),
    Zone("Dwc", "subarctic climate with dry winters", "short cool rainy summers and long cold dry winters"),
    Zone("Dwd", "extremely cold subarctic climate with dry winters", "short cool rainy summers and extremely cold dry winters"),
    Zone("EF", "polar ice cap climate", "frost and ice in every month of the year"),
    Zone("ET", "polar tundra climate", "frozen ground, very short cold summers and long winters"),
)

ZONES: dict[str, Zone] = {zone.code: zone for zone in _ALL}
"""Every zone by its code, in the order of Kottek et al."""

_BY_LOWER = {code.lower(): zone for code, zone in ZONES.items()}


def zone_named(code: str) -> Zone:
    """The zone of a code, in whatever case it is written: "bwh" and "BWh" are one.

    Raises:
        InputError: there is no such zone; the message names the codes that are near.
    """
    asked = code.strip().lower()
    if zone := _BY_LOWER.get(asked):
        return zone
    near = [_BY_LOWER[name].code for name in difflib.get_close_matches(asked, list(_BY_LOWER), n=4, cutoff=0.5)]
    hint = f"near: {', '.join(near)}" if near else f"the {len(ZONES)} codes are {', '.join(ZONES)}"
    raise InputError(f"no climate zone {code!r} on the maps of Köppen and Geiger; {hint}")
