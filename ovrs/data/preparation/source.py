"""What a user downloaded, seen as one tree of files: an archive counts as a folder of its name.

A recipe can thus ask for ``train/part1.zip/images/P0000.png`` and for ``train/part1/images/P0000.png`` with one pattern, and
need not know which of its archives a user has unpacked.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any, Self

from tqdm import tqdm

from ovrs.data.preparation.archives import Archive, Limits, is_archive, open_archive
from ovrs.errors import DataError

PREPARED = "preparation.json"  # a folder with this file holds tiles that were made
_DEPTH = 2  # archives inside archives are opened, those inside them are not


@dataclass(frozen=True)
class Member:
    """A file of the source: ``path`` from the source's root, archives counting as folders; ``size`` in bytes.

    ``archive`` is the (outermost) archive that holds it, if any; ``shown`` its name in messages.
    """

    path: str
    size: int
    archive: Path | None
    shown: str = field(compare=False, repr=False)
    _read: Callable[[], bytes] = field(compare=False, repr=False)

    @property
    def stem(self) -> str:
        """The file's name without its last suffix."""
        return PurePosixPath(self.path).stem

    @property
    def name(self) -> str:
        """The file's name."""
        return PurePosixPath(self.path).name

    def read(self) -> bytes:
        """The file's bytes. Raises DataError where they cannot be had."""
        return self._read()


class Source:
    """The files under a folder (or of one archive), those inside archives included; a context manager.

    Folders of tiles that were prepared earlier are not seen.

    Args:
        root: a folder, or an archive.
        scratch: where archives that cannot be read in place are unpacked for the time being.
        limits: sizes beyond which an archive is refused.

    Raises:
        DataError: there is no such folder, it is empty, or an archive is damaged or refused.
    """

    def __init__(self, root: Path, scratch: Path, limits: Limits | None = None) -> None:
        self.root = root
        self.archives: list[Path] = []
        self._scratch = scratch
        self._limits = limits or Limits()
        self._stack = ExitStack()
        if not root.exists():
            raise DataError(f"{root}: no such folder; give --source the folder that holds the archives (--help says which)")
        try:
            self.members = sorted(self._scan(), key=lambda member: member.path)
        except BaseException:
            self._stack.close()
            raise
        if not self.members:
            raise DataError(f"{root}: holds no file; give --source the folder that holds the archives (--help says which)")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close all archives and remove what was unpacked for the time being."""
        self._stack.close()

    def select(self, pattern: str) -> list[Member]:
        """The members whose whole path matches a regular expression (case is ignored), in the order of their paths."""
        compiled = re.compile(pattern, re.IGNORECASE)
        return [member for member in self.members if compiled.fullmatch(member.path)]

    def describe(self, used: Iterable[Member], known: Iterable[dict[str, Any]] = ()) -> list[dict[str, Any]]:
        """Name, size and SHA-256 of each archive that holds one of the ``used`` members; loose files count as one entry.

        Sums in ``known`` (an earlier description) are taken over where name and size are the same.
        """
        sums = {(entry["name"], entry["bytes"]): entry.get("sha256") for entry in known}
        used = set(used)
        result: list[dict[str, Any]] = []
        for path in sorted({member.archive for member in used if member.archive}):
            name, size = path.relative_to(self.root).as_posix() if path != self.root else path.name, path.stat().st_size
            result.append({"name": name, "bytes": size, "sha256": sums.get((name, size)) or _sha256(path)})
        loose = [member.size for member in used if member.archive is None]
        if loose:
            result.append({"name": "loose files", "bytes": sum(loose), "files": len(loose)})
        return result

    def _scan(self) -> list[Member]:
        if self.root.is_file():
            if not is_archive(self.root.name):
                raise DataError(f"{self.root}: neither a folder nor an archive (.zip, .tar, .tar.gz, .tar.bz2, .tar.xz)")
            self.archives.append(self.root)
            return self._inside(self.root, self.root, self.root.name, str(self.root), 1)
        members = []
        for path in _files(self.root):
            inner = path.relative_to(self.root).as_posix()
            if _is_litter(inner):
                continue
            if not is_archive(path.name):
                members.append(Member(inner, path.stat().st_size, None, str(path), _reader(path)))
            else:
                self.archives.append(path)
                members += self._inside(path, path, inner, str(path), 1)
        return members

    def _inside(self, path: Path, outer: Path, prefix: str, shown: str, depth: int) -> list[Member]:
        archive = open_archive(path, self._scratch, self._limits, shown)
        self._stack.callback(archive.close)
        members = []
        for entry in archive.entries:
            plain = entry.name.replace("\\", "/")
            inner, name = f"{prefix}/{plain}", f"{shown}/{plain}"
            if _is_litter(plain):
                continue
            if is_archive(entry.name) and depth < _DEPTH:
                members += self._inside(self._unpacked(archive, entry.name), outer, inner, name, depth + 1)
            else:
                members.append(Member(inner, entry.size, outer, name, _member_reader(archive, entry.name)))
        return members

    def _unpacked(self, archive: Archive, name: str) -> Path:
        """An archive inside an archive, as a file of its own under a name of ours."""
        self._scratch.mkdir(parents=True, exist_ok=True)
        suffix = "".join(PurePosixPath(name).suffixes[-2:]).lower()
        suffix = suffix if is_archive(f"x{suffix}") else PurePosixPath(name).suffix
        target = tempfile.NamedTemporaryFile(dir=self._scratch, suffix=suffix)  # noqa: SIM115 - closed by the stack
        self._stack.callback(target.close)
        archive.copy(name, target)
        target.flush()
        return Path(target.name)


def unique(members: Iterable[Member], key: Callable[[Member], str]) -> dict[str, Member]:
    """Members by a key of theirs. A file that is there twice with one size (packed and unpacked) is taken once.

    Raises:
        DataError: two files of different size share a key.
    """
    result: dict[str, Member] = {}
    for member in members:
        other = result.setdefault(key(member), member)
        if other.size != member.size:
            raise DataError(f"{member.shown} and {other.shown} are different files of one name; keep one of them")
    return result


def _files(root: Path) -> Iterator[Path]:
    """All files below a folder in order, but for folders that a preparation wrote: the output may lie in the source."""
    for folder, folders, names in os.walk(root):
        if PREPARED in names:
            folders.clear()
            continue
        folders.sort()
        yield from (Path(folder, name) for name in sorted(names))


def _is_litter(name: str) -> bool:
    """Whether a file is one that a desktop leaves behind, or hidden."""
    return any(part == "__MACOSX" or part.startswith(".") or part == "Thumbs.db" for part in PurePosixPath(name).parts)


def _reader(path: Path) -> Callable[[], bytes]:
    def read() -> bytes:
        try:
            return path.read_bytes()
        except OSError as error:
            raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error

    return read


def _member_reader(archive: Archive, name: str) -> Callable[[], bytes]:
    return lambda: archive.read(name)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with (
        path.open("rb") as file,
        tqdm(total=path.stat().st_size, unit="B", unit_scale=True, desc=path.name, leave=False) as bar,
    ):
        while piece := file.read(1 << 20):
            digest.update(piece)
            bar.update(len(piece))
    return digest.hexdigest()
