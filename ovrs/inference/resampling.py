"""Float rasters with gaps on a coarser or finer grid, window by window: what is not known is left out of every mean."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ovrs.data.sar.encoding import LEAST_KNOWN

# Reads float32 [S, h, w] of rows top..bottom and columns left..right.
Read = Callable[[int, int, int, int], NDArray[np.float32]]

# Values of the source that are held at a time.
_HELD = 2**22
# Pixels along an axis whose weights stand in one matrix, of the finer of both grids.
_PART = 2048


class Window(NamedTuple):
    """Rows ``top`` to ``bottom`` and columns ``left`` to ``right`` (exclusive)."""

    top: int
    bottom: int
    left: int
    right: int


def resampled(read: Read, source: tuple[int, int], grid: tuple[int, int], window: Window) -> NDArray[np.float32]:
    """float32 [S, h, w]: a window of ``grid`` (rows, columns), which covers what a raster of ``source`` (rows, columns) does.

    Mean values along an axis on which the grid is coarser, linear interpolation where it is finer, the values themselves where
    it is neither. Values that are NaN count for nothing; NaN where more than half of a value would be made of them.
    """
    if source == grid:
        return read(*window)
    across = _in_parts(source[1], grid[1], window.left, window.right)
    left, right = across[0][0], across[-1][0] + across[-1][1].shape[1]
    rows = max(int(_HELD / (right - left) / max(source[0] / grid[0], 1)), 1)
    parts = []
    for first in range(window.top, window.bottom, rows):
        top, down = _weights(source[0], grid[0], first, min(first + rows, window.bottom))
        values = read(top, top + down.shape[1], left, right)
        known = np.isfinite(values)
        share, total = (
            np.concatenate([of[..., begin - left : begin - left + each.shape[1]] @ each.T for begin, each in across], axis=2)
            for of in (down @ known.astype(np.float32), down @ np.where(known, values, np.float32(0)))
        )
        with np.errstate(divide="ignore", invalid="ignore"):
            parts.append(np.where(share >= LEAST_KNOWN, total / share, np.float32(np.nan)).astype(np.float32))
    return np.concatenate(parts, axis=1)


def _in_parts(source: int, grid: int, first: int, last: int) -> list[tuple[int, NDArray[np.float32]]]:
    """:func:`_weights` of some pixels of the grid after the other, so that they do not grow with the square of an axis."""
    step = max(int(_PART * min(grid / source, 1)), 1)
    return [_weights(source, grid, begin, min(begin + step, last)) for begin in range(first, last, step)]


def _weights(source: int, grid: int, first: int, last: int) -> tuple[int, NDArray[np.float32]]:
    """The first pixel that is read along an axis, and the weights [last - first, pixels read]; each row sums to one."""
    step = source / grid
    cells = np.arange(first, last)
    if step > 1:
        low, high = cells * step, np.minimum((cells + 1) * step, source)
        begin, end = int(low[0]), min(int(np.ceil(high[-1] - 1e-9)), source)
        pixels = np.arange(begin, end)
        weights = np.minimum(high[:, None], pixels + 1) - np.maximum(low[:, None], pixels)
    else:
        at = np.clip((cells + 0.5) * step - 0.5, 0, source - 1)
        begin, end = int(at[0]), min(int(at[-1]) + 2, source)
        weights = 1 - abs(at[:, None] - np.arange(begin, end))
    weights = np.clip(weights, 0, None)
    return begin, (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
