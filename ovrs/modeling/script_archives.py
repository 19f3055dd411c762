"""Tensors of a TorchScript archive, as OpenAI publishes CLIP, without TorchScript: no code of the archive is compiled or run.

Such an archive describes its modules in the language of pickle (see :mod:`ovrs.pickle_descriptions`). What is neither
a module's attribute nor a tensor is refused by its name.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ovrs.errors import WeightsError
from ovrs.modeling.torch_archives import TorchArchive
from ovrs.pickle_descriptions import Description, Name, RefusedError, said

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


def read_script_archive(archive: TorchArchive) -> dict[str, Tensor]:
    """Tensors of the archive's modules by attribute path, mapped from the file; in the precision they are stored in.

    Raises:
        WeightsError: the archive asks for anything but modules and plain tensors, or says what its bytes do not bear out.
    """
    try:
        root = _Modules(archive.read("data.pkl")).value()
        if not isinstance(root, _Module):
            raise RefusedError("an archive that is not of one module")
        found = dict(_tensors(root))
        if "byteorder" in archive.members and archive.read("byteorder") != sys.byteorder.encode():
            raise RefusedError("numbers in the other order of bytes")
        storages = _storages(archive, [tensor.storage for tensor in found.values()])
        return {name: _view(storages[tensor.storage.key], tensor) for name, tensor in found.items()}
    except RefusedError as error:
        raise WeightsError(
            f"{archive.path}: a TorchScript archive that holds {error}, which is not read; only modules of plain tensors are. "
            "Get the file from its publisher, or save its state dict as .safetensors where you trust it"
        ) from error
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError, RuntimeError) as error:
        raise WeightsError(f"{archive.path}: a damaged TorchScript archive ({error}); get the file again") from error


class _Modules(Description):
    """The description of modules: what PyTorch's own functions would make of it; any other call is refused."""

    def new(self, kind: Any, arguments: Any) -> _Module:
        """A module of the archive's own classes."""
        if not (isinstance(kind, Name) and kind.module.partition(".")[0] == "__torch__" and arguments == ()):
            raise RefusedError(f"an object of {said(kind)}")
        return _Module()

    def called(self, function: Any, arguments: Any) -> Any:
        """A tensor, or a value that was only wrapped."""
        known = (function.module, function.name) if isinstance(function, Name) and isinstance(arguments, tuple) else None
        if known == ("torch._utils", "_rebuild_tensor_v2"):
            return _strided(*arguments[:4])
        if known == ("torch._utils", "_rebuild_parameter") and isinstance(arguments[0], _Strided):
            return arguments[0]
        if known == ("collections", "OrderedDict") and not arguments:
            return {}
        if known == ("torch", "device") or (known and known[0] == "torch.jit._pickle" and known[1] in _TYPED_LISTS):
            return arguments[0]
        raise RefusedError(f"a call of {said(function)}")

    def stored(self, identity: Any) -> _Storage:
        """The storage of a tensor."""
        return _storage(identity)

    def with_state(self, target: Any, state: Any) -> _Module:
        """A module with its attributes."""
        if not (isinstance(target, _Module) and isinstance(state, dict)):
            raise RefusedError(f"attributes given to {said(target)}")
        target.attributes.update(state)
        return target


def _storage(identity: Any) -> _Storage:
    label, kind, key, _, length = identity
    if label != "storage" or not isinstance(kind, Name) or kind.module != "torch" or kind.name not in _DTYPES:
        raise RefusedError(f"a storage of {said(kind)}")
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
            raise RefusedError(f"modules more than {DEEPEST} deep, or more than {MOST_ATTRIBUTES:,} attributes")
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
