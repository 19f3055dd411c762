"""The zones of Köppen and Geiger by code."""

import itertools

import pytest

from ovrs.climate.zones import ZONES, zone_named
from ovrs.errors import InputError


def possible_codes() -> set[str]:
    """By the formulas of Kottek et al.: A, B and E have their own second letters, C and D share them."""
    by_rain = {
        *("A" + rain for rain in "fmsw"),
        *("B" + rain + heat for rain, heat in itertools.product("SW", "hk")),
        *("E" + heat for heat in "TF"),
    }
    by_both = {"C" + rain + heat for rain, heat in itertools.product("fsw", "abc")}
    return by_rain | by_both | {"D" + rain + heat for rain, heat in itertools.product("fsw", "abcd")}


def test_all_the_zones_that_the_letters_allow_and_no_others():
    assert set(ZONES) == possible_codes()
    assert len(ZONES) == 31
    assert all(code == zone.code for code, zone in ZONES.items())


def test_no_two_zones_are_told_alike():
    assert len({zone.name for zone in ZONES.values()}) == len({zone.words for zone in ZONES.values()}) == 31


@pytest.mark.parametrize("zone", ZONES.values(), ids=list(ZONES))
def test_names_and_words_fit_into_a_sentence(zone):
    assert zone.name.split()[0] == "Mediterranean" or zone.name[0].islower()
    assert "climate" in zone.name
    assert not zone.words.endswith(".") and zone.words[0].islower() and zone.code not in zone.words


@pytest.mark.parametrize("written", ["BWh", "bwh", "BWH", " BWh "])
def test_a_code_in_any_case_is_one_zone(written):
    assert zone_named(written) is ZONES["BWh"]


def test_an_unknown_code_names_those_that_are_near():
    with pytest.raises(InputError, match=r"'BWx'.*BW[hk]"):
        zone_named("BWx")
    with pytest.raises(InputError, match=r"'desert'.*ET"):
        zone_named("desert")
