"""Checkpoints: Detectron2's files, written whole or not at all, and read without ever running code that a file carries.

A training goes on from the last one that is whole; older ones stay until enough newer ones are.
"""

from __future__ import annotations

import itertools
import os
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from detectron2.checkpoint import DetectionCheckpointer
from detectron2.utils import comm
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from ovrs.errors import OutputError, WeightsError
from ovrs.files import written_whole
from ovrs.modeling.fitting import load_state_dict
from ovrs.modeling.published.configured import refuse_published
from ovrs.modeling.weights_files import read_content, state_dict_of

# What the trainer writes; other files of an output folder (the best weights) are no states to go on from.
CHECKPOINTS = re.compile(r"model_(\d+|final)\.pth")
NUMBERED = re.compile(r"model_\d+\.pth")
BEST_FILE = "model_best.pth"
LAST_FILE = "last_checkpoint"


class Checkpointer(DetectionCheckpointer):
    """Detectron2's checkpointer with safe reading, strict fitting and atomic writing.

    Everything that is saved is tensors and plain values, so that ``torch.load(weights_only=True)`` reads it.

    Args:
        model: its state dict is saved.
        save_dir: the output folder of a training.
        kept: numbered checkpoints that stay, the oldest going first; 0 = all.
        checkpointables: what else is saved, by name.
    """

    def __init__(self, model: nn.Module, save_dir: str = "", *, kept: int = 0, **checkpointables: Any) -> None:
        super().__init__(model, save_dir, **checkpointables)
        self.kept = kept
        self.resumed_from: Path | None = None
        self.saved_iteration: int | None = None

    def save(self, name: str, **kwargs: Any) -> None:
        """Write ``<name>.pth`` with the model, what else this checkpointer tracks, and ``kwargs``.

        An older checkpoint goes only once this one is whole and on the disk.

        Raises:
            OutputError: the file cannot be written.
        """
        if not self.save_dir or not self.save_to_disk:
            return
        data: dict[str, Any] = {"model": self.model.state_dict()}
        data.update({key: plain(tracked.state_dict()) for key, tracked in self.checkpointables.items()})
        data.update({key: plain(value) for key, value in kwargs.items()})
        path = Path(self.save_dir) / f"{name}.pth"
        self.logger.info("Saving checkpoint to %s", path)
        write_checkpoint(data, path)
        self.tag_last_checkpoint(path.name)
        self.saved_iteration = kwargs.get("iteration")
        self._clear_away(path)

    def tag_last_checkpoint(self, last_filename_basename: str) -> None:
        """Note which checkpoint is the last one, in the file ``last_checkpoint``."""
        with written_whole(Path(self.save_dir) / LAST_FILE) as temporary:
            temporary.write_text(last_filename_basename, encoding="utf-8")

    def _clear_away(self, newest: Path) -> None:
        """Remove the numbered checkpoints beyond those kept, and what a killed process left half written."""
        stale = [*newest.parent.glob(".model_*.pth.*"), *newest.parent.glob(".last_checkpoint.*")]
        if self.kept:
            numbered = [path for path in self._written() if NUMBERED.fullmatch(path.name) and path != newest]
            stale += numbered[self.kept - 1 if NUMBERED.fullmatch(newest.name) else self.kept :]
        for path in stale:
            path.unlink(missing_ok=True)

    def set_aside(self) -> Path | None:
        """Move what an earlier training left (checkpoints, best weights) to a new folder ``earlier-<n>`` of the output folder.

        So a training that begins anew is never taken for the earlier one. Returns the folder; None where nothing was left.

        Raises:
            OutputError: a file cannot be moved.
        """
        if not self.save_dir:
            return None
        home = Path(self.save_dir)
        left = [path for path in (*self._written(), home / BEST_FILE, home / LAST_FILE) if path.exists()]
        if not left:
            return None
        number = next(count for count in itertools.count(1) if not (home / f"earlier-{count}").exists())
        folder = home / f"earlier-{number}"
        try:
            folder.mkdir()
            for path in left:
                path.rename(folder / path.name)
        except OSError as error:
            raise OutputError(f"{folder}: the earlier training cannot be moved there: {error.strerror or error}") from error
        self.logger.warning(
            "%s held an earlier training; this one begins anew, and the earlier checkpoints are now in %s. To go on with the "
            "earlier one instead, stop, move them back and give --resume; to keep the two apart, give another OUTPUT_DIR",
            home,
            folder,
        )
        return folder

    def _written(self) -> list[Path]:
        """The checkpoints of a training in the output folder, the last one written first."""
        paths = [path for path in Path(self.save_dir).glob("model_*.pth") if CHECKPOINTS.fullmatch(path.name)]
        return sorted(paths, key=lambda path: (path.stat().st_mtime_ns, path.name), reverse=True)

    def has_checkpoint(self) -> bool:
        """Whether the output folder holds, or says it holds, a checkpoint of a training."""
        return bool(self.save_dir) and bool(self._candidates())

    def resume_or_load(self, path: str, *, resume: bool = True) -> dict[str, Any]:
        """Load the last checkpoint of the output folder if there is one and ``resume``, else the model alone from ``path``.

        Where the last one is damaged, the one written before it is taken, with a warning. ``resumed_from`` says which.

        Raises:
            WeightsError: no checkpoint is whole, or see :meth:`load`.
        """
        # One process chooses, so that all go on from the same file.
        chosen = self._choose() if resume and comm.is_main_process() else None
        chosen = comm.all_gather(chosen)[0]
        self.resumed_from = chosen
        if chosen is None:
            return self.load(path, checkpointables=[])
        if not chosen.is_file():
            raise WeightsError(f"{chosen}: no such checkpoint; OUTPUT_DIR must be one folder that all machines see")
        return self.load(str(chosen))

    def _candidates(self) -> list[Path]:
        """What to resume from: first what ``last_checkpoint`` names, then the others, the last one written first."""
        written = self._written()
        tag = Path(self.save_dir) / LAST_FILE
        if not tag.is_file():
            return written
        name = tag.read_bytes().strip()
        if not re.fullmatch(rb"[\w.-]+\.pth", name):
            self.logger.warning("%s is damaged: it names no checkpoint", tag)
            return written
        last = tag.with_name(name.decode())
        return [last, *(path for path in written if path != last)]

    def _choose(self) -> Path | None:
        """The first whole checkpoint; None where there is none at all."""
        candidates = self._candidates() if self.save_dir else []
        damaged: list[str] = []
        for path in candidates:
            reason = damage(path)
            if not reason:
                if damaged:
                    self.logger.warning("%s; going on from %s, written before", "; ".join(damaged), path)
                return path
            damaged.append(f"{path} is damaged ({reason})")
        if damaged:
            raise WeightsError(f"no whole checkpoint to resume from: {'; '.join(damaged)}; without --resume a training starts")
        return None

    def load(self, path: str, checkpointables: list[str] | None = None) -> dict[str, Any]:
        """Load the model and, from a checkpoint of a training, the tracked objects named (None: all of them).

        Returns what else the file holds. An empty path loads nothing.

        Raises:
            WeightsError: the file is missing or unsafe, or does not fit the model; names what is wrong.
        """
        if not path:
            self.logger.info("No weights given; the model starts as it was built")
            return {}
        self.logger.info("Loading %s", path)
        refuse_published(path)
        # A training goes on from its weights; whoever only wants weights gets their average where there is one.
        content = read_checkpoint(path, averaged=checkpointables is not None or not self.checkpointables)
        model = self.model.module if isinstance(self.model, DistributedDataParallel) else self.model
        load_state_dict(model, content.pop("model"), str(path))
        for key in self.checkpointables if checkpointables is None else checkpointables:
            if key in content:
                try:
                    self.checkpointables[key].load_state_dict(content.pop(key))
                except (KeyError, ValueError) as error:
                    raise WeightsError(
                        f"{path}: the training's state ({key}) does not fit the configuration: {error}; to start a new "
                        f"training from these weights, give MODEL.WEIGHTS {path} without --resume"
                    ) from error
        return content


def write_checkpoint(data: Mapping[str, Any], path: Path) -> None:
    """Write tensors and plain values to a file that is whole and on the disk when this returns.

    Raises:
        OutputError: the file cannot be written.
    """
    with written_whole(path) as temporary:
        try:
            torch.save(dict(data), temporary)
        except RuntimeError as error:  # so torch says that a disk is full
            raise OutputError(f"{path}: cannot be written: {str(error).splitlines()[0]}") from error
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())


def damage(path: Path) -> str:
    """What is wrong with a checkpoint file, every byte of which is read; "" for a whole one."""
    try:
        if not path.is_file():
            return "missing"
        if not path.stat().st_size:
            return "empty"
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()  # torch itself does not look at the checksums it writes
        return f"{broken} has a wrong checksum" if broken else ""
    except (OSError, EOFError, ValueError, RuntimeError, zipfile.BadZipFile) as error:
        return str(error)


def read_checkpoint(path: str | os.PathLike[str], *, averaged: bool = True) -> dict[str, Any]:
    """What a ``.pth`` or ``.safetensors`` file holds: the state dict under ``model``, and a training's state beside it.

    Args:
        path: the file.
        averaged: where a training kept an average of its weights, that is what ``model`` gives.

    Raises:
        WeightsError: missing, unreadable, or a file that only an unsafe unpickler could read.
    """
    content = read_content(path)
    state = state_dict_of(content, path)
    extras = dict(content) if "model" in content else {}
    return {**extras, "model": state if averaged or not extras else dict(content["model"])}


def plain(value: Any) -> Any:
    """The same value with NumPy's numbers as Python's, in any nesting of dicts, lists and tuples.

    Raises:
        TypeError: something that is neither tensor nor plain value.
    """
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(plain(item) for item in value)
    if value is None or isinstance(value, bool | int | float | str | torch.Tensor):
        return value
    raise TypeError(f"a checkpoint holds tensors and plain values only, not {type(value).__name__}")
