"""The sentences about the classes at a place one by one, for systems that read them apart."""

from __future__ import annotations

import pytest

from ovrs.climate.bank import PromptBank, Sentence
from ovrs.climate.prompts import class_sentences, climate_prompt
from ovrs.errors import ConfigError, InputError

BANK = PromptBank(
    "test",
    {"tree": ("trees",), "road": ()},
    {"BWh": {"tree": Sentence("Palms.", "by hand"), "road": Sentence("Sandy roads.", "by hand")}, "ET": {}},
)


def test_a_sentence_a_class_in_their_order_and_nothing_of_a_class_that_the_bank_does_not_know() -> None:
    assert class_sentences("bwh", ["road", "ship", "Trees"], bank=BANK) == ("Sandy roads.", "", "Palms.")


def test_without_a_zone_or_a_sentence_there_nothing_is_said() -> None:
    assert class_sentences(None, ["road", "tree"], bank=BANK) == ("", "")
    assert class_sentences("ET", ["road", "tree"], bank=BANK) == ("", "")


def test_by_rule_something_is_said_of_every_class_and_what_the_merged_prompt_says() -> None:
    said = class_sentences("BWh", ["ship", "tree"], provider="template")
    assert len(said) == 2 and all(said) and "ship" in said[0]
    assert climate_prompt("BWh", ["ship", "tree"], provider="template").text == " ".join(said)


def test_what_there_is_not_is_refused() -> None:
    with pytest.raises(InputError, match="XX"):
        class_sentences("XX", ["tree"], bank=BANK)
    with pytest.raises(ConfigError, match="no provider 'poet'"):
        class_sentences("BWh", ["tree"], provider="poet")
