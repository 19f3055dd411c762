"""What must be true of sentences and of a bank of them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from ovrs.climate.zones import ZONES

if TYPE_CHECKING:
    from ovrs.climate.bank import PromptBank

MOST_WORDS = 30
"""Of one sentence: nine of them have to fit into 250 tokens, and few are long."""

VEGETATION = (
    "tree",
    "forest",
    "coniferous",
    "deciduous",
    "brushwood",
    "chaparral",
    "grass",
    "herbaceous vegetation",
    "low vegetation",
    "rangeland",
    "agriculture",
    "plowed land",
    "vineyard",
)
"""Classes that look different in every climate: no two zones may say the same of one."""

SOIL = ("bare soil", "barren")
"""The same holds for bare ground."""

BUILDINGS = ("building", "building-flooded", "building-non-flooded", "urban land")
"""Classes that climate groups build differently: no two groups may say the same of one."""


def climate_group(zone: str) -> str:
    """The group of a zone: A for the tropics, else main climate and precipitation (BW, BS, Cf, ... EF, ET)."""
    return zone[0] if zone.startswith("A") else zone[:2]


def answer_problems(text: str, names: Sequence[str], most_words: int) -> list[str]:
    """What is wrong with a sentence about a class that goes by ``names``; empty where nothing is."""
    problems = []
    if not re.fullmatch(r"[A-Z][^.!?\n]*\.", text):
        problems.append("is not one sentence that begins with a capital and ends in a full stop")
    if len(text.split()) > most_words:
        problems.append(f"has {len(text.split())} words; {most_words} are allowed")
    if not mentions(text, names):
        problems.append(f"does not mention {names[0]!r}")
    return problems


def mentions(text: str, names: Sequence[str]) -> bool:
    """Whether a sentence says one of the names, in singular or plural; case, hyphens and underscores do not matter."""
    said = f" {_words(text)} "
    return any(f" {form} " in said for name in names for form in _forms(_words(name)))


def _words(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold().replace("_", " ")))


def _forms(name: str) -> set[str]:
    forms = {name, f"{name}s", f"{name}es", re.sub(r"y$", "ies", name)}
    return forms | ({name.removesuffix("s")} if name.endswith("s") and not name.endswith("ss") else set())


def bank_problems(bank: PromptBank, table: Iterable[tuple[str, tuple[str, ...]]]) -> Iterator[tuple[str, str]]:
    """What is wrong with a bank: pairs of a kind and what it is.

    Args:
        bank: it.
        table: names and synonyms of the classes of which it must speak, in all zones.
    """
    for name, synonyms in table:
        if missing := [zone for zone in ZONES if bank.sentence(zone, name) is None]:
            yield "a class without a sentence", f"{name} in {', '.join(missing)}"
        for word in synonyms:
            if bank.class_named(word) is None:
                yield "a synonym of the table that the bank does not know", f"{word} of {name}"
    for zone, name, sentence in bank:
        for problem in answer_problems(sentence.text, (name, *bank.synonyms[name]), MOST_WORDS):
            yield "a sentence that cannot stand", f"{name} in {zone}: {sentence.text!r} {problem}"
    for name in (*VEGETATION, *SOIL):
        yield from _shared(bank, name, {zone: zone for zone in ZONES}, "zones with one sentence for vegetation or soil")
    for name in BUILDINGS:
        yield from _shared(bank, name, {zone: climate_group(zone) for zone in ZONES}, "climate groups that build alike")


def _shared(bank: PromptBank, name: str, group_of: dict[str, str], kind: str) -> Iterator[tuple[str, str]]:
    """Sentences about a class that stand in more than one group of zones."""
    groups: dict[str, list[str]] = defaultdict(list)
    for zone, group in group_of.items():
        sentence = bank.sentence(zone, name)
        if sentence is not None and group not in groups[sentence.text]:
            groups[sentence.text].append(group)
    for text, sharing in groups.items():
        if len(sharing) > 1:
            yield kind, f"{name} in {', '.join(sharing)}: {text!r}"
