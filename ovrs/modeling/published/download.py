"""Fetching published weights into the cache: one process at a time, checked before they get their name."""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urljoin

from ovrs.errors import OutputError, WeightsError
from ovrs.files import written_whole
from ovrs.modeling.published.cache import by_hand, cache_folder, is_here
from ovrs.modeling.published.entry import PublishedWeights
from ovrs.modeling.published.hashes import Hash, check, digest, remember, stated_hash
from ovrs.modeling.published.transfer import Client, note_of

logger = logging.getLogger(__name__)

MOST_UNPACKED = 20_000_000_000
MOST_BESIDE = 100_000_000


def fetch(
    entry: PublishedWeights,
    folder: Path | None = None,
    *,
    offline: bool = False,
    progress: bool = False,
    client: Client | None = None,
) -> Path:
    """Bring a file into the cache, unless it is there.

    What a broken transfer leaves (``FILE.part``) is gone on with at the next call. A file has its name only once its hash is
    right: the table's, or else the one that the hub states of it.

    Args:
        entry: what to fetch.
        folder: the cache; :func:`~ovrs.modeling.published.cache.cache_folder` where none is given.
        offline: never ask the network.
        progress: show bars.
        client: how to ask it.

    Returns:
        the file.

    Raises:
        WeightsError: offline, no network, refused, or not what was published; says how to bring the file here by hand.
        OutputError: the folder cannot be written, or its disk is full.
    """
    folder = folder or cache_folder()
    target = folder / entry.file
    if target.is_file():
        check(target, entry, progress=progress)
    if is_here(entry, folder):
        return target
    if offline:
        raise WeightsError(f"{entry.name} is not in {folder}, and nothing is downloaded offline; {by_hand(entry, folder)}")
    client = client or Client()
    with _alone(target):
        try:
            if not target.is_file():  # another process may have fetched it meanwhile
                expected, limit = stated_hash(entry), entry.most_bytes
                _fetch(client, entry.address, target, expected, limit, member=entry.member, progress=progress)
            for name in entry.beside:
                if not target.with_name(name).is_file():
                    _fetch(client, urljoin(entry.address, name), target.with_name(name), None, MOST_BESIDE, progress=progress)
        except WeightsError as error:
            raise WeightsError(f"{entry.name}: {error}. By hand: {by_hand(entry, folder)}") from error
    return target


def _fetch(
    client: Client, address: str, target: Path, expected: Hash | None, limit: int, *, member: str = "", progress: bool = False
) -> None:
    part = target.with_name(f"{target.name}.part")
    stated = client.receive(address, part, limit=limit, progress=progress)
    expected = expected or (Hash("sha256", stated) if stated else None)
    if expected:
        found = digest(part, expected.algorithm, progress=progress)
        if not found.startswith(expected.digits):
            _discard(part)
            raise WeightsError(f"{address}: {expected} expected, {found} found; what was downloaded is removed")
    if member:
        _unpack(part, member, target)
    else:
        part.replace(target)
        if expected:
            remember(target, expected)
    _discard(part)


def _discard(part: Path) -> None:
    part.unlink(missing_ok=True)
    note_of(part).unlink(missing_ok=True)


def _unpack(archive: Path, ending: str, target: Path) -> None:
    """Take the one file with that ending out of a zip archive; nothing else of it is unpacked."""
    try:
        with zipfile.ZipFile(archive) as content:
            found = [info for info in content.infolist() if info.filename.endswith(ending) and "__MACOSX" not in info.filename]
            if len(found) != 1:
                raise WeightsError(f"{archive}: holds {len(found)} files *{ending} where one is expected")
            if found[0].file_size > MOST_UNPACKED:
                raise WeightsError(f"{archive}: {found[0].filename} unpacks to {found[0].file_size:,} bytes, which is too much")
            with content.open(found[0]) as packed, written_whole(target) as temporary, temporary.open("wb") as file:
                shutil.copyfileobj(packed, file, 1 << 20)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        _discard(archive)
        raise WeightsError(f"{archive}: not readable as a zip archive ({error}); it is removed") from error


@contextmanager
def _alone(target: Path) -> Iterator[None]:
    """Hold a file for this process; another one that fetches it is waited for."""
    path = target.with_name(f".{target.name}.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = _locked(path)
    except OSError as error:
        raise OutputError(f"{target.parent}: cannot be written: {error.strerror or error}; set OVRS_CACHE") from error
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(lock)


def _locked(path: Path) -> int:
    while True:
        lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            logger.warning("another process is fetching %s; waiting for it", path.name.removeprefix(".").removesuffix(".lock"))
            fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError:
            return lock  # a file system without locks
        # Whoever held it has removed the file, and the next process would lock another one of the same name.
        if path.exists() and os.path.samestat(os.fstat(lock), path.stat()):
            return lock
        os.close(lock)
