"""Hashes of weights files: computed once, and kept beside the file for as long as it stays as it was."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from ovrs.errors import OutputError, WeightsError
from ovrs.files import written_whole
from ovrs.modeling.published.entry import PublishedWeights

BLOCK = 1 << 20


class Hash(NamedTuple):
    """A hash, whole or its first digits."""

    algorithm: str
    digits: str

    def __str__(self) -> str:
        return f"{self.algorithm} {self.digits}"


def stated_hash(entry: PublishedWeights) -> Hash | None:
    """The hash that the table has of a file."""
    if entry.sha256:
        return Hash("sha256", entry.sha256)
    return Hash("md5", entry.md5) if entry.md5 else None


def digest(path: Path, algorithm: str, *, progress: bool = False) -> str:
    """The hash of a whole file, in hexadecimal.

    Raises:
        WeightsError: the file cannot be read.
    """
    value = hashlib.new(algorithm, usedforsecurity=False)
    try:
        with (
            path.open("rb") as file,
            tqdm(
                total=path.stat().st_size,
                desc=f"checking {path.name}",
                unit="B",
                unit_scale=True,
                disable=None if progress else True,
            ) as bar,
        ):
            while block := file.read(BLOCK):
                value.update(block)
                bar.update(len(block))
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror or error}") from error
    return value.hexdigest()


def check(path: Path, entry: PublishedWeights, *, anew: bool = False, progress: bool = False) -> Hash | None:
    """Compare a file with the hash in the table, or else with the one its host stated when it was fetched.

    A file that was checked and has since kept its size and date is not read again.

    Args:
        path: the file.
        entry: what it should be.
        anew: read it again in any case.
        progress: show a bar.

    Returns:
        what it was compared with; None where nobody states a hash.

    Raises:
        WeightsError: another hash, or the file cannot be read.
    """
    note = _read_note(path)
    expected = stated_hash(entry) or _noted_hash(note)
    if expected is None:
        return None
    if not anew and note == _note(path, expected):
        return expected
    found = digest(path, expected.algorithm, progress=progress)
    if not found.startswith(expected.digits):
        raise WeightsError(
            f"{path}: not {entry.name} as published: {expected} expected, {found} found; "
            f"remove it and run python -m ovrs.weights fetch {entry.name}"
        )
    remember(path, expected)
    return expected


def remember(path: Path, checked: Hash) -> None:
    """Note that a file has this hash; in a folder that cannot be written, it is checked again at the next use."""
    try:
        with written_whole(note_of(path)) as temporary:
            temporary.write_text(json.dumps(_note(path, checked)), encoding="utf-8")
    except OutputError:
        return


def note_of(path: Path) -> Path:
    """Where the note on a file is kept."""
    return path.with_name(f".{path.name}.checked.json")


def _note(path: Path, checked: Hash) -> dict[str, object]:
    state = path.stat()
    return {"algorithm": checked.algorithm, "digits": checked.digits, "bytes": state.st_size, "mtime_ns": state.st_mtime_ns}


def _read_note(path: Path) -> dict[str, object]:
    try:
        note = json.loads(note_of(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return note if isinstance(note, dict) else {}


def _noted_hash(note: dict[str, object]) -> Hash | None:
    algorithm, digits = note.get("algorithm"), note.get("digits")
    return Hash(algorithm, digits) if algorithm in ("sha256", "md5") and isinstance(digits, str) and digits else None
