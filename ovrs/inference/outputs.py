"""The folder that results go to: checked before anything is computed, and filled with whole files only."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ovrs.errors import InputError, OutputError
from ovrs.inference.addresses import Location


class OutputFolder:
    """A folder for results. As a context it makes the folder, and on an error removes it again if it made it and it is empty.

    Raises:
        OutputError: on entering, if the folder cannot be made or written to.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._made: list[Path] = []

    def __enter__(self) -> OutputFolder:
        self._made = [folder for folder in (self.path, *self.path.parents) if not folder.exists()]
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            # Permission bits do not tell the truth for every user and file system; a file does.
            with tempfile.TemporaryFile(dir=self.path):
                pass
        except OSError as error:
            self._remove_made()
            raise OutputError(f"{self.path}: cannot write to this folder: {error.strerror}") from error
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self._remove_made()

    def _remove_made(self) -> None:
        for folder in self._made:
            try:
                folder.rmdir()
            except OSError:
                return

    def check_targets(self, names: Iterable[str], inputs: Iterable[Location]) -> None:
        """Refuse names that are folders here, that lie elsewhere, or that would overwrite one of the inputs.

        A name may hold folders; where one of them is a link that leads out of this folder, it is refused. A link of the name
        itself is replaced by the file, and what it pointed to stays as it is.

        Raises:
            OutputError: naming the file.
        """
        sources = {path.resolve() for path in inputs if isinstance(path, Path)}
        inside = self.path.resolve()
        for target in (self.path / name for name in names):
            if not target.parent.resolve().is_relative_to(inside):
                raise OutputError(f"{target}: a link or '..' leads out of the folder of results, {self.path}")
            if target.is_dir():
                raise OutputError(f"{target}: is a folder, so no file of that name can be written")
            if target.resolve() in sources:
                raise OutputError(f"{target}: is an input and would be overwritten; choose another --output")

    def publish(self, writers: dict[str, Callable[[Path], None]], staging: Path | None = None) -> list[Path]:
        """Write files by name, all of them or none: each under a temporary name first, renamed when all are complete.

        Args:
            staging: a folder on the same file system for the temporary files; it is made, and gone afterwards. None takes a
                hidden one beside the files.

        Raises:
            OutputError: a file cannot be written.
        """
        with self._staging(staging or self.path / f".{next(iter(writers))}.unfinished") as temporary:
            for name, write in writers.items():
                write(temporary / name)
            for name in writers:
                os.replace(temporary / name, self.path / name)
        return [self.path / name for name in writers]

    @contextmanager
    def _staging(self, folder: Path) -> Iterator[Path]:
        """The folder of temporary files, empty, and gone afterwards."""
        try:
            shutil.rmtree(folder, ignore_errors=True)  # a run that was killed may have left it
            folder.mkdir()
            yield folder
        except OSError as error:
            raise OutputError(f"{self.path}: cannot be written to: {error.strerror or error}") from error
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def distinct_stems(paths: Iterable[tuple[Location, str]]) -> None:
    """Refuse two inputs whose results would bear the same name.

    Args:
        paths: inputs, and the stems of their results.

    Raises:
        InputError: naming both.
    """
    seen: dict[str, Location] = {}
    for path, stem in paths:
        # Case is folded because some file systems do.
        other = seen.setdefault(stem.casefold(), path)
        if other is not path:
            raise InputError(f"{other} and {path} would both be written as '{stem}.*'; segment them into two folders")
