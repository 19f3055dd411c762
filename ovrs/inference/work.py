"""What is finished of a scene, until its rasters are whole: in memory, or in a folder that interrupted work goes on from."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path
from typing import Protocol

import numpy as np

from ovrs.errors import OutputError
from ovrs.files import written_whole
from ovrs.inference.decision import Decided
from ovrs.inference.streaming import Unit


class Work(Protocol):
    """Finished units."""

    def has(self, unit: Unit) -> bool:
        """Whether a unit is finished."""
        ...

    def keep(self, unit: Unit, decided: Decided) -> None:
        """Put a finished unit by."""
        ...

    def read(self, unit: Unit, *, scores: bool = True) -> Decided:
        """A unit that is finished; without ``scores`` its probabilities, the most of it, may be left out."""
        ...

    @property
    def staging(self) -> Path | None:
        """Where results are written before they get their names, if there is a place for that."""
        ...

    def remove(self) -> None:
        """Clear everything away."""
        ...


class WorkInMemory:
    """For images that are small enough."""

    staging = None

    def __init__(self) -> None:
        self._units: dict[Unit, Decided] = {}

    def has(self, unit: Unit) -> bool:
        """See :class:`Work`."""
        return unit in self._units

    def keep(self, unit: Unit, decided: Decided) -> None:
        """See :class:`Work`."""
        self._units[unit] = decided

    def read(self, unit: Unit, *, scores: bool = True) -> Decided:
        """See :class:`Work`."""
        return self._units[unit]

    def remove(self) -> None:
        """See :class:`Work`."""
        self._units.clear()


class WorkFolder:
    """A hidden folder beside the results, with a file for each finished unit.

    Args:
        path: the folder; made if need be.
        identity: all that the units depend on, by name; work is taken up only where it is the same.
        resume: take up what is there; otherwise it is cleared away.

    Raises:
        OutputError: what is there was begun with another image, model, vocabulary or option, or the folder cannot be written.
    """

    def __init__(self, path: Path, identity: Mapping[str, str], *, resume: bool = False) -> None:
        self.path = path
        if path.exists() and not resume:
            self.remove()
        if path.exists():
            self._compare(identity)
        else:
            with written_whole(path / "identity.json") as temporary:
                temporary.write_text(json.dumps(dict(identity), indent=1, ensure_ascii=False), encoding="utf-8")

    def has(self, unit: Unit) -> bool:
        """Whether a unit is finished; one that cannot be read is not."""
        try:
            with np.load(self._file(unit)) as kept:
                return bool(kept["labels"].shape == (unit.bottom - unit.top, unit.right - unit.left))
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return False

    def keep(self, unit: Unit, decided: Decided) -> None:
        """Write a unit, whole or not at all.

        Raises:
            OutputError: the disk is full, or it cannot be written.
        """
        parts = {"labels": decided.labels, "confidence": decided.confidence}
        if decided.probabilities is not None:
            parts["probabilities"] = decided.probabilities
        with written_whole(self._file(unit)) as temporary, open(temporary, "wb") as file:
            np.savez(file, allow_pickle=False, **parts)

    def read(self, unit: Unit, *, scores: bool = True) -> Decided:
        """See :class:`Work`."""
        with np.load(self._file(unit)) as kept:
            return Decided(kept["labels"], kept["confidence"], kept.get("probabilities") if scores else None)

    @property
    def staging(self) -> Path:
        """Where results are written before they get their names."""
        return self.path / "staging"

    def remove(self) -> None:
        """Clear everything away."""
        shutil.rmtree(self.path, ignore_errors=True)

    def _file(self, unit: Unit) -> Path:
        return self.path / f"{unit.name}.npz"

    def _compare(self, identity: Mapping[str, str]) -> None:
        file = self.path / "identity.json"
        try:
            begun = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise OutputError(f"{file}: cannot be read ({error}); start again without --resume") from error
        for name in [*identity, *begun]:
            if begun.get(name) != identity.get(name):
                raise OutputError(
                    f"{self.path}: the work there was begun with another {name} ({_first_difference(begun, identity, name)}); "
                    f"start again without --resume, or give what it was begun with"
                )


@contextmanager
def resumable(work: Work) -> Iterator[None]:
    """Say, where something cannot be written, what is left to go on with."""
    try:
        yield
    except OutputError as error:
        if not isinstance(work, WorkFolder):
            raise
        raise OutputError(f"{error}; what is finished stays in {work.path}, --resume goes on from there") from error


def _first_difference(begun: Mapping[str, str], now: Mapping[str, str], name: str) -> str:
    """Where two texts part, with a few words around."""
    was, is_now = str(begun.get(name, "nothing")), str(now.get(name, "nothing"))
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(was, is_now, strict=False)))
    start = max(same - 10, 0)
    return f"{_cut(was, start)}, now {_cut(is_now, start)}"


def _cut(text: str, start: int) -> str:
    return ("..." if start else "") + text[start : start + 40] + ("..." if len(text) > start + 40 else "")
