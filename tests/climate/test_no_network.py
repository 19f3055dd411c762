"""From a place to its prompt without a network: everything that is read lies in the packages."""

import socket

import pytest
from world_map import needs_map

from ovrs.climate import lookup, places, prompts
from ovrs.climate.bank import PromptBank


@pytest.fixture
def no_network(monkeypatch):
    """No socket opens, no name is looked up, and nothing that was read before is remembered."""

    def refused(*args, **keys):
        raise AssertionError("a socket was asked for")

    for name in ("socket", "create_connection", "getaddrinfo"):
        monkeypatch.setattr(socket, name, refused)
    for module in (lookup, places, prompts):
        for value in vars(module).values():
            if hasattr(value, "cache_clear"):
                value.cache_clear()


@needs_map
def test_zone_region_bank_and_prompt_are_found_offline(no_network):
    dubai = places.region_named("dubai")
    zone = lookup.zone_at(dubai.lon, dubai.lat)
    island = lookup.zone_at(-157.86, 21.31)  # Honolulu
    assert zone is not None and zone.code == "BWh" and island is not None
    bank = PromptBank.load()
    assert bank.sentence(zone.code, "tree").text in prompts.climate_prompt(zone.code, ("tree", "building")).text
    with pytest.raises(AssertionError, match="socket"):
        socket.socket()
