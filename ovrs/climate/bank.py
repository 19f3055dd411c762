"""A prompt bank: one sentence for each climate zone and class, with a note of where it comes from.

The file is JSON of this form; docs/prompt_bank.md explains every key::

    {"format": "ovrs prompt bank 1",
     "version": "v1",
     "classes": {"tree": ["trees", "tree canopy"]},
     "provenance": ["where the sentences with this number come from"],
     "sentences": {"Af": {"tree": {"text": "Trees are ...", "provenance": 0}}}}
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ovrs.climate.zones import ZONES, zone_named
from ovrs.errors import DataError
from ovrs.files import written_whole
from ovrs.vocabulary import MAX_LENGTH

NEUTRAL = "It is a remote sensing image."
"""The prompt that says nothing of the place: the second row of Table V of MetaSegNet (Wang et al. 2024)."""

FORMAT = "ovrs prompt bank 1"
SHIPPED = Path(__file__).parent / "banks" / "v1.json"
_KEYS = ("format", "version", "classes", "provenance", "sentences")


@dataclass(frozen=True)
class Sentence:
    """A sentence about a class in a zone, and where it comes from (facts and builder, or a command and a date)."""

    text: str
    provenance: str


def plain(name: str) -> str:
    """The form in which two names of classes count as the same: no case, and spaces for hyphens and underscores."""
    return " ".join(name.casefold().replace("-", " ").replace("_", " ").split())


class PromptBank:
    """Sentences by zone and class.

    Args:
        version: of the sentences; "v1" for those that come along.
        synonyms: other names of every class. A name that is a class of its own stays one.
        sentences: by code of zone, then by class.
        origin: the file, for messages.

    Raises:
        DataError: a class or zone that does not exist, one name for two classes, or a sentence longer than a class's may be.
    """

    def __init__(
        self,
        version: str,
        synonyms: Mapping[str, tuple[str, ...]],
        sentences: Mapping[str, Mapping[str, Sentence]],
        origin: str = "the prompt bank",
    ) -> None:
        self.version = version
        self.synonyms = dict(synonyms)
        self.sentences = {zone: dict(sentences[zone]) for zone in ZONES if sentences.get(zone)}
        self._class_of = _names(self.synonyms, origin)
        for zone, said in sentences.items():
            if zone not in ZONES:
                raise DataError(f"{origin}: sentences: {zone!r} is no climate zone; the codes are {', '.join(ZONES)}")
            for name, sentence in said.items():
                if name not in self.synonyms:
                    raise DataError(f"{origin}: sentences.{zone}: {name!r} is not among its classes; name it under classes")
                if (length := len(sentence.text)) > MAX_LENGTH:
                    key = f"{origin}: sentences.{zone}.{name}.text"
                    raise DataError(f"{key}: has {length:,} characters; {MAX_LENGTH} are allowed")

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes under the names by which the bank knows them."""
        return tuple(self.synonyms)

    @property
    def zones(self) -> tuple[str, ...]:
        """The codes of the zones of which something is said."""
        return tuple(self.sentences)

    def __len__(self) -> int:
        return sum(len(said) for said in self.sentences.values())

    def __iter__(self) -> Iterator[tuple[str, str, Sentence]]:
        """Every sentence behind its zone and class."""
        for zone, said in self.sentences.items():
            for name, sentence in said.items():
                yield zone, name, sentence

    def class_named(self, name: str) -> str | None:
        """The class that goes by ``name`` or has it for a synonym, in any case; None where there is none."""
        return self._class_of.get(plain(name))

    def sentence(self, zone: str, name: str) -> Sentence | None:
        """What is said of the class ``name`` (or a synonym, in any case) in ``zone``; None where nothing is.

        Raises:
            InputError: there is no such zone.
        """
        known = self.class_named(name)
        return None if known is None else self.sentences.get(zone_named(zone).code, {}).get(known)

    def with_sentence(self, zone: str, name: str, sentence: Sentence) -> PromptBank:
        """A copy that says ``sentence`` of the class in the zone; a class that the bank does not know is added.

        Raises:
            InputError: there is no such zone.
        """
        code, known = zone_named(zone).code, self.class_named(name) or name
        said = {**self.sentences, code: {**self.sentences.get(code, {}), known: sentence}}
        return PromptBank(self.version, {**self.synonyms, known: self.synonyms.get(known, ())}, said)

    @classmethod
    def load(cls, path: Path | None = None) -> PromptBank:
        """Read a bank; the one that comes along where ``path`` is None.

        Raises:
            DataError: no such file, or not of the form; names the file and the key.
        """
        path = SHIPPED if path is None else Path(path)
        try:
            read = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=lambda pairs: _once(pairs, path))
        except OSError as error:
            raise DataError(f"{path}: cannot be read as a prompt bank: {error.strerror or error}") from error
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path}: is no JSON, as a prompt bank must be ({error})") from error
        return _bank_of(read, str(path))

    def save(self, path: Path) -> None:
        """Write the bank, whole or not at all; the same bank always gives the same bytes, a sentence a line.

        Raises:
            OutputError: it cannot be written.
        """
        with written_whole(path) as temporary:
            temporary.write_text(self.as_json(), encoding="utf-8", newline="\n")

    def as_json(self) -> str:
        """The text of the file."""
        notes = sorted({sentence.provenance for _, _, sentence in self})
        number = {note: index for index, note in enumerate(notes)}
        zones = {}
        for zone, said in self.sentences.items():
            entries = {name: {"text": said[name].text, "provenance": number[said[name].provenance]} for name in sorted(said)}
            zones[zone] = _lines(entries)
        names = {name: list(self.synonyms[name]) for name in sorted(self.synonyms)}
        parts = (
            f'"format": {_json(FORMAT)}',
            f'"version": {_json(self.version)}',
            f'"classes": {_lines(names)}',
            f'"provenance": {json.dumps(notes, ensure_ascii=False, indent=1)}',
            '"sentences": {\n' + ",\n".join(f"{_json(zone)}: {lines}" for zone, lines in zones.items()) + "\n}",
        )
        return "{" + ",\n".join(parts) + "}\n"


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _lines(entries: Mapping[str, object]) -> str:
    """An object of JSON with a key a line."""
    return "{\n" + ",\n".join(f" {_json(key)}: {_json(value)}" for key, value in entries.items()) + "\n}"


def _once(pairs: list[tuple[str, Any]], path: Path) -> dict[str, Any]:
    """An object of JSON, in which no key stands twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise DataError(f"{path}: {next(key for key in keys if keys.count(key) > 1)!r} stands twice in one object")
    return found


def _names(synonyms: Mapping[str, tuple[str, ...]], origin: str) -> dict[str, str]:
    """The class behind every name, in plain form; a class's own name comes before a synonym of another."""
    own: dict[str, str] = {}
    for name in synonyms:
        if plain(name) in own:
            raise DataError(f"{origin}: classes: {own[plain(name)]!r} and {name!r} are one name; keep one of them")
        own[plain(name)] = name
    others: dict[str, str] = {}
    for name, words in synonyms.items():
        for word in map(plain, words):
            if others.setdefault(word, name) != name and word not in own:
                raise DataError(f"{origin}: classes.{name}: {word!r} is a synonym of {others[word]!r} too; give it to one")
    return {**others, **own}


def _bank_of(read: object, origin: str) -> PromptBank:
    """The bank of what a file holds."""
    if not isinstance(read, dict):
        raise DataError(f"{origin}: a prompt bank is one object of JSON with the keys {', '.join(_KEYS)}")
    if missing := [key for key in _KEYS if key not in read]:
        raise DataError(f"{origin}: is no prompt bank: it lacks the key {missing[0]!r}")
    if unknown := [key for key in read if key not in _KEYS]:
        raise DataError(f"{origin}: {unknown[0]!r} is no key of a prompt bank; it has {', '.join(_KEYS)}")
    if read["format"] != FORMAT:
        raise DataError(f"{origin}: format is {read['format']!r}; {FORMAT!r} can be read")
    version = _text(read["version"], f"{origin}: version")
    given = _of(list, read["provenance"], f"{origin}: provenance")
    notes = [_text(note, f"{origin}: provenance[{index}]") for index, note in enumerate(given)]
    synonyms = {}
    for name, words in _of(dict, read["classes"], f"{origin}: classes").items():
        key = f"{origin}: classes.{_text(name, f'{origin}: classes: a name')}"
        synonyms[name] = tuple(_text(word, key) for word in _of(list, words, key))
    sentences: dict[str, dict[str, Sentence]] = {}
    for zone, said in _of(dict, read["sentences"], f"{origin}: sentences").items():
        sentences[zone] = {
            name: _sentence(entry, notes, f"{origin}: sentences.{zone}.{name}")
            for name, entry in _of(dict, said, f"{origin}: sentences.{zone}").items()
        }
    return PromptBank(version, synonyms, sentences, origin)


def _sentence(read: object, notes: list[str], key: str) -> Sentence:
    """A sentence of a file; ``key`` says where it stands."""
    entry = _of(dict, read, key)
    if set(entry) != {"text", "provenance"}:
        raise DataError(f"{key}: has the keys {', '.join(map(str, entry)) or 'none'}; give text and provenance")
    number = entry["provenance"]
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < len(notes):
        raise DataError(f"{key}.provenance: is {number!r}; give the number of one of the {len(notes)} under provenance")
    return Sentence(_text(entry["text"], f"{key}.text"), notes[number])


def _of(kind: type, value: object, key: str) -> Any:
    if not isinstance(value, kind):
        raise DataError(f"{key}: is {type(value).__name__}; give {'an object' if kind is dict else 'a list'} of JSON")
    return value


def _text(value: object, key: str) -> str:
    if not isinstance(value, str) or not value.strip() or "\n" in value:
        raise DataError(f"{key}: is {value!r}; give a text of one line")
    return value
