"""The zip archives that ``torch.save`` and ``torch.jit.save`` write: what they declare, checked before anything is read."""

from __future__ import annotations

import os
import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from ovrs.errors import WeightsError

MOST_MEMBERS = 200_000  # a tensor is a member; the largest checkpoints of trainings have some thousands
LARGEST_PICKLE = 64 * 2**20  # names and shapes of the tensors, not their values
_LOCAL_HEADER = struct.Struct("<4s22xHH")  # signature, then the lengths of name and extra field
_END = struct.Struct("<4s8xIIH")  # signature, then size and offset of the table, and the length of a comment
_END_LOCATOR = struct.Struct("<4s4xQ4x")  # of the record for large archives: signature and offset
_LARGE_END = struct.Struct("<4s36xQQ")  # signature, then size and offset of the table


@dataclass(frozen=True)
class Member:
    """Bytes of an archive, stored as they are: ``offset`` in the file and ``size``."""

    offset: int
    size: int


@dataclass(frozen=True)
class TorchArchive:
    """An archive whose members lie where they say.

    Attributes:
        path: the file.
        members: what is read of it, by name below the archive's one folder: ``data.pkl``, ``data/0``, ...
        script: whether ``torch.jit.save`` wrote it (TorchScript), not ``torch.save``.
    """

    path: Path
    members: dict[str, Member]
    script: bool

    def read(self, name: str) -> bytes:
        """The bytes of a member.

        Raises:
            WeightsError: the archive has no such member.
        """
        if name not in self.members:
            raise WeightsError(f"{self.path}: holds no {name}, so it is no archive of PyTorch weights")
        with self.path.open("rb") as file:
            file.seek(self.members[name].offset)
            return file.read(self.members[name].size)


def open_archive(path: str | os.PathLike[str]) -> TorchArchive:
    """Read the table of a zip archive of PyTorch, and nothing else of it.

    Raises:
        WeightsError: truncated, no archive of PyTorch, or one that declares what it cannot hold: compressed weights (PyTorch
            stores them as they are), more bytes than the file has, a name twice or one that leads out of the archive, a second
            table.
    """
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as archive, path.open("rb") as file:
            _check_end(path, file)
            entries = archive.infolist()
            _check_table(path, entries)
            script = any(_inner(entry) == "constants.pkl" for entry in entries)
            members = {_inner(entry): _member(path, file, entry) for entry in entries if not _is_code(entry)}
    except (OSError, ValueError, NotImplementedError, EOFError, struct.error, zipfile.BadZipFile) as error:
        raise WeightsError(
            f"{path}: a zip archive that is cut off or damaged ({error}); the download may have stopped early, get it again"
        ) from error
    if "data.pkl" not in members:
        raise WeightsError(f"{path}: a zip archive, but none of PyTorch weights (it holds no data.pkl); unpack it first")
    if members["data.pkl"].size > LARGEST_PICKLE:
        raise WeightsError(
            f"{path}: its table of tensors (data.pkl) has {members['data.pkl'].size:,} bytes; that is no model's"
        )
    return TorchArchive(path, members, script)


def _inner(entry: zipfile.ZipInfo) -> str:
    """The name below the archive's folder."""
    return entry.filename.partition("/")[2]


def _is_code(entry: zipfile.ZipInfo) -> bool:
    """Source text of TorchScript: compressed, and never read."""
    return _inner(entry).startswith(("code/", "extra/"))


def _check_end(path: Path, file: BinaryIO) -> None:
    """Refuse an archive whose end does not point at the table right before it: another reader would see another table."""
    size = path.stat().st_size
    table_end = size - _END.size
    signature, length, offset, comment = _read(file, _END, table_end)
    locator, large = _read(file, _END_LOCATOR, table_end - _END_LOCATOR.size) if table_end > _END_LOCATOR.size else (b"", 0)
    if locator == b"PK\x06\x07":
        table_end -= _END_LOCATOR.size + _LARGE_END.size
        signature, length, offset = _read(file, _LARGE_END, large)
        sound = signature == b"PK\x06\x06" and large == table_end
    else:
        sound = signature == b"PK\x05\x06"
    if not sound or comment or offset + length != table_end:
        raise zipfile.BadZipFile("its end does not say where its table is")


def _read(file: BinaryIO, record: struct.Struct, offset: int) -> tuple[Any, ...]:
    file.seek(offset)
    return record.unpack(file.read(record.size))


def _check_table(path: Path, entries: list[zipfile.ZipInfo]) -> None:
    if len(entries) > MOST_MEMBERS:
        raise WeightsError(f"{path}: the archive has {len(entries):,} members; no weights file has that many")
    names = [entry.filename for entry in entries]
    odd = [name for name in names if name.startswith("/") or "\\" in name or ".." in name.split("/")]
    # PyTorch looks names up without regard to case.
    if odd or len({name.lower() for name in names}) != len(names) or len({name.partition("/")[0] for name in names}) > 1:
        what = f"a name that leads out of it ({odd[0]!r})" if odd else "a name twice, or several folders at its top"
        raise WeightsError(f"{path}: the archive has {what}; PyTorch writes none like that, get the file from its publisher")
    compressed = [entry.filename for entry in entries if entry.compress_type != zipfile.ZIP_STORED and not _is_code(entry)]
    if compressed:
        raise WeightsError(
            f"{path}: {compressed[0]} is compressed, and could stand for endless bytes; PyTorch stores weights as they are, "
            "get the file from its publisher"
        )
    declared, size = sum(entry.file_size for entry in entries if not _is_code(entry)), path.stat().st_size
    if declared > size:
        raise WeightsError(f"{path}: the archive declares {declared:,} bytes and the file has {size:,}; get it again")


def _member(path: Path, file: BinaryIO, entry: zipfile.ZipInfo) -> Member:
    signature, name_length, extra_length = _read(file, _LOCAL_HEADER, entry.header_offset)
    offset = entry.header_offset + _LOCAL_HEADER.size + name_length + extra_length
    if signature != b"PK\x03\x04" or offset + entry.file_size > path.stat().st_size:
        raise zipfile.BadZipFile(f"{entry.filename} is not where the table says")
    return Member(offset, entry.file_size)
