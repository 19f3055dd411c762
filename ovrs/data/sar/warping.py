"""A SAR raster brought onto the grid of its image, window by window: a pixel is the same in whatever window it is read."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import NamedTuple

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.warp import transform

from ovrs.data.sar.encoding import LEAST_KNOWN
from ovrs.data.sar.grids import Grid

# Reads float32 [S, h, w] of rows top..bottom and columns left..right, NaN where nothing was measured.
Read = Callable[[int, int, int, int], NDArray[np.float32]]
Floats = NDArray[np.float64]

# How far apart the pixels of the image lie whose places are projected; those of others are interpolated [pixels].
_CELL = 16
# Values of a band of the raster that are held at a time.
_HELD = 2**22


class Warp:
    """From the grid of a raster to that of an image, both of which say where they lie.

    Values are interpolated linearly along both axes; where the raster is finer than the image, between the means of blocks of
    about the size of the image's pixels. What was not measured is left out of every mean, and where more than half of a value
    would be made of it there is none, as beyond the raster.
    """

    def __init__(self, source: Grid, target: Grid) -> None:
        self._source, self._target = source, target
        rows, columns = self._projected(np.array([0, 1, 0]) + target.width / 2, np.array([0, 0, 1]) + target.height / 2)
        # Of what height and width blocks are [pixels of the raster].
        self._block = _block_of(rows), _block_of(columns)

    def read(self, source: Read, bands: int, top: int, bottom: int, left: int, right: int) -> NDArray[np.float32]:
        """float32 [S, h, w] of a window of the image, of so many bands that ``source`` reads of the raster."""
        rows, columns = self._places(top, bottom, left, right)
        inside = (rows >= 0) & (rows <= self._source.height) & (columns >= 0) & (columns <= self._source.width)
        found = np.full((bands, *inside.shape), np.nan, np.float32)
        if not inside.any():
            return found
        down = _Axis.of(rows[inside], self._block[0], self._source.height)
        across = _Axis.of(columns[inside], self._block[1], self._source.width)
        if (down.stop - down.start) * (across.stop - across.start) > _HELD and inside.size > 1:
            return self._in_halves(source, bands, top, bottom, left, right)
        values = source(down.start, down.stop, across.start, across.stop)
        known = np.isfinite(values)
        total, share = (
            _interpolated(_block_means(part, self._block), down, across) for part in (np.where(known, values, 0), known)
        )
        with np.errstate(divide="ignore", invalid="ignore"):
            found[:, inside] = np.where(share >= LEAST_KNOWN, total / share, np.nan)
        return found

    def _in_halves(self, source: Read, bands: int, top: int, bottom: int, left: int, right: int) -> NDArray[np.float32]:
        row, column = (top + bottom) // 2, (left + right) // 2
        if bottom - top >= right - left:
            return np.concatenate([self.read(source, bands, *rows, left, right) for rows in ((top, row), (row, bottom))], 1)
        return np.concatenate([self.read(source, bands, top, bottom, *part) for part in ((left, column), (column, right))], 2)

    def _places(self, top: int, bottom: int, left: int, right: int) -> tuple[Floats, Floats]:
        """Where the middles of a window's pixels lie in the raster: rows and columns [h, w], NaN or infinite for nowhere.

        The projected ones are the same for all windows, and so is what lies between them.
        """
        knots = [np.arange(first // _CELL, -(-last // _CELL) + 1) for first, last in ((top, bottom), (left, right))]
        y, x = np.meshgrid(*(_CELL * knot.astype(np.float64) for knot in knots), indexing="ij")
        projected = self._projected(x.ravel(), y.ravel())
        found = []
        with np.errstate(invalid="ignore"):
            for values in projected:
                values = values.reshape(x.shape)
                for axis, (first, last) in enumerate(((top, bottom), (left, right))):
                    at = (np.arange(first, last) + 0.5) / _CELL - knots[axis][0]
                    before = at.astype(np.intp)
                    share = np.expand_dims(at - before, 1 - axis)
                    values = values.take(before, axis) * (1 - share) + values.take(before + 1, axis) * share
                found.append(values)
        return found[0], found[1]

    def _projected(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Rows and columns [N] in the raster of places in the image."""
        assert self._target.transform is not None and self._source.transform is not None
        x, y = _applied(self._target.transform, x, y)
        if self._target.crs != self._source.crs:
            x, y = (np.asarray(part) for part in transform(self._target.crs, self._source.crs, x, y))
        columns, rows = _applied(~self._source.transform, x, y)
        return rows, columns


class _Axis(NamedTuple):
    """Along one axis of a raster which of its pixels are needed, ``start`` to ``stop``; for each of N places the blocks before
    and behind it, counted from there, and the weight of the latter.
    """

    start: int
    stop: int
    before: NDArray[np.intp]
    behind: NDArray[np.intp]
    weight: Floats

    @classmethod
    def of(cls, places: Floats, block: int, size: int) -> _Axis:
        """Beyond the middle of the outermost blocks these go on."""
        last = -(-size // block) - 1
        at = np.clip(places / block - 0.5, 0, last)
        before = at.astype(np.intp)
        behind = np.minimum(before + 1, last)
        first = int(before.min())
        return cls(first * block, min((int(behind.max()) + 1) * block, size), before - first, behind - first, at - before)


def _applied(to: Affine, x: Floats, y: Floats) -> tuple[Floats, Floats]:
    return to.a * x + to.b * y + to.c, to.d * x + to.e * y + to.f


def _block_of(places: Floats) -> int:
    """How many pixels of a raster, along one of its axes, a step of a pixel in the image is, along whichever of its own."""
    step = np.hypot(places[1] - places[0], places[2] - places[0])
    return max(round(float(step)), 1) if np.isfinite(step) else 1


def _block_means(values: NDArray[np.generic], block: tuple[int, int]) -> Floats:
    """[S, h, w] of blocks of values [S, H, W]; those at the end may be smaller."""
    means = values.astype(np.float64)
    for axis, size in enumerate(block, start=1):
        if size > 1:
            starts = np.arange(0, means.shape[axis], size)
            held = np.diff(starts, append=means.shape[axis])
            means = np.add.reduceat(means, starts, axis) / np.expand_dims(held, tuple({0, 1, 2} - {axis}))
    return means


def _interpolated(values: Floats, down: _Axis, across: _Axis) -> Floats:
    """[S, N] at N places between values [S, h, w]."""
    total = np.zeros((len(values), len(down.weight)))
    rows, columns = ((zip((axis.before, axis.behind), (1 - axis.weight, axis.weight), strict=True)) for axis in (down, across))
    for (row, vertical), (column, horizontal) in product(rows, columns):
        total += values[:, row, column] * (vertical * horizontal)
    return total
