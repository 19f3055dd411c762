"""References from a file of JSON lines, or one JSON list: an image, the mask of one thing in it, and what is said of it.

docs/own_data.md explains every key. A file is somebody else's: what it holds is looked at before it is believed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from ovrs.data.referring.polygons import Ring
from ovrs.errors import DataError

_MASKS = ("mask", "polygon", "polygons")
_KEYS = {"image", *_MASKS, "sentence", "sentences", "category", "attributes", "split", "id"}
# Longer than any sentence that a person would say of a thing.
MOST_CHARACTERS = 1_000
_SHOWN = 60


@dataclass(frozen=True)
class Reference:
    """One thing in one image.

    Attributes:
        name: its ``id``, or where in the file it stands.
        image: the image's file.
        mask: the mask's file; None where there are ``rings``.
        rings: polygons around the thing, corners (x, y) in pixels.
        sentences: what is said of it, one or more.
        category: its class, where the file says so.
        attributes: what its sentences tell it by; None where the file does not say.
        split: the split it is of; None where the file does not say.
    """

    name: str
    image: Path
    mask: Path | None
    rings: tuple[Ring, ...]
    sentences: tuple[str, ...]
    category: str | None
    attributes: tuple[str, ...] | None
    split: str | None


@dataclass(frozen=True)
class References:
    """What a file holds, and the keys in it that nothing reads."""

    entries: tuple[Reference, ...]
    unread: tuple[str, ...]


def read_references(path: Path, root: Path) -> References:
    """Read a file of references.

    Args:
        path: JSON lines (one object a line), or a JSON list of such objects.
        root: the folder that paths in the file are relative to.

    Raises:
        DataError: the file cannot be read, holds none, or an entry cannot work; file, line, key and value are named.
    """
    entries: list[Reference] = []
    unread: dict[str, None] = {}
    places: dict[str, str] = {}
    for place, document in _documents(path):
        if not isinstance(document, dict):
            raise DataError(f"{place}: {_shown(document)} is no object; give {{'image': ..., 'mask': ..., 'sentence': ...}}")
        entry = _Line(place, document).reference(root)
        if (before := places.setdefault(entry.name, place)) != place:
            raise DataError(f"{place}: id is {entry.name!r}, as in {before.rpartition(', ')[2]}; give each its own, or none")
        entries.append(entry)
        unread.update(dict.fromkeys(key for key in document if key not in _KEYS))
    if not entries:
        raise DataError(f"{path}: holds no reference; give a JSON object a line")
    return References(tuple(entries), tuple(unread))


def _documents(path: Path) -> Iterator[tuple[str, Any]]:
    """Where each entry stands, and what it is."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: is no UTF-8 text") from error
    if text.lstrip()[:1] == "[":
        yield from ((f"{path}, entry {number}", entry) for number, entry in enumerate(_parsed(text, str(path)), 1))
        return
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield f"{path}, line {number}", _parsed(line, f"{path}, line {number}")


def _parsed(text: str, place: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_distinct, parse_constant=_no_number)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}" if "\n" in text.strip() else f"column {error.colno}"
        raise DataError(f"{place}: is no JSON ({error.msg} at {where})") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{place}: is no plain JSON ({error})") from error


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)!r} is there twice")
    return made


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number of JSON")


class _Line:
    """One object of a file, on its way to a reference."""

    def __init__(self, place: str, document: dict[str, Any]) -> None:
        self.place, self.document = place, document

    def reference(self, root: Path) -> Reference:
        given = [key for key in _MASKS if self.document.get(key) is not None]
        if len(given) != 1:
            self.refuse(given[1] if given else "mask", "give one of mask (a file), polygon (corners) and polygons (several)")
        mask = root / self.text("mask") if given == ["mask"] else None
        return Reference(
            name=self.name(),
            image=root / self.text("image"),
            mask=mask,
            rings=() if mask else self.rings(given[0]),
            sentences=self.sentences(),
            category=self.optional("category"),
            attributes=self.texts("attributes") if self.document.get("attributes") is not None else None,
            split=self.optional("split"),
        )

    def refuse(self, key: str, wanted: str) -> NoReturn:
        raise DataError(f"{self.place}: {key} is {_shown(self.document.get(key))}; {wanted}")

    def text(self, key: str) -> str:
        value = self.document.get(key)
        if not isinstance(value, str) or not value.strip() or "\0" in value:
            self.refuse(key, "give a text")
        return value.strip()

    def optional(self, key: str) -> str | None:
        return None if self.document.get(key) is None else self.text(key)

    def texts(self, key: str) -> tuple[str, ...]:
        value = self.document.get(key)
        if not isinstance(value, list) or not all(isinstance(item, str) and item.strip() for item in value):
            self.refuse(key, "give a list of texts")
        return tuple(item.strip() for item in value)

    def name(self) -> str:
        value = self.document.get("id")
        if value is None:
            return self.place.rpartition(", ")[2]
        if isinstance(value, bool) or not isinstance(value, int | str) or value == "":
            self.refuse("id", "give a text or a whole number")
        return str(value)

    def sentences(self) -> tuple[str, ...]:
        if (self.document.get("sentence") is None) == (self.document.get("sentences") is None):
            self.refuse("sentence", "give one sentence, or a list of several under sentences")
        key = "sentences" if self.document.get("sentence") is None else "sentence"
        found = self.texts(key) if key == "sentences" else (self.text(key),)
        if not found or any(len(sentence) > MOST_CHARACTERS for sentence in found):
            self.refuse(key, f"give what is said of the thing, in at most {MOST_CHARACTERS:,} characters")
        return found

    def rings(self, key: str) -> tuple[Ring, ...]:
        value = self.document[key]
        rings = [value] if key == "polygon" else value
        if not isinstance(rings, list) or not rings or not all(_is_ring(ring) for ring in rings):
            form = "[[x, y], [x, y], [x, y], ...]"
            self.refuse(key, f"give {form if key == 'polygon' else f'[{form}, ...]'}, three corners or more, in pixels")
        return tuple(tuple((float(x), float(y)) for x, y in ring) for ring in rings)


def _is_ring(ring: Any) -> bool:
    return isinstance(ring, list) and len(ring) >= 3 and all(
        isinstance(corner, list) and len(corner) == 2 and all(_is_number(part) for part in corner) for corner in ring
    )  # fmt: skip


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and abs(value) < 1e9


def _shown(value: Any) -> str:
    text = "missing" if value is None else repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
