"""What can be counted in a scene, one by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ovrs.data.scenes.classes import Label

VISIBLE = 6
"""Pixels that a thing must show to be counted."""


@dataclass(frozen=True)
class Instance:
    """One countable thing: its number in the map, its label, its pixels and their mean place (column, row)."""

    number: int
    label: Label
    area: int
    centre: tuple[float, float]


def instance_map(ids: NDArray[np.int32], kinds: Sequence[int], labels: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Numbers 1..n without gaps where something countable shows ``VISIBLE`` pixels or more, else 0: ``int32 [H, W]``.

    Args:
        ids: int32 [H, W], the number drawn last at each pixel.
        kinds: the label of each number; a number counts only where the pixel still has that label.
        labels: uint8 [H, W].
    """
    own = np.asarray(kinds, np.uint8)
    seen = np.where(own[ids] == labels, ids, 0)
    there = np.bincount(seen.ravel(), minlength=len(own)) >= VISIBLE
    there[0] = False
    return (np.cumsum(there) * there).astype(np.int32)[seen]


def list_instances(instances: NDArray[np.int32], labels: NDArray[np.uint8]) -> tuple[Instance, ...]:
    """The instances of a map, in the order of their numbers."""
    flat = instances.ravel()
    area = np.bincount(flat)
    height, width = instances.shape
    x = np.bincount(flat, weights=np.tile(np.arange(width), height))
    y = np.bincount(flat, weights=np.repeat(np.arange(height), width))
    kind = np.zeros(len(area), int)
    kind[flat] = labels.ravel()
    return tuple(
        Instance(number, Label(int(kind[number])), int(area[number]), (x[number] / area[number], y[number] / area[number]))
        for number in range(1, len(area))
    )
