"""A data set's folder while it is being prepared: one process at a time, and nothing left behind by one that was killed."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ovrs.errors import DataError, OutputError

_LOCK = ".preparing"
_SCRATCH = ".unpacked-"


@contextmanager
def workplace(folder: Path, places: Iterable[Path]) -> Iterator[Path]:
    """Hold a data set's folder for this process, and give a folder in it for what must be unpacked for the time being.

    Args:
        folder: the data set's folder; made where there is none, and removed at the end where it is empty.
        places: the folders of its tiles; temporary files that a killed process left there are removed.

    Raises:
        DataError: another process is preparing the folder.
        OutputError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written: {error.strerror or error}") from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DataError(f"{folder}: is being prepared by another process; wait for it, or give another --output") from error
        except OSError:
            pass  # a file system without locks
        _sweep(folder, places)
        try:
            with tempfile.TemporaryDirectory(dir=folder, prefix=_SCRATCH) as scratch:
                yield Path(scratch)
        finally:
            (folder / _LOCK).unlink(missing_ok=True)
            if not any(folder.iterdir()):
                folder.rmdir()
    finally:
        os.close(lock)


def _sweep(folder: Path, places: Iterable[Path]) -> None:
    for left in folder.glob(f"{_SCRATCH}*"):
        shutil.rmtree(left, ignore_errors=True)
    for place in places:
        for left in (*place.glob(".*.png.*"), *place.glob(".*.jpg.*"), *place.glob(".*.txt.*")):  # as written_whole names them
            left.unlink(missing_ok=True)
