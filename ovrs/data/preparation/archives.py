"""Archives read member by member, each checked before a byte of it is believed; no file is ever made under a member's name.

Refused are names that leave the archive, links and devices, locked members, and sizes that no data set has: a member or an
archive over its cap, or a compression that only a bomb reaches.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import shutil
import stat
import tarfile
import tempfile
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Protocol

from ovrs.errors import DataError

MIB = 1 << 20
GIB = 1 << 30


class Readable(Protocol):
    """A stream of bytes."""

    def read(self, size: int, /) -> bytes:
        """At most ``size`` bytes; none at the end."""


# What opens a compressed tar as the tar that it holds.
Opener = Callable[[Path], AbstractContextManager[Readable]]
_OPENERS: dict[str, Opener] = {
    ".gz": gzip.GzipFile,
    ".tgz": gzip.GzipFile,
    ".bz2": bz2.BZ2File,
    ".xz": lzma.LZMAFile,
}
_READ_ERRORS = (OSError, EOFError, zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, NotImplementedError)


@dataclass(frozen=True)
class Limits:
    """Sizes in bytes above which an archive is refused.

    ``ratio`` bounds unpacked to packed size: of the whole archive, and of each member larger than ``ratio_floor`` (a small
    label map of one class packs better than any bound).
    """

    member: int = 4 * GIB
    nested: int = 64 * GIB
    total: int = 1024 * GIB
    ratio: int = 100
    ratio_floor: int = 16 * MIB


@dataclass(frozen=True)
class Entry:
    """A file inside an archive: its name there (POSIX) and its unpacked size in bytes."""

    name: str
    size: int


class Archive(Protocol):
    """An open archive: its files, and the bytes of one; ``read`` may be called from several threads."""

    path: Path
    entries: tuple[Entry, ...]

    def read(self, name: str) -> bytes:
        """The bytes of a file of the archive. Raises DataError where they are damaged."""

    def copy(self, name: str, target: IO[bytes]) -> None:
        """Write the bytes of a file to ``target``, piece by piece. Raises DataError where they are damaged."""

    def close(self) -> None:
        """Give back the file."""


def is_archive(name: str) -> bool:
    """Whether a file's name is that of an archive which :func:`open_archive` opens."""
    lower = name.lower()
    return lower.endswith((".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz"))


def open_archive(path: Path, scratch: Path, limits: Limits, shown: str | None = None) -> Archive:
    """Open a zip or (compressed) tar archive and check all its members.

    Args:
        path: the archive.
        scratch: a folder for the tar inside a compressed one: members of a compressed stream cannot be reached singly.
        limits: sizes beyond which it is refused.
        shown: its name in messages, if not ``path``.

    Raises:
        DataError: it is damaged, or holds what is refused; names the archive, the member and the way out.
    """
    shown = shown or str(path)
    with _blamed(shown):
        if path.name.lower().endswith(".zip"):
            return _ZipArchive(path, shown, limits)
        opener = _OPENERS.get(path.suffix.lower())
        return _TarArchive(path, shown, limits, _inflated(path, opener, scratch, limits, shown) if opener else path.open("rb"))


class _ZipArchive:
    def __init__(self, path: Path, shown: str, limits: Limits) -> None:
        self.path = path
        self._shown = shown
        self._file = zipfile.ZipFile(path)
        try:
            self.entries = self._checked(limits)
        except BaseException:
            self._file.close()
            raise

    def _checked(self, limits: Limits) -> tuple[Entry, ...]:
        entries = []
        for info in self._file.infolist():
            _check_name(info.orig_filename, self._shown)
            mode = stat.S_IFMT(info.external_attr >> 16)
            if mode not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _refusal(self._shown, info.filename, "is a link or a device")
            if info.is_dir():
                continue
            if info.flag_bits & 1:
                raise _refusal(self._shown, info.filename, "is locked with a password", "unlock the archive first")
            _check_size(self._shown, info.filename, info.file_size, limits)
            if info.file_size > limits.ratio_floor and info.file_size > limits.ratio * max(info.compress_size, 1):
                raise _refusal(self._shown, info.filename, f"unpacks to over {limits.ratio} times its packed size")
            entries.append(Entry(info.filename, info.file_size))
        _check_total(self._shown, entries, self.path.stat().st_size, limits)
        return _distinct(entries, self._shown)

    def read(self, name: str) -> bytes:
        with _blamed(self._shown, name):
            return self._file.read(name)

    def copy(self, name: str, target: IO[bytes]) -> None:
        with _blamed(self._shown, name), self._file.open(name) as member:
            shutil.copyfileobj(member, target, MIB)

    def close(self) -> None:
        self._file.close()


class _TarArchive:
    def __init__(self, path: Path, shown: str, limits: Limits, raw: IO[bytes]) -> None:
        self.path = path
        self._shown = shown
        self._raw = raw
        self._lock = threading.Lock()  # a tar has one reading position
        try:
            self._file = tarfile.TarFile(fileobj=raw)
            self._members: dict[str, tarfile.TarInfo] = {}
            self.entries = self._checked(limits)
        except BaseException:
            raw.close()
            raise

    def _checked(self, limits: Limits) -> tuple[Entry, ...]:
        entries = []
        for info in self._file:
            _check_name(info.name, self._shown)
            if info.isdir():
                continue
            if not info.isreg() or info.issparse():
                raise _refusal(self._shown, info.name, "is a link, a device or a file with holes")
            _check_size(self._shown, info.name, info.size, limits)
            name = info.name.removeprefix("./")
            self._members[name] = info
            entries.append(Entry(name, info.size))
        _check_total(self._shown, entries, self.path.stat().st_size, limits)
        return _distinct(entries, self._shown)

    def read(self, name: str) -> bytes:
        with _blamed(self._shown, name), self._lock:
            info = self._members[name]
            self._raw.seek(info.offset_data)
            return self._raw.read(info.size)

    def copy(self, name: str, target: IO[bytes]) -> None:
        with _blamed(self._shown, name), self._lock:
            member = self._file.extractfile(self._members[name])
            assert member is not None  # it is a regular file
            shutil.copyfileobj(member, target, MIB)

    def close(self) -> None:
        self._file.close()
        self._raw.close()


def _inflated(path: Path, opener: Opener, scratch: Path, limits: Limits, shown: str) -> IO[bytes]:
    """The tar inside a compressed one, in a nameless file of ``scratch``."""
    scratch.mkdir(parents=True, exist_ok=True)
    most = min(limits.total, max(limits.ratio * path.stat().st_size, limits.ratio_floor))
    target = tempfile.TemporaryFile(dir=scratch)  # noqa: SIM115 - handed on, closed by its archive
    try:
        with opener(path) as packed:
            while piece := packed.read(MIB):
                if target.tell() + len(piece) > most:
                    raise _refusal(shown, None, f"unpacks to over {limits.ratio} times its packed size")
                target.write(piece)
        target.seek(0)
    except BaseException:
        target.close()
        raise
    return target


def _check_name(name: str, archive: str) -> None:
    path = PurePosixPath(name.replace("\\", "/"))
    drive = len(name) > 1 and name[1] == ":"
    if path.is_absolute() or ".." in path.parts or drive or "\0" in name:
        raise _refusal(archive, name, "has a name that leads out of the archive")


def _check_size(archive: str, name: str, size: int, limits: Limits) -> None:
    most = limits.nested if is_archive(name) else limits.member
    if size > most:
        raise _refusal(archive, name, f"unpacks to {size:,} bytes, more than the {most:,} allowed")


def _check_total(archive: str, entries: Iterable[Entry], packed: int, limits: Limits) -> None:
    total = sum(entry.size for entry in entries)
    if total > limits.total or total > max(limits.ratio * packed, limits.ratio_floor):
        raise _refusal(archive, None, f"unpacks to {total:,} bytes from {packed:,}")


def _distinct(entries: list[Entry], archive: str) -> tuple[Entry, ...]:
    seen: set[str] = set()
    for entry in entries:
        if entry.name in seen:
            raise _refusal(archive, entry.name, "is there twice")
        seen.add(entry.name)
    return tuple(entries)


def _refusal(archive: str, member: str | None, why: str, way_out: str = "") -> DataError:
    subject = f"member {member!r} " if member is not None else ""
    way_out = way_out or "nothing of it was unpacked; download it again from its owner"
    return DataError(f"{archive}: {subject}{why}; {way_out}")


def _damaged(archive: str, member: str | None, why: str) -> DataError:
    place = f"{archive}: member {member!r}" if member is not None else archive
    return DataError(f"{place} is damaged or not complete ({why}); download the archive again")


@contextmanager
def _blamed(archive: str, member: str | None = None) -> Iterator[None]:
    """Turn the many errors of damaged archives into one that names the archive and the member."""
    try:
        yield
    except _READ_ERRORS as error:
        raise _damaged(archive, member, str(error) or type(error).__name__) from error
