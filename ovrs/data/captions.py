"""What is said of whole images: a text file for each, or one file of JSON lines. An image of which nothing is said has ""."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from ovrs.errors import DataError, VocabularyError
from ovrs.vocabulary import MAX_DESCRIPTION, cleaned

LINES_SUFFIX = ".jsonl"
TEXT_SUFFIX = ".txt"


def add_captions(entries: Iterable[dict], place: Path, stems: Iterable[str]) -> None:
    """Give each entry ``description_file_name`` or, from JSON lines, ``description``; "" where nothing is said.

    Args:
        entries: with ``file_name``.
        place: a folder of ``<stem>.txt``, or a ``.jsonl`` file (see :func:`read_lines`).
        stems: of the entries, in their order: the file names without what all images end in.

    Raises:
        DataError: there is no such place, a line cannot work, or nothing is said of any of the images.
    """
    pairs = list(zip(entries, stems, strict=True))
    if place.suffix.lower() == LINES_SUFFIX:
        said = read_lines(place)
        for entry, stem in pairs:
            entry["description"] = said.get(Path(entry["file_name"]).name, said.get(stem, ""))
    elif place.is_dir():
        held = {path.name for path in place.iterdir()}
        for entry, stem in pairs:
            named = f"{stem}{TEXT_SUFFIX}" in held
            entry["description_file_name"] = str(place / f"{stem}{TEXT_SUFFIX}") if named else ""
    else:
        raise DataError(f"{place}: is no folder of {TEXT_SUFFIX} files, nor a file of JSON lines ({LINES_SUFFIX})")
    if pairs and not any(entry.get("description") or entry.get("description_file_name") for entry, _ in pairs):
        raise DataError(f"{place}: describes none of the {len(pairs)} images, such as {pairs[0][0]['file_name']}")


def read_lines(path: Path) -> dict[str, str]:
    """What is said of each image by its name, with or without suffix: a line ``{"image": ..., "description": ...}`` each.

    Raises:
        DataError: the file cannot be read, a line is no such object, a description says too much or holds what cannot be
            shown, or an image is described twice.
    """
    said: dict[str, str] = {}
    for number, line in enumerate(_text_of(path).split("\n"), 1):
        if not line.strip():
            continue
        place = f"{path}, line {number}"
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{place}: is no JSON ({error})") from error
        if not isinstance(entry, dict) or not all(isinstance(entry.get(key), str) for key in ("image", "description")):
            raise DataError(f'{place}: give {{"image": "a.png", "description": "..."}}')
        name = Path(entry["image"]).name
        if name in said:
            raise DataError(f"{place}: {name!r} is described a second time; give each image one line")
        said[name] = _cleaned(entry["description"], place)
    return said


def read_caption(entry: dict) -> str | None:
    """What is said of an image, in one line; "" for nothing, None where the data set has no descriptions.

    Raises:
        DataError: its file cannot be read, says too much, or holds what cannot be shown.
    """
    if not (file := entry.get("description_file_name")):
        return entry.get("description", file)
    return _cleaned(_text_of(Path(file)), file)


def _cleaned(text: str, place: str) -> str:
    """A text as a vocabulary takes it; ``place`` says whose it is."""
    try:
        return cleaned(text, place, MAX_DESCRIPTION)
    except VocabularyError as error:
        raise DataError(str(error)) from error


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: is no UTF-8 text") from error
