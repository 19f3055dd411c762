"""Black collars of a scene that is read in strips: what :func:`ovrs.inference.nodata.border_black` finds, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from ovrs.inference.nodata import BLOCK, MIN_COLLAR, NEARLY_BLACK

# Rows [top, bottom) to the brightest band, uint8 or wider [rows, width].
ReadBrightest = Callable[[int, int], NDArray[np.uint8]]
# Pixels looked at together; their labels take eight bytes each.
_TOGETHER = 2**22


class Collar:
    """Black that is connected to the border of a scene, and its nearly black fringe.

    Components are labelled strip by strip and joined where strips meet; only the joins and a mark a component are kept. The map
    itself is found again, strip by strip, when it is asked for.

    Args:
        read: the scene's brightest band.
        height, width: its size.
        strip: rows looked at together; None takes as many as memory is meant for.
    """

    def __init__(self, read: ReadBrightest, height: int, width: int, strip: int | None = None) -> None:
        self._read, self.height, self.width = read, height, width
        self.strip = strip or max(_TOGETHER // width, 2 * BLOCK)
        self._first: list[int] = []  # the first component of each strip
        self._parent: list[int] = []
        self._kept: dict[int, NDArray[np.bool_]] = {}
        self._marked = self._find()

    @property
    def empty(self) -> bool:
        """Whether there is none."""
        return not self._marked.any()

    def rows(self, top: int, bottom: int) -> NDArray[np.bool_]:
        """Where the collar lies in the rows ``top`` to ``bottom``: bool [rows, width]."""
        if self.empty:
            return np.zeros((bottom - top, self.width), dtype=bool)
        first, last = max(top - BLOCK, 0), min(bottom + BLOCK, self.height)
        strips = [self._strip(number) for number in range(first // self.strip, -(-last // self.strip))]
        offset = first - first // self.strip * self.strip
        core = np.concatenate(strips)[offset : offset + last - first]
        reach = np.ones((2 * BLOCK + 1, 2 * BLOCK + 1), dtype=np.uint8)
        near = cv2.dilate(core.astype(np.uint8), reach).astype(bool) & (self._read(first, last) <= NEARLY_BLACK)
        return np.asarray((core | near)[top - first : bottom - first])

    def _strip(self, number: int) -> NDArray[np.bool_]:
        if number not in self._kept:
            _, labels = self._components(number)
            first = self._first[number]
            marked = np.concatenate([[False], self._marked[first : first + int(labels.max())]])
            while len(self._kept) >= 2:  # neighbours are asked for one after the other
                self._kept.pop(min(self._kept))
            self._kept[number] = marked[labels]
        return self._kept[number]

    def _components(self, number: int) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Sizes of the black components that reach an edge of a strip, and their labels from 1 [rows, width].

        The others can be no part of a collar, and a dark scene has any number of them.
        """
        top = number * self.strip
        black = (self._read(top, min(top + self.strip, self.height)) == 0).astype(np.uint8)
        # Four neighbours, not eight: a collar must not leak through a corner into a shadow.
        _, labels, stats, _ = cv2.connectedComponentsWithStats(black, connectivity=4)
        reaching = np.zeros(len(stats), dtype=bool)
        for edge in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
            reaching[edge] = True
        reaching[0] = False
        renumbered = np.where(reaching, np.cumsum(reaching), 0).astype(np.int32)
        return stats[reaching, cv2.CC_STAT_AREA].astype(np.int64), renumbered[labels]

    def _find(self) -> NDArray[np.bool_]:
        """For every component of every strip whether it belongs to the collar."""
        sizes: list[NDArray[np.int64]] = []
        touching: set[int] = set()
        above: NDArray[np.int64] | None = None
        strips = -(-self.height // self.strip)
        for number in range(strips):
            size, labels = self._components(number)
            first = len(self._parent)
            self._first.append(first)
            self._parent.extend(range(first, first + len(size)))
            sizes.append(size)
            numbered = np.where(labels > 0, labels.astype(np.int64) + first - 1, -1)
            if above is not None:
                both = (above >= 0) & (numbered[0] >= 0)
                for a, b in np.unique(np.stack([above[both], numbered[0][both]]), axis=1).T:
                    self._join(int(a), int(b))
            above = numbered[-1]
            edges = [numbered[:, 0], numbered[:, -1]]
            edges += [numbered[0]] if number == 0 else []
            edges += [numbered[-1]] if number == strips - 1 else []
            touching.update(int(label) for edge in edges for label in np.unique(edge) if label >= 0)
        roots = np.array([self._root(label) for label in range(len(self._parent))], dtype=np.int64)
        area = np.bincount(roots, weights=np.concatenate(sizes), minlength=len(roots)) if len(roots) else np.zeros(0)
        on_border = np.zeros(len(roots), dtype=bool)
        on_border[[int(roots[label]) for label in touching]] = True
        return np.asarray((on_border & (area >= MIN_COLLAR))[roots])

    def _root(self, label: int) -> int:
        while self._parent[label] != label:
            self._parent[label] = self._parent[self._parent[label]]
            label = self._parent[label]
        return label

    def _join(self, first: int, second: int) -> None:
        a, b = self._root(first), self._root(second)
        self._parent[max(a, b)] = min(a, b)
