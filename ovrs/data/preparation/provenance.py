"""``preparation.json``: what a folder of prepared data was made of, so that nothing else is mixed into it.

It holds no date: the same source and recipe give the same file.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ovrs.data.preparation.source import PREPARED
from ovrs.errors import DataError
from ovrs.files import written_whole


class Provenance:
    """The record of what one data set's folder was made of.

    Args:
        folder: the data set's folder.
        description: what decides the result; equal descriptions of equal sources give equal files.
        places: the folders in which files are made.
        notes: names of further files of ours in ``folder``.
    """

    def __init__(self, folder: Path, description: Mapping[str, Any], places: Iterable[Path], notes: Sequence[str] = ()) -> None:
        self.folder = folder
        self.made_in = tuple(dict.fromkeys(places))
        self._description = description
        self._names = tuple(notes)

    def read(self) -> dict[str, Any]:
        """The record as it stands; empty if there is none. Raises DataError where it cannot be read."""
        path = self.folder / PREPARED
        if not path.is_file():
            return {}
        try:
            record = json.loads(path.read_text())
            if not isinstance(record, dict):
                raise ValueError("not an object")
        except (OSError, ValueError) as error:
            raise DataError(f"{path}: cannot be read ({error}); start anew with --force") from error
        return record

    def check(self, sources: Sequence[dict[str, Any]]) -> None:
        """Raise DataError if the folder holds files of another recipe or source, or of another hand."""
        record = self.read()
        if not record:
            if self._foreign():
                raise DataError(
                    f"{self.folder}: holds files that no preparation of ours recorded; "
                    "move the folder away, or give another --output"
                )
            return
        before, now = record.get("recipe", {}), _plain(self._description)
        changed = [f"{key}: {before.get(key)}, now {now.get(key)}" for key in before | now if before.get(key) != now.get(key)]
        if not changed and _contents(record.get("sources", [])) != _contents(sources):
            changed = ["other archives: " + ", ".join(entry["name"] for entry in sources)]
        if changed:
            raise DataError(
                f"{self.folder}: was prepared in another way ({'; '.join(changed)}); "
                "start anew with --force, or give another --output"
            )

    def clear(self) -> None:
        """Remove what an earlier preparation made and its records, and nothing else: files of another hand stay."""
        if not (self.folder / PREPARED).is_file():
            return
        for folder in self.made_in:
            shutil.rmtree(folder, ignore_errors=True)
        for name in (*self._names, PREPARED):  # the record last: an interrupted clearing is still ours
            (self.folder / name).unlink(missing_ok=True)

    def write(self, content: dict[str, Any]) -> None:
        """Write ``preparation.json``."""
        with written_whole(self.folder / PREPARED) as temporary:
            temporary.write_text(json.dumps(content, indent=2) + "\n")

    def _foreign(self) -> bool:
        found = (path for folder in self.made_in if folder.is_dir() for path in folder.iterdir())
        return any(not path.name.startswith(".") for path in found)


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value))


def _contents(sources: Iterable[dict[str, Any]]) -> list[str]:
    """What archives hold, whatever they are called and wherever they are."""
    return sorted(str(entry.get("sha256") or (entry["files"], entry["bytes"])) for entry in sources)
