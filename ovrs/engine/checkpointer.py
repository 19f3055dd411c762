"""Checkpoints: Detectron2's files, written whole or not at all, and read without ever running code that a file carries."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from detectron2.checkpoint import DetectionCheckpointer
from torch.nn.parallel import DistributedDataParallel

from ovrs.files import written_whole
from ovrs.modeling.checkpoints import load_state_dict, read_state_dict


class Checkpointer(DetectionCheckpointer):
    """Detectron2's checkpointer with safe reading, strict fitting and atomic writing.

    Everything that is saved is tensors and plain values, so that ``torch.load(weights_only=True)`` reads it.
    """

    def save(self, name: str, **kwargs: Any) -> None:
        """Write ``<name>.pth`` with the model, what else this checkpointer tracks, and ``kwargs``.

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
        with written_whole(path) as temporary:
            torch.save(data, temporary)
        self.tag_last_checkpoint(path.name)

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
        content = read_checkpoint(path)
        model = self.model.module if isinstance(self.model, DistributedDataParallel) else self.model
        load_state_dict(model, content.pop("model"), str(path))
        for key in self.checkpointables if checkpointables is None else checkpointables:
            if key in content:
                self.checkpointables[key].load_state_dict(content.pop(key))
        return content


def read_checkpoint(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What a ``.pth`` or ``.safetensors`` file holds: the state dict under ``model``, and a training's state beside it.

    Raises:
        WeightsError: missing, unreadable, or a file that only an unsafe unpickler could read.
    """
    state = read_state_dict(path)
    if Path(path).suffix == ".safetensors":
        return {"model": state}
    content = torch.load(path, map_location="cpu", weights_only=True)
    extras = dict(content) if "model" in content and isinstance(content["model"], Mapping) else {}
    return {**extras, "model": state}


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
