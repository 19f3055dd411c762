"""Tensors of a TorchScript archive, as OpenAI publishes CLIP, without TorchScript: no code of the archive is compiled or run.

Such an archive describes its modules in the language of pickle. Python's own reader of that language looks up and calls what
a file names; this one looks nothing up. It knows the few operations that PyTorch writes, keeps names as names, and refuses, by
its name, anything that is neither a module's attribute nor a tensor.
"""

from __future__ import annotations

import pickletools
import sys
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ovrs.errors import WeightsError
from ovrs.modeling.torch_archives import TorchArchive

MOST_ATTRIBUTES = 100_000  # CLIP has some ten thousand
DEEPEST = 64  # modules within modules

_DTYPES = {
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "DoubleStorage": torch.float64,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
# Functions of torch.jit._pickle that only say of which type a list is.
_TYPED_LISTS = ("build_intlist", "build_doublelist", "build_boollist", "build_tensorlist", "restore_type_tag")


@dataclass(frozen=True)
class _Name:
    """Something that the archive names, never looked up."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(frozen=True)
class _Storage:
    dtype: torch.dtype
    key: str
    length: int


@dataclass(frozen=True)
class _Strided:
    """A tensor before its bytes are looked at."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


@dataclass
class _Module:
    """An object of a class of the archive's own: its attributes, and none of its behaviour."""

    attributes: dict[str, Any] = field(default_factory=dict)


class _RefusedError(Exception):
    """What the archive asks for and does not get."""


def read_script_archive(archive: TorchArchive) -> dict[str, Tensor]:
    """Tensors of the archive's modules by attribute path, mapped from the file; in the precision they are stored in.

    Raises:
        WeightsError: the archive asks for anything but modules and plain tensors, or says what its bytes do not bear out.
    """
    try:
        root = _Description(archive.read("data.pkl")).value()
        if not isinstance(root, _Module):
            raise _RefusedError("an archive that is not of one module")
        found = dict(_tensors(root))
        if "byteorder" in archive.members and archive.read("byteorder") != sys.byteorder.encode():
            raise _RefusedError("numbers in the other order of bytes")
        storages = _storages(archive, [tensor.storage for tensor in found.values()])
        return {name: _view(storages[tensor.storage.key], tensor) for name, tensor in found.items()}
    except _RefusedError as error:
        raise WeightsError(
            f"{archive.path}: a TorchScript archive that holds {error}, which is not read; only modules of plain tensors are. "
            "Get the file from its publisher, or save its state dict as .safetensors where you trust it"
        ) from error
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError, RuntimeError) as error:
        raise WeightsError(f"{archive.path}: a damaged TorchScript archive ({error}); get the file again") from error


class _Description:
    """The operations of ``data.pkl``, carried out on plain values alone."""

    def __init__(self, text: bytes) -> None:
        self.text = text
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.operations: dict[str, Callable[[Any], None]] = {
            **dict.fromkeys(("PROTO", "FRAME"), lambda _: None),
            **dict.fromkeys(("BINUNICODE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"), self.stack.append),
            "NONE": lambda _: self.stack.append(None),
            "NEWTRUE": lambda _: self.stack.append(True),
            "NEWFALSE": lambda _: self.stack.append(False),
            "EMPTY_TUPLE": lambda _: self.stack.append(()),
            "EMPTY_LIST": lambda _: self.stack.append([]),
            "EMPTY_DICT": lambda _: self.stack.append({}),
            "MARK": lambda _: self.marks.append(len(self.stack)),
            "TUPLE": lambda _: self.stack.append(tuple(self._since_mark())),
            "TUPLE1": lambda _: self.stack.append(tuple(self._last(1))),
            "TUPLE2": lambda _: self.stack.append(tuple(self._last(2))),
            "TUPLE3": lambda _: self.stack.append(tuple(self._last(3))),
            "APPEND": lambda _: self._extend(self._last(1)),
            "APPENDS": lambda _: self._extend(self._since_mark()),
            "SETITEM": lambda _: self._set(self._last(2)),
            "SETITEMS": lambda _: self._set(self._since_mark()),
            **dict.fromkeys(("BINPUT", "LONG_BINPUT"), lambda key: self.memo.__setitem__(key, self.stack[-1])),
            **dict.fromkeys(("BINGET", "LONG_BINGET"), lambda key: self.stack.append(self.memo[key])),
            "GLOBAL": lambda name: self.stack.append(_Name(*name.split(" ", 1))),
            "BINPERSID": lambda _: self.stack.append(_storage(self.stack.pop())),
            "NEWOBJ": lambda _: self.stack.append(_new(*self._last(2))),
            "REDUCE": lambda _: self.stack.append(_called(*self._last(2))),
            "BUILD": lambda _: self._give_attributes(*self._last(2)),
        }

    def value(self) -> Any:
        """What the description comes to."""
        for operation, argument, _ in pickletools.genops(self.text):
            if operation.name == "STOP":
                return self.stack.pop()
            if operation.name not in self.operations:
                raise _RefusedError(f"the pickle operation {operation.name}")
            self.operations[operation.name](argument)
        raise ValueError("its description has no end")

    def _last(self, count: int) -> list[Any]:
        if len(self.stack) < count:
            raise ValueError("its description takes what it never put down")
        taken = self.stack[-count:]
        del self.stack[-count:]
        return taken

    def _since_mark(self) -> list[Any]:
        start = self.marks.pop()
        taken = self.stack[start:]
        del self.stack[start:]
        return taken

    def _extend(self, items: list[Any]) -> None:
        if not isinstance(self.stack[-1], list):
            raise _RefusedError(f"entries added to {_said(self.stack[-1])}")
        self.stack[-1].extend(items)

    def _set(self, items: list[Any]) -> None:
        if not isinstance(self.stack[-1], dict) or not all(isinstance(key, str | int) for key in items[::2]):
            raise _RefusedError(f"entries set on {_said(self.stack[-1])}")
        self.stack[-1].update(zip(items[::2], items[1::2], strict=True))

    def _give_attributes(self, target: Any, attributes: Any) -> None:
        if not (isinstance(target, _Module) and isinstance(attributes, dict)):
            raise _RefusedError(f"attributes given to {_said(target)}")
        target.attributes.update(attributes)
        self.stack.append(target)


def _said(value: Any) -> str:
    """A value in a message; a hostile one's full text could be endless."""
    return str(value) if isinstance(value, _Name) else f"a {type(value).__name__.removeprefix('_').lower()}"


def _new(kind: Any, arguments: Any) -> _Module:
    if not (isinstance(kind, _Name) and kind.module.partition(".")[0] == "__torch__" and arguments == ()):
        raise _RefusedError(f"an object of {_said(kind)}")
    return _Module()


def _called(function: Any, arguments: Any) -> Any:
    """What PyTorch's own functions would make of ``arguments``; any other is refused."""
    known = (function.module, function.name) if isinstance(function, _Name) and isinstance(arguments, tuple) else None
    if known == ("torch._utils", "_rebuild_tensor_v2"):
        return _strided(*arguments[:4])
    if known == ("torch._utils", "_rebuild_parameter") and isinstance(arguments[0], _Strided):
        return arguments[0]
    if known == ("collections", "OrderedDict") and not arguments:
        return {}
    if known == ("torch", "device") or (known and known[0] == "torch.jit._pickle" and known[1] in _TYPED_LISTS):
        return arguments[0]
    raise _RefusedError(f"a call of {_said(function)}")


def _storage(identity: Any) -> _Storage:
    label, kind, key, _, length = identity
    if label != "storage" or not isinstance(kind, _Name) or kind.module != "torch" or kind.name not in _DTYPES:
        raise _RefusedError(f"a storage of {_said(kind)}")
    if not isinstance(key, str) or not _is_count(length):
        raise ValueError("a storage without name or length")
    return _Storage(_DTYPES[kind.name], key, length)


def _strided(storage: Any, offset: Any, shape: Any, stride: Any) -> _Strided:
    numbers = (offset, *shape, *stride)
    if not isinstance(storage, _Storage) or len(shape) != len(stride) or not all(_is_count(number) for number in numbers):
        raise ValueError("a tensor whose shape and stride are not counts")
    last = offset + sum((length - 1) * step for length, step in zip(shape, stride, strict=True))
    if 0 not in shape and last >= storage.length:
        raise ValueError(f"a tensor of shape {shape} in a storage of {storage.length} values")
    return _Strided(storage, offset, tuple(shape), tuple(stride))


def _is_count(number: Any) -> bool:
    return type(number) is int and 0 <= number < 2**48


def _tensors(root: _Module) -> Iterator[tuple[str, _Strided]]:
    """Every tensor by attribute path, breadth first; modules may share modules, within limits."""
    pending = deque([("", root, 0)])
    seen = 0
    while pending:
        prefix, module, depth = pending.popleft()
        seen += 1 + len(module.attributes)
        if depth > DEEPEST or seen > MOST_ATTRIBUTES:
            raise _RefusedError(f"modules more than {DEEPEST} deep, or more than {MOST_ATTRIBUTES:,} attributes")
        for name, value in module.attributes.items():
            if isinstance(value, _Strided):
                yield f"{prefix}{name}", value
            elif isinstance(value, _Module):
                pending.append((f"{prefix}{name}.", value, depth + 1))


def _storages(archive: TorchArchive, wanted: list[_Storage]) -> dict[str, Tensor]:
    """Each storage once, [length], mapped from the file."""
    file = torch.UntypedStorage.from_file(str(archive.path), False, archive.path.stat().st_size)
    found: dict[str, Tensor] = {}
    for storage in wanted:
        member = archive.members[f"data/{storage.key}"]
        size = storage.length * storage.dtype.itemsize
        if size > member.size or found.get(storage.key, torch.empty(0, dtype=storage.dtype)).dtype != storage.dtype:
            raise ValueError(f"storage {storage.key} of {storage.length} {storage.dtype} in {member.size} bytes")
        if storage.key not in found:
            part = file[member.offset : member.offset + size]
            aligned = part if member.offset % storage.dtype.itemsize == 0 else part.clone()
            found[storage.key] = torch.empty(0, dtype=storage.dtype).set_(aligned)
    return found


def _view(values: Tensor, tensor: _Strided) -> Tensor:
    return values.as_strided(tensor.shape, tensor.stride, tensor.offset)
