"""Worker processes that read data: how many there are, what they must know, and how their errors come back."""

from __future__ import annotations

import functools
import os
import signal
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from detectron2.config import CfgNode
from torch.utils.data import DataLoader, Dataset

from ovrs.data.batches import Batch
from ovrs.data.catalog import register_files
from ovrs.errors import OvrsError


def worker_count(cfg: CfgNode) -> int:
    """``DATALOADER.NUM_WORKERS``, but no more than there are processors: beyond that they only wait for each other."""
    return min(cfg.DATALOADER.NUM_WORKERS, os.cpu_count() or 1)


class Loader(DataLoader[Any]):
    """PyTorch's loader of batches that are lists of entries, with ``DATALOADER.NUM_WORKERS`` processes.

    Workers know the data sets of ``DATASETS.FILES``, also where they are spawned. An :class:`OvrsError` in one of them is
    raised here as it was there, not wrapped into a worker's traceback.

    Args:
        dataset: by an index or a plan, a batch or an entry of one.
        keys: as PyTorch's loader takes them.
    """

    def __init__(self, cfg: CfgNode, dataset: Dataset[Any], **keys: Any) -> None:
        start = functools.partial(_start, tuple(cfg.DATASETS.FILES))
        super().__init__(
            _Caught(dataset),
            num_workers=worker_count(cfg),
            worker_init_fn=start,
            collate_fn=_first_error_or_list,
            generator=torch.Generator(),  # each start draws from it: from the global one, a resumed training draws once more
            **keys,
        )

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]
        for batch in super().__iter__():
            if isinstance(batch, OvrsError):
                raise batch
            yield batch


class _Caught(Dataset[Any]):
    """A data set that returns the errors that are the user's to mend."""

    def __init__(self, dataset: Dataset[Any]) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)  # type: ignore[arg-type]

    def __getitem__(self, index: Any) -> Any:
        try:
            return self.dataset[index]
        except OvrsError as error:
            return error


def _first_error_or_list(batch: Any) -> Any:
    """The batch as it is, or the first error in its place."""
    if isinstance(batch, list):
        return next((entry for entry in batch if isinstance(entry, OvrsError)), batch)
    return batch


def _start(files: Sequence[str], _: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the process that reads from these decides
    register_files(files)
