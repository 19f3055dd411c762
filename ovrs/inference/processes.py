"""Several processes that torchrun started over one list of scenes."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed

# Scenes take as long as they take; whoever is done first waits.
_PATIENCE = timedelta(days=30)
_Item = TypeVar("_Item")


@dataclass(frozen=True)
class Processes:
    """One process among those that torchrun started.

    Attributes:
        rank: its number, from 0.
        count: how many there are; 1 without torchrun.
    """

    rank: int = 0
    count: int = 1

    @classmethod
    def of(cls, environ: Mapping[str, str] = os.environ) -> Processes:
        """As the variables ``RANK`` and ``WORLD_SIZE`` say."""
        return cls(int(environ.get("RANK", "0")), int(environ.get("WORLD_SIZE", "1")))

    def own_part(self, items: Sequence[_Item]) -> list[_Item]:
        """What of a list is this process's: every ``count``-th from its ``rank``-th on."""
        return list(items[self.rank :: self.count])

    def total(self, number: int) -> int:
        """The sum over all processes, which all wait for here: torchrun ends them as soon as one of them fails."""
        if self.count == 1:
            return number
        torch.distributed.init_process_group("gloo", timeout=_PATIENCE)
        try:
            sum_of_all = torch.tensor(number)
            torch.distributed.all_reduce(sum_of_all)
            return int(sum_of_all)
        finally:
            torch.distributed.destroy_process_group()
