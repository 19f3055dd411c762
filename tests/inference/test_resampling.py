"""Means over a coarser grid: the same as by one matrix an axis, in memory that does not grow with a raster's width."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from numpy.typing import NDArray

from ovrs.inference import resampling
from ovrs.inference.resampling import Window, resampled


@pytest.mark.parametrize("grid", [(7, 11), (30, 90), (12, 150), (60, 47)])
def test_axes_in_parts_give_what_one_matrix_gives(grid: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).normal(size=(2, 30, 90)).astype(np.float32)
    values[:, 4:9, 10:40] = np.nan
    whole, window = Window(0, grid[0], 0, grid[1]), Window(1, grid[0] - 1, 3, grid[1] - 2)

    def read(top: int, bottom: int, left: int, right: int) -> NDArray[np.float32]:
        return values[:, top:bottom, left:right]

    expected = resampled(read, (30, 90), grid, whole)
    monkeypatch.setattr(resampling, "_PART", 16)
    np.testing.assert_allclose(resampled(read, (30, 90), grid, whole), expected, rtol=1e-5)
    np.testing.assert_allclose(resampled(read, (30, 90), grid, window), expected[:, 1:-1, 3:-2], rtol=1e-5)


def test_memory_does_not_grow_with_the_width() -> None:
    def read(top: int, bottom: int, left: int, right: int) -> NDArray[np.float32]:
        return np.broadcast_to(np.arange(left, right, dtype=np.float32), (1, bottom - top, right - left))

    tracemalloc.start()
    found = resampled(read, (2, 120_000), (2, 512), Window(0, 2, 0, 512))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found[0, 0, :2] == pytest.approx([116.7, 351.0], abs=0.1)
    assert peak < 50e6, "the weights of one matrix alone would be 246 MB"
