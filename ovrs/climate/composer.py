"""Sentences composed of facts: what docs/prompt_bank.md calls building a bank.

The facts are the YAML files in ``ovrs/climate/facts``. ``zones.yaml`` holds what the land looks like in each zone, every
other file classes: how to say them (``say``, a pattern with ``{fact}`` in it), their other names (``also``) and their own
facts, which come before those of their ``family`` and those of the zones. The result depends on the files alone.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml

from ovrs.climate.bank import PromptBank, Sentence, plain
from ovrs.climate.zones import ZONES
from ovrs.errors import DataError

FACTS = Path(__file__).parent / "facts"
VERSION = "v1"
_DEEPEST = 5  # facts that name facts
_VOWEL = re.compile(r"\b([Aa]) (?=[aeio]|A[irt]|u(?!ni|s))(?!eu|one\b)")


def compose(facts: Path = FACTS, table: Iterable[tuple[str, tuple[str, ...]]] = (), version: str = VERSION) -> PromptBank:
    """The bank of the facts in a folder: a sentence for every zone and every class.

    Args:
        facts: the folder.
        table: names and synonyms of classes of data sets; a class is given the synonyms that no other class claims.
        version: of the bank.

    Raises:
        DataError: a file that is no YAML, a class said twice, a fact that is missing or that two keys decide alike; names the
            file, the class and the zone.
    """
    zones = _read(facts / "zones.yaml").get("facts", {})
    classes: dict[str, dict[str, Any]] = {}
    source: dict[str, str] = {}
    for path in sorted(facts.glob("*.yaml")):
        read = _read(path) if path.name != "zones.yaml" else {}
        families = read.get("families", {})
        for name, entry in read.get("classes", {}).items():
            if name in classes:
                raise DataError(f"{path}: {name!r} is also a class of {source[name]}; keep one")
            if (family := entry.get("family", "")) and family not in families:
                raise DataError(f"{path}: classes.{name}.family: {family!r} is not among its families")
            classes[name], source[name] = {**families.get(family, {}), "name": name, **entry}, path.name
    sentences: dict[str, dict[str, Sentence]] = {code: {} for code in ZONES}
    for name, entry in classes.items():
        note = f"ovrs facts {version}: {source[name]} + zones.yaml, composed by tools/build_prompt_bank.py"
        for code in ZONES:
            text = _composed({"zone": ZONES[code].name, **zones, **entry}, code, name, facts / source[name])
            sentences[code][name] = Sentence(text, note)
    return PromptBank(version, _synonyms(classes, table), sentences, str(facts))


def _read(path: Path) -> dict[str, Any]:
    try:
        read = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise DataError(f"{path}: is no YAML: {error}") from error
    if not isinstance(read, dict) or not set(read) <= {"facts", "families", "classes"}:
        raise DataError(f"{path}: is no file of facts; it has the keys facts, or families and classes")
    return read


def _composed(facts: Mapping[str, Any], code: str, name: str, path: Path) -> str:
    """The sentence about the class ``name`` in the zone."""
    where = f"{path}: classes.{name}"
    text = "{say}"
    for _ in range(_DEEPEST):
        text = re.sub(r"\{(\w+)\}", lambda found: _fact(facts, found[1], code, name, where), text)
    if left := re.findall(r"\{[^}]*\}?", text):
        raise DataError(f"{where}: {left[0]} cannot be filled in for {code}")
    text = _VOWEL.sub(r"\1n ", " ".join(text.split()))
    return text[:1].upper() + text[1:]


def _fact(facts: Mapping[str, Any], key: str, code: str, name: str, where: str) -> str:
    """The phrase of a fact for a zone: of its most particular key; of a list the one that a hash of the names points to."""
    if key not in facts:
        raise DataError(f"{where}: there is no fact {key!r}")
    value = facts[key]
    if isinstance(value, dict):
        value = _of_zone(value, code, f"{where}: {key}")
    if isinstance(value, str) and "|" in value:
        value = [part.strip() for part in value.split("|")]
    if isinstance(value, list):
        place = int.from_bytes(hashlib.sha256(f"{key}/{code}/{name}".encode()).digest()[:4], "big")
        value = value[place % len(value)]
    if not isinstance(value, str):
        raise DataError(f"{where}: {key} is {value!r} for {code}; give a phrase")
    return value


def _of_zone(values: Mapping[str, Any], code: str, where: str) -> Any:
    """The value whose key says most letters of the zone's code."""
    scores: dict[str, int] = {}
    for key in values:
        fitting = [part.strip() for part in str(key).split(",") if fnmatchcase(code, part.strip())]
        if fitting:
            scores[key] = max(len(part.replace("*", "").replace("?", "")) for part in fitting)
    best = [key for key, score in scores.items() if score == max(scores.values())]
    if len(best) != 1:
        raise DataError(f"{where}: {' and '.join(best) or 'no key'} for {code}; let one key say most of it")
    return values[best[0]]


def _synonyms(
    classes: Mapping[str, Mapping[str, Any]], table: Iterable[tuple[str, tuple[str, ...]]]
) -> dict[str, tuple[str, ...]]:
    """Other names of each class: its own under ``also``, then those of the table that are no other class's."""
    found = {name: list(dict.fromkeys(entry.get("also", []))) for name, entry in classes.items()}
    class_of = {plain(word): name for name, words in found.items() for word in words} | {plain(name): name for name in found}
    for name, words in table:
        if known := class_of.get(plain(name)):
            new = [word for word in words if plain(word) not in class_of]
            class_of.update((plain(word), known) for word in new)
            found[known].extend(new)
    return {name: tuple(words) for name, words in found.items()}
