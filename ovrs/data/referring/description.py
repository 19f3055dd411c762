"""A user's own referring data set, described by a YAML file with ``task: referring``; docs/own_data.md explains every key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ovrs.data.description import name_of, text_of
from ovrs.data.referring.table import REFERRING_SPLITS, ReferenceFile, ReferringSet
from ovrs.data.refused import RefusedError, refuse_unknown
from ovrs.data.root import resolved

_KEYS = {"task", "name", "title", "root", *REFERRING_SPLITS, "source", "licence", "citation"}


def described_references(document: dict[str, Any], path: Path) -> ReferringSet:
    """The row that a description stands for, with its paths made absolute.

    Raises:
        RefusedError: a value in it cannot work.
    """
    refuse_unknown(document, _KEYS)
    name = name_of(document, path)
    given = [split for split in REFERRING_SPLITS if split in document]
    if not given:
        raise RefusedError("train", None, "name the file of references under train, val or test")
    files = {split: resolved(_path(document, split), path.parent) for split in given}
    root = resolved(_path(document, "root"), path.parent) if "root" in document else None
    shared = {split: list(files.values()).count(file) > 1 for split, file in files.items()}
    return ReferringSet(
        name=name,
        title=text_of(document, "title", name),
        splits={split: ReferenceFile(file, root, shared[split]) for split, file in files.items()},
        source=text_of(document, "source", str(path)),
        licence=text_of(document, "licence", "not stated"),
        citation=text_of(document, "citation", "not stated"),
    )


def _path(document: dict[str, Any], key: str) -> str:
    value = document[key]
    if not isinstance(value, str) or not value:
        raise RefusedError(key, value, "give a folder" if key == "root" else "give a file of JSON lines, or of one JSON list")
    return value
