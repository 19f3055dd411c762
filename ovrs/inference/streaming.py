"""Segmenting a scene strip by strip: tiles are read ahead, scored in batches, blended, enlarged and decided.

What is computed goes out as *units*, rectangles of the file's grid that do not depend on one another: any of them can be left
out because it is there already, and the others come out the same, bit by bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from ovrs.inference.decision import Decided, Decision
from ovrs.inference.enlarging import Grid, enlarge
from ovrs.inference.scene import Scene
from ovrs.inference.tiles import Axis, Scored, Tiling, blended_rows

# uint8 [B, 3, h, w], or float32 [B, 3 + S, h, w] -> scores in 0..1 [B, N, ., .] on the CPU.
Score = Callable[[Tensor], Tensor]
Progress = Callable[[int, int], None]

# Rows of a unit, and columns that are decided together; a multiple of the blocks of the rasters that are written [pixels].
UNIT = 512
# Scores that may wait for a strip to be complete, so that wider scenes are read in several bands: 16 names on 5,000 pixels of
# width. More would save little, for bands overlap by less than a tile [floats; 24 MiB].
WAITING_SCORES = 6 * 2**20

_Result = TypeVar("_Result")
# A tile's number along the columns, and its pixels [3 or 3 + S, h, w]; None where it holds no image.
_Tile = tuple[int, Tensor | None]


@dataclass(frozen=True)
class Unit:
    """Rows ``top`` to ``bottom`` and columns ``left`` to ``right`` (exclusive) of the file's grid."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def name(self) -> str:
        """A name for files, in reading order."""
        return f"{self.left:07d}_{self.top:07d}"


@dataclass(frozen=True)
class Plan:
    """How a scene is cut.

    Attributes:
        rows, columns: its tiles.
        down, across: cells under pixels.
        bands: units from the top down, a list for each band of columns.
    """

    rows: Axis
    columns: Axis
    down: Grid
    across: Grid
    bands: tuple[tuple[Unit, ...], ...]

    @property
    def units(self) -> list[Unit]:
        """All units, in the order in which they are computed."""
        return [unit for band in self.bands for unit in band]


def plan_scene(scene: Scene, tiling: Tiling, names: int, waiting: int = WAITING_SCORES) -> Plan:
    """Cut a scene so that at most ``waiting`` scores of ``names`` classes wait at a time (but one unit's width always may)."""
    height, width = scene.model_size
    rows, columns = tiling.axis(height), tiling.axis(width)
    down = Grid(rows.length, scene.height, height / scene.height / rows.cell)
    across = Grid(columns.length, scene.width, width / scene.width / columns.cell)
    cells_high = 2 * rows.window + int(UNIT * down.scale) + 2
    pixels = int(waiting / (names * cells_high) / across.scale)
    band = max(pixels // UNIT, 1) * UNIT
    tops, lefts = range(0, scene.height, UNIT), range(0, scene.width, band)
    bands = [[Unit(y, min(y + UNIT, scene.height), x, min(x + band, scene.width)) for y in tops] for x in lefts]
    return Plan(rows, columns, down, across, tuple(map(tuple, bands)))


@dataclass(frozen=True)
class Pass:
    """Units of one band that follow one another, and the tiles that they need."""

    units: tuple[Unit, ...]
    rows: range
    columns: range


def passes(plan: Plan, done: Callable[[Unit], bool]) -> list[Pass]:
    """What is to be read for the units that are not done, in order."""
    found: list[Pass] = []
    for band in plan.bands:
        columns = plan.columns.tiles_over(*plan.across.cells_of(band[0].left, band[0].right))
        for is_done, group in groupby(band, done):
            units = tuple(group)
            if not is_done:
                first, last = plan.down.cells_of(units[0].top, units[-1].bottom)
                found.append(Pass(units, plan.rows.tiles_over(first, last), columns))
    return found


def stream(
    scene: Scene,
    plan: Plan,
    score: Score,
    decision: Decision,
    *,
    batch: int = 1,
    done: Callable[[Unit], bool] = lambda unit: False,
    progress: Progress | None = None,
) -> Iterator[tuple[Unit, Decided]]:
    """Segment the units of a plan that are not ``done``, in order.

    Args:
        score: the model, for windows of up to a tile, whole patches.
        decision: from scores to the map.
        batch: tiles scored together.
        progress: called with (tiles done, tiles in all).
    """
    todo = passes(plan, done)
    count = _Counter(sum(len(one.rows) * len(one.columns) for one in todo), progress)
    with ThreadPoolExecutor(1, "read") as reader, ThreadPoolExecutor(1, "decide") as decider:
        pending: list[Future[tuple[Unit, Decided]]] = []
        for one in todo:
            rows = _ahead(reader, (partial(_read_row, scene, plan, one.columns, number) for number in one.rows))

            def scored(number: int, rows: Iterator[list[_Tile]] = rows) -> Iterator[Scored]:
                return _score_row(next(rows), score, batch, count)

            blended = blended_rows(plan.rows, plan.columns, one.columns, scored, decision.names, one.rows[0])
            origin = plan.columns.starts[one.columns[0]]
            for unit, first, cells in _units_of(plan, one.units, blended):
                pending.append(decider.submit(_decide, scene, plan, unit, cells, (first, origin), decision))
                if len(pending) > 1:
                    yield pending.pop(0).result()
        for future in pending:
            yield future.result()


def _units_of(plan: Plan, units: Sequence[Unit], blended: Iterator[tuple[int, Tensor]]) -> Iterator[tuple[Unit, int, Tensor]]:
    """Each unit with the cells [N, h, w] that it is enlarged from and the first row of these, as soon as they are there."""
    top, held = next(blended)
    for unit in units:
        first, last = plan.down.cells_of(unit.top, unit.bottom)
        while top + held.shape[1] <= first:  # tiles reach above the first unit
            top, held = next(blended)
        parts = [held[:, first - top :]]
        top, reached = first, top + held.shape[1]
        while reached < last:
            _, cells = next(blended)
            parts.append(cells)
            reached += cells.shape[1]
        held = torch.cat(parts, dim=1)
        yield unit, first, held[:, : last - first]


def _read_row(scene: Scene, plan: Plan, over: range, number: int) -> list[_Tile]:
    """The tiles of one tile row."""
    height, width = scene.model_size
    top, bottom = _pixels(plan.rows, number)
    left, right = _pixels(plan.columns, over[0])[0], _pixels(plan.columns, over[-1])[1]
    held = scene.holds_image(top, min(bottom, height), left, min(right, width))
    if not held.any():
        return [(column, None) for column in over]
    strip = torch.from_numpy(np.ascontiguousarray(scene.read(top, min(bottom, height), left, min(right, width))))
    down, across = bottom - top - strip.shape[1], right - left - strip.shape[2]
    if down or across:  # the last patch is filled up with the scene's last row and column
        strip = torch.nn.functional.pad(strip[None].float(), (0, across, 0, down), mode="replicate")[0].to(strip.dtype)
    tiles: list[_Tile] = []
    for column in over:
        start, stop = _pixels(plan.columns, column)
        tiles.append((column, strip[:, :, start - left : stop - left] if held[start - left : stop - left].any() else None))
    return tiles


def _pixels(axis: Axis, number: int) -> tuple[int, int]:
    """First and last pixel (exclusive) of a tile on the model's grid, which it may reach beyond."""
    return round(axis.starts[number] * axis.cell), round((axis.starts[number] + axis.window) * axis.cell)


def _score_row(tiles: Sequence[_Tile], score: Score, batch: int, count: _Counter) -> Iterator[Scored]:
    held = [(column, tile) for column, tile in tiles if tile is not None]
    count.add(len(tiles) - len(held))
    for start in range(0, len(held), batch):
        part = held[start : start + batch]
        scores = score(torch.stack([tile for _, tile in part]))
        for (column, _), of_tile in zip(part, scores, strict=True):
            yield column, of_tile
        count.add(len(part))


def _decide(
    scene: Scene, plan: Plan, unit: Unit, cells: Tensor, origin: tuple[int, int], decision: Decision
) -> tuple[Unit, Decided]:
    valid = scene.valid(unit.top, unit.bottom, unit.left, unit.right)
    parts = []
    for left in range(unit.left, unit.right, UNIT):
        right = min(left + UNIT, unit.right)
        size = (unit.bottom - unit.top, right - left)

        def pixels(first: int, last: int, left: int = left, size: tuple[int, int] = size) -> Tensor:
            return enlarge(cells[first:last], plan.down, plan.across, origin, unit.top, left, size)

        parts.append(decision(pixels, valid[:, left - unit.left : right - unit.left]))
    return unit, Decided.beside(parts)


def _ahead(pool: ThreadPoolExecutor, jobs: Iterator[Callable[[], _Result]]) -> Iterator[_Result]:
    """Results in order, the next job running while one is used."""
    following: Future[_Result] | None = None
    for job in jobs:
        current, following = following, pool.submit(job)
        if current is not None:
            yield current.result()
    if following is not None:
        yield following.result()


class _Counter:
    """Tiles done so far."""

    def __init__(self, total: int, progress: Progress | None) -> None:
        self.total, self._progress, self.count = total, progress, 0

    def add(self, number: int) -> None:
        self.count += number
        if self._progress is not None and number:
            self._progress(min(self.count, self.total), self.total)
