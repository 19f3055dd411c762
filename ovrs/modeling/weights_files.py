"""Weights files: the one place that reads and writes them, without running what a file may carry.

Read are safetensors, what ``torch.save`` writes (``weights_only=True``) and the tensors of TorchScript archives. Nothing falls
back to a reader that runs code, and what a file declares is compared with its size before it is parsed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ovrs.errors import OutputError, WeightsError
from ovrs.files import written_whole
from ovrs.modeling.rehearsal import rehearse
from ovrs.modeling.script_archives import read_script_archive
from ovrs.modeling.torch_archives import TorchArchive, open_archive
from ovrs.pickle_descriptions import RefusedError

# CVE-2025-32434 (before 2.6) ran code and CVE-2026-24747 (before 2.10) wrote beyond memory in torch.load(weights_only=True).
SAFE_TORCH = (2, 10)
LONGEST_HEADER = 32 * 2**20  # bytes of names and shapes in safetensors; some hundred a tensor
SPARE_BYTES = 2**20  # a small file may hold a buffer that repeats one value

_AGAIN = "the download did not give the file; get it again, or fetch it by hand from its publisher's page"


def read_state_dict(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Tensors by name from ``.safetensors``, a TorchScript archive or a PyTorch file: plain, under "model" as Detectron2 writes
    them, or under "state_dict" as open_clip's training does.

    Where a training kept a running average of its weights beside them ("ema"), the average is what is given. The tensors are
    mapped from the file, not copied: it must not be written to while they are used (a new file renamed into its place may be).

    Raises:
        WeightsError: missing, unreadable, or a file that only an unsafe unpickler could read.
    """
    return state_dict_of(read_content(path), path)


def read_content(path: str | os.PathLike[str]) -> Any:
    """All that a weights file holds: tensors and plain values; of ``.safetensors`` and TorchScript the tensors, under "model".

    Raises:
        WeightsError: missing, unreadable, or a file that only an unsafe unpickler could read; says what it seems to be.
    """
    path = Path(path)
    start = _start_of(path)
    if path.suffix == ".safetensors":
        return {"model": _read_safetensors(path)}
    _require_safe_torch(path)
    if not start.startswith(b"PK"):
        return _unpickled(path, path)  # what PyTorch wrote before 1.6
    archive = open_archive(path)
    return {"model": read_script_archive(archive)} if archive.script else _unpickled(path, archive, mmap=True)


def _start_of(path: Path) -> bytes:
    """The first bytes of a file that may hold weights; what is plainly something else is refused here."""
    try:
        if path.is_dir():
            raise WeightsError(f"{path}: a folder, not a weights file; name a file in it")
        if not path.exists():
            raise WeightsError(f"{path}: no such weights file")
        with path.open("rb") as file:
            start = file.read(512)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror or error}") from error
    if path.suffix == ".pkl":
        raise WeightsError(f"{path}: pickle files can run code and are not read; convert to .safetensors or .pth first")
    if not start:
        raise WeightsError(f"{path}: empty; {_AGAIN}")
    if start.startswith(b"version https://git-lfs"):
        raise WeightsError(f"{path}: a pointer of Git LFS, not the weights themselves; run: git lfs pull")
    if re.match(rb"\s*<(!doctype|html|\?xml|head|body)", start, re.IGNORECASE):
        raise WeightsError(f"{path}: a web page, not weights; {_AGAIN}")
    return start


def _require_safe_torch(path: Path) -> None:
    version = tuple(int(number) for number in re.findall(r"\d+", torch.__version__)[:2])
    if version < SAFE_TORCH:
        raise WeightsError(
            f"{path}: not read with PyTorch {torch.__version__}, whose weights_only is known to be unsafe (CVE-2025-32434, "
            f"CVE-2026-24747); install torch>={'.'.join(map(str, SAFE_TORCH))}, or give weights as .safetensors"
        )


def _unpickled(path: Path, rehearsed: TorchArchive | Path, **how: bool) -> Any:
    try:
        rehearse(rehearsed)
        return torch.load(path, map_location="cpu", weights_only=True, **how)
    except Exception as error:  # torch raises many kinds; all mean that the file is not plain tensors
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        asked = str(error) if isinstance(error, RefusedError) else (re.findall(r"GLOBAL (\S+)", str(error)) or [""])[0]
        if asked:
            reason = f"it asks for {asked.rstrip('.,')}, which could run code or take endless memory"
        raise WeightsError(
            f"{path}: not readable as plain tensors (weights_only): {reason}; get the file again, or ask its publisher for "
            ".safetensors"
        ) from error


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    _check_header(path)
    try:
        with safe_open(str(path), framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except Exception as error:  # SafetensorError, and torch's own for a data type that it lacks
        raise _not_safetensors(path, error) from error


def _check_header(path: Path) -> None:
    """Refuse a header longer than the file, or than any model's."""
    with path.open("rb") as file:
        start = file.read(9)
    length = int.from_bytes(start[:8], "little")
    if len(start) < 9 or length > path.stat().st_size - 8:
        raise WeightsError(f"{path}: not readable as safetensors: cut off, or another kind of file; get it again")
    if length > LONGEST_HEADER or start[8:] != b"{":
        raise WeightsError(
            f"{path}: not readable as safetensors: its header of {length:,} bytes is none of a model's; get the file again"
        )


def _not_safetensors(path: str | os.PathLike[str], error: Exception) -> WeightsError:
    return WeightsError(f"{path}: not readable as safetensors: {error}; get the file again")


def state_dict_of(content: Any, path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """The state dict in what :func:`read_content` gave; ``path`` is for the error alone (see :func:`read_state_dict`)."""
    average = content.get("ema") if isinstance(content, Mapping) and "model" in content else None
    if isinstance(content, Mapping):
        content = content.get("model", content.get("state_dict", content))
    state = dict(content) if isinstance(content, Mapping) else {}
    if isinstance(average, Mapping) and isinstance(average.get("weights"), Mapping):
        state.update(average["weights"])
    named = all(isinstance(name, str) and isinstance(value, Tensor) for name, value in state.items())
    if not named or not isinstance(content, Mapping):
        raise WeightsError(f"{path}: holds no state dict (names to tensors), neither at its top nor under model or state_dict")
    _check_plain(state, Path(path))
    return state


def _check_plain(state: Mapping[str, Any], path: Path) -> None:
    """Refuse tensors without values of their own, and those that stand for more values than the file can hold."""
    room = path.stat().st_size + SPARE_BYTES if path.is_file() else None
    for name, value in state.items():
        strided = isinstance(value, Tensor) and value.layout is torch.strided and not value.is_quantized and not value.is_nested
        if not strided or value.device.type != "cpu":
            raise WeightsError(f"{path}: {name} is no plain tensor; sparse, quantised and empty shells of tensors are not read")
        if room is not None and value.numel() * value.element_size() > room:
            raise WeightsError(f"{path}: {name} claims {value.numel():,} values, more than the file can hold")


def read_metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    """The metadata header of a safetensors file.

    Raises:
        WeightsError: missing, or no safetensors.
    """
    _start_of(Path(path))
    _check_header(Path(path))
    try:
        with safe_open(str(path), framework="pt") as file:
            return dict(file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise _not_safetensors(path, error) from error


def write_state_dict(
    state: Mapping[str, Tensor], path: str | os.PathLike[str], metadata: Mapping[str, str] | None = None
) -> None:
    """Write tensors as safetensors, under a temporary name first.

    Raises:
        OutputError: the name does not end in ``.safetensors``, or the file cannot be written.
    """
    if Path(path).suffix != ".safetensors":
        raise OutputError(f"{path}: weights are written as safetensors; let the name end in .safetensors")
    with written_whole(path) as temporary:
        save_file({name: value.detach().contiguous() for name, value in state.items()}, temporary, dict(metadata or {}))
