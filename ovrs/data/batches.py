"""Which images make up each training batch, settled by the seed alone: not by the number of processes or workers."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch.utils.data import Dataset, Sampler

Entry = dict[str, Any]
Batch = list[Entry]


@dataclass(frozen=True)
class BatchPlan:
    """One process's share of a batch.

    Args:
        iteration: counted from 0.
        data_set: the one data set that all images of the batch come from.
        images: for each image of this process, its place in the whole batch and its index in the data set.
    """

    iteration: int
    data_set: int
    images: tuple[tuple[int, int], ...]


class BatchPlanner(Sampler[BatchPlan]):
    """An endless stream of batch plans. Every process draws the same data set for the same iteration.

    Each data set is gone through in a new random order every time, so that all its images come equally often.

    Args:
        sizes: how many images each data set has.
        weights: how often each data set is drawn, relative to the others.
        batch_size: images a batch, all processes together.
        seed: not negative; the same in all processes.
        start: the first iteration; those before are skipped, as if they had been trained on.
        rank: which of ``world_size`` processes this is.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        weights: Sequence[float],
        *,
        batch_size: int,
        seed: int,
        start: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        if batch_size < 1 or batch_size % world_size:
            raise ValueError(f"a batch of {batch_size} images cannot be shared by {world_size} processes")
        self.sizes = tuple(sizes)
        self.shares = np.array(weights, dtype=np.float64) / np.sum(weights)
        self.batch_size, self.seed, self.start = batch_size, seed, start
        self.rank, self.world_size = rank, world_size

    def __iter__(self) -> Iterator[BatchPlan]:
        choice = np.random.default_rng(self.seed)
        orders = [self._order(number) for number in range(len(self.sizes))]
        for iteration in itertools.count():
            drawn = int(choice.choice(len(self.sizes), p=self.shares))
            batch = list(enumerate(itertools.islice(orders[drawn], self.batch_size)))
            if iteration >= self.start:
                yield BatchPlan(iteration, drawn, tuple(batch[self.rank :: self.world_size]))

    def _order(self, number: int) -> Iterator[int]:
        generator = np.random.default_rng([self.seed, number])
        while True:
            yield from generator.permutation(self.sizes[number]).tolist()


class PlannedBatches(Dataset[Batch]):
    """Batches by their plans; whatever is drawn at random for an image depends on seed, iteration and place alone.

    Args:
        data_sets: the entries of each data set.
        mapper: an entry in, what the model takes out; it draws from NumPy's global state.
        finish: what is done to a whole batch; it draws the same in all processes.
        seed: the planner's.
    """

    def __init__(
        self,
        data_sets: Sequence[Sequence[Entry]],
        mapper: Callable[[Entry], Entry],
        *,
        finish: Callable[[Batch], Batch],
        seed: int,
    ) -> None:
        self.data_sets, self.mapper, self.finish, self.seed = data_sets, mapper, finish, seed

    def __getitem__(self, plan: BatchPlan) -> Batch:
        batch = []
        for place, index in plan.images:
            with drawing_from(self.seed, plan.iteration, 1 + place):
                batch.append(self.mapper(self.data_sets[plan.data_set][index]))
        with drawing_from(self.seed, plan.iteration, 0):
            return self.finish(batch)


@contextmanager
def drawing_from(*seed: int) -> Iterator[None]:
    """NumPy's global state, which Detectron2's augmentations draw from, seeded here and put back at the end."""
    before = np.random.get_state()
    np.random.seed(np.random.SeedSequence(seed).generate_state(4))
    try:
        yield
    finally:
        np.random.set_state(before)
