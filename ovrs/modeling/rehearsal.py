"""What ``torch.load(weights_only=True)`` would be asked to do, gone through beforehand on names alone.

``weights_only`` runs no code of a file, but it calls what its list allows: ``bytearray(10**12)``, a text encoded as hexadecimal
forty times over, a ``Counter`` of a tensor that repeats one value. A few bytes then take any amount of memory. Here the calls
that ``torch.save`` writes for tensors and plain values are known with their arguments, and all others are refused.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ovrs.modeling.torch_archives import TorchArchive
from ovrs.pickle_descriptions import Description, Name, RefusedError, said

LEGACY_PICKLES = 5  # magic number, protocol, what wrote it, the content, the names of the storages


class _Opaque:
    """Something that takes no more room than the file gives it."""


class _Storage(_Opaque):
    """What tensors are rebuilt from."""


class _Tensor(_Opaque):
    """What parameters are rebuilt from."""


def rehearse(source: TorchArchive | Path) -> None:
    """Go through the pickle of an archive, or the pickles at the start of a file from before PyTorch 1.6.

    Raises:
        RefusedError: a call or operation that tensors and plain values do not need.
        ValueError, ...: damaged, in one of the many ways there are.
    """
    if isinstance(source, TorchArchive):
        _Rehearsal(source.read("data.pkl")).value()
        return
    with source.open("rb") as file:
        for _ in range(LEGACY_PICKLES):
            _Rehearsal(file).value()


class _Rehearsal(Description):
    """Tensors and plain values."""

    def stored(self, identity: Any) -> _Storage:
        """A storage; what it says of itself is compared when it is read."""
        if not isinstance(identity, tuple) or identity[0] != "storage" or not isinstance(identity[1], Name):
            raise RefusedError(f"a storage of {said(identity)}")
        return _Storage()

    def new(self, kind: Any, arguments: Any) -> Any:
        """No object is needed."""
        raise RefusedError(said(kind))

    def called(self, function: Any, arguments: Any) -> Any:
        """Tensors from their storages, and the containers that Python calls to make."""
        made = _made(function, arguments) if isinstance(function, Name) and isinstance(arguments, tuple) else None
        if made is None:
            raise RefusedError(said(function))
        return made

    def with_state(self, target: Any, state: Any) -> Any:
        """Dictionaries of modules carry their versions; no tensor needs a state."""
        if not isinstance(target, dict):
            raise RefusedError(f"attributes for {said(target)}")
        return target


def _made(function: Name, arguments: tuple[Any, ...]) -> Any:
    """What a call gives; None where it is not known to be harmless with these arguments."""
    match (function.module, function.name), arguments:
        case ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2" | "_rebuild_tensor_v3"), (_Storage(), *_):
            return _Tensor()
        case ("torch._utils", "_rebuild_parameter"), (_Tensor(), *_):
            return _Tensor()
        case ("torch._utils", "_rebuild_meta_tensor_no_storage"), _:
            return _Opaque()
        case ("collections", "OrderedDict" | "Counter"), () | (dict(),):
            return {}
        case ("torch", "Size"), (tuple() | list() as sizes,) if all(isinstance(size, int) for size in sizes):
            return sizes
        case ("torch", "device") | ("torch.serialization", "_get_layout"), (str(), *_):
            return _Opaque()
        case ("__builtin__" | "builtins", "set"), (list() as items,) if all(isinstance(item, str | int) for item in items):
            return _Opaque()
        case ("_codecs", "encode"), (str(), "latin1"):  # bytes, as protocol 2 writes them
            return _Opaque()
    return None
