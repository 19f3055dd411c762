"""Tiles over a scene: where they lie, and how their scores become rows of one map, a few rows at a time.

Scores live on a grid of *cells*, ``per_patch`` cells a patch and axis. Only the rows that tiles still to come can change are
held, so memory depends on a tile's height and the width of what is read at a time, not on the scene's height.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ovrs.errors import ConfigError
from ovrs.modeling.windows import window_starts, window_weights

# A tile's number along the columns, and its scores [N, h, w].
Scored = tuple[int, Tensor]


@dataclass(frozen=True)
class Tiling:
    """How a model reads a scene.

    Attributes:
        tile: side of a tile in pixels, a multiple of ``patch``.
        overlap: least share of a tile that neighbours overlap by, in [0, 1).
        patch: side of a patch in pixels.
        per_patch: cells of scores along the side of a patch.

    Raises:
        ConfigError: sizes that do not fit one another.
    """

    tile: int
    overlap: float
    patch: int
    per_patch: int

    def __post_init__(self) -> None:
        if self.patch < 1 or self.per_patch < 1 or self.tile < self.patch or self.tile % self.patch:
            raise ConfigError(f"tiles of {self.tile} pixels are no whole number of patches of {self.patch}")
        if not 0 <= self.overlap < 1:
            raise ConfigError(f"an overlap of {self.overlap} is not in [0, 1)")

    def axis(self, pixels: int) -> Axis:
        """The tiles along an axis of so many pixels, the last patch filled up."""
        patches = -(-pixels // self.patch)
        tile = min(self.tile // self.patch, patches)
        starts = window_starts(patches, tile, self.overlap)
        return Axis(
            tuple(start * self.per_patch for start in starts),
            tile * self.per_patch,
            patches * self.per_patch,
            self.patch // self.per_patch if self.patch % self.per_patch == 0 else self.patch / self.per_patch,
        )


@dataclass(frozen=True)
class Axis:
    """Tiles along one axis, in cells.

    Attributes:
        starts: first cell of every tile, ascending; together they cover ``length``.
        window: cells of a tile.
        length: cells in all.
        cell: pixels of a cell.
    """

    starts: tuple[int, ...]
    window: int
    length: int
    cell: float

    @cached_property
    def weights(self) -> Tensor:
        """Blending weights [tiles, window]; at every cell those of its tiles sum to one."""
        return window_weights(self.length, self.window, list(self.starts))

    def tiles_over(self, first: int, last: int) -> range:
        """The numbers of the tiles that cover any of the cells ``first`` to ``last`` (exclusive)."""
        touching = [i for i, start in enumerate(self.starts) if start < last and start + self.window > first]
        return range(touching[0], touching[-1] + 1)


def blended_rows(
    rows: Axis, columns: Axis, over: range, score_row: Callable[[int], Iterable[Scored]], names: int, first: int = 0
) -> Iterator[tuple[int, Tensor]]:
    """Rows of blended scores, from the top down, each as soon as no later tile can change it.

    A cell's sum is taken in the order of the tiles, wherever it is begun, so a stream that starts further down gives the same
    bits. A tile that is left out (it holds no image) leaves its cells to its neighbours.

    Args:
        rows, columns: the tiles of the scene.
        over: numbers of the tile columns to read: a band of the scene.
        score_row: scores in 0..1 of the tiles of one tile row, by tile column, in ascending order.
        names: N.
        first: the tile row to begin with; cells that earlier ones cover too are incomplete.

    Yields:
        The first row, and scores [N, rows, columns of the band] that begin at the cell ``columns.starts[over[0]]``; 0 where
        there was no tile.
    """
    left = columns.starts[over[0]]
    width = columns.starts[over[-1]] + columns.window - left
    total, weight = torch.zeros(names, rows.window, width), torch.zeros(rows.window, width)
    for number in range(first, len(rows.starts)):
        top = rows.starts[number]
        for column, scores in score_row(number):
            share = rows.weights[number][:, None] * columns.weights[column][None]
            place = slice(columns.starts[column] - left, columns.starts[column] - left + columns.window)
            total[:, :, place].addcmul_(scores, share)
            weight[:, place] += share
        done = (rows.starts[number + 1] if number + 1 < len(rows.starts) else rows.length) - top
        yield top, total[:, :done] / weight[:done].clamp(min=torch.finfo(weight.dtype).tiny)
        for kept in (total, weight):
            rest = kept[..., done:, :].clone()
            kept.zero_()
            kept[..., : rows.window - done, :] = rest
