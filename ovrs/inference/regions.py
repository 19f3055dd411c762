"""From a class map to regions: connected pixels of one class, their outlines, areas and mean confidence.

The map is read in strips. What touches the next strip is held until it is complete, so that no seam follows the strips; all
else goes out at once. Outlines are simplified together, neighbours along the same line, so that no gap opens between them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import cv2
import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.features import shapes

from ovrs.inference.ground import PixelAreas
from ovrs.inference.segmented import Labels

# What sums of pixels' areas may be off by, as a share.
_ROUNDING = 1e-9
# First row of a strip, its labels and its confidence [rows, W]; strips follow one another from the top down.
Strip = tuple[int, Labels, NDArray[np.float32]]


@dataclass(frozen=True)
class Region:
    """Connected pixels of one class.

    Attributes:
        label: the class.
        outline: in (column, row) of the map, corners of pixels being whole numbers where nothing was simplified.
        pixels: how many.
        area: of all of them [square metres], NaN where that is not known.
        confidence: their mean, 0..1.
    """

    label: int
    outline: shapely.Polygon
    pixels: int
    area: float
    confidence: float


@dataclass
class _Part:
    """A region that may go on in the next strip."""

    label: int
    outlines: list[shapely.Polygon]
    pixels: int
    area: float
    sureness: float
    into: _Part | None = field(default=None)

    def root(self) -> _Part:
        part = self
        while part.into is not None:
            part = part.into
        return part

    def join(self, other: _Part) -> None:
        first, second = self.root(), other.root()
        if first is not second:
            second.into = first
            first.outlines += second.outlines
            first.pixels += second.pixels
            first.area += second.area
            first.sureness += second.sureness
            second.outlines = []

    def finished(self) -> Region:
        outline = self.outlines[0] if len(self.outlines) == 1 else _straightened(shapely.union_all(self.outlines))
        return Region(self.label, outline, self.pixels, self.area, self.sureness / self.pixels)


def regions(
    strips: Iterable[Strip], names: int, area: float | PixelAreas, *, tolerance: float = 0.0, least: float = 0.0
) -> Iterator[Region]:
    """The regions of a map.

    Args:
        names: labels from this number on hold no class (nodata).
        area: of a pixel, if all are alike [square metres]; NaN where that is not known.
        tolerance: corners that cut off less than the square of this from an outline are left out [pixels]; 0 keeps the steps
            of the pixels.
        least: smaller regions are left out [square metres], unless their area is not known.
    """
    above: tuple[Labels, NDArray[np.int32], list[_Part]] | None = None
    for top, labels, confidence in strips:
        ids, parts = _parts_of(top, labels, confidence, area, tolerance)
        if above is not None:
            _join_across(above, (labels, ids, parts))
        reaching = {id(parts[number].root()) for number in np.unique(ids[-1])}
        known = [] if above is None else [above[2][number] for number in np.unique(above[1][-1])]
        yield from _complete(known + parts, reaching, names, least)
        above = labels, ids, parts
    if above is not None:
        yield from _complete([above[2][number] for number in np.unique(above[1][-1])], set(), names, least)


def _complete(parts: Iterable[_Part], reaching: set[int], names: int, least: float) -> Iterator[Region]:
    """The regions among ``parts`` that do not go on, each once."""
    seen: set[int] = set()
    for part in parts:
        root = part.root()
        if id(root) not in seen and id(root) not in reaching and root.outlines:
            seen.add(id(root))
            if root.label < names and not root.area < least * (1 - _ROUNDING):
                yield root.finished()
            root.outlines = []


def _parts_of(
    top: int, labels: Labels, confidence: NDArray[np.float32], area: float | PixelAreas, tolerance: float
) -> tuple[NDArray[np.int32], list[_Part]]:
    """The number of every pixel's part in a strip, and the parts."""
    ids = np.zeros(labels.shape, dtype=np.int32)
    values: list[int] = []
    for value in np.unique(labels):
        count, found = cv2.connectedComponents((labels == value).astype(np.uint8), connectivity=4)
        inside = found > 0
        ids[inside] = found[inside] + (len(values) - 1)
        values += [int(value)] * (count - 1)
    outlines: list[shapely.Polygon | None] = [None] * len(values)
    for outline, number in shapes(ids, connectivity=4):
        outlines[int(number)] = shapely.geometry.shape(outline)
    drawn = np.array(outlines, dtype=object)
    if tolerance > 0:
        # The edges of the strip stay as they are, so that strips still fit together.
        drawn = shapely.coverage_simplify(drawn, tolerance, simplify_boundary=False)
    drawn = shapely.transform(drawn, lambda points: points + np.array([0, top]))
    pixels = np.bincount(ids.ravel(), minlength=len(values))
    sureness = np.bincount(ids.ravel(), weights=np.nan_to_num(confidence.ravel()).astype(np.float64), minlength=len(values))
    areas = (
        np.bincount(ids.ravel(), weights=area.window(top, 0, *labels.shape).ravel(), minlength=len(values))
        if isinstance(area, PixelAreas)
        else pixels * float(area)
    )
    each = zip(values, drawn, pixels.tolist(), areas.tolist(), sureness.tolist(), strict=True)
    return ids, [_Part(value, [outline], *counts) for value, outline, *counts in each]


def _straightened(outline: shapely.Polygon) -> shapely.Polygon:
    """The same without points in the middle of a straight line, which strips leave where they meet."""

    def corners(ring: shapely.LinearRing) -> NDArray[np.float64]:
        points = shapely.get_coordinates(ring)[:-1]
        before, after = points - np.roll(points, 1, axis=0), np.roll(points, -1, axis=0) - points
        return np.asarray(points[before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]])

    return shapely.Polygon(corners(outline.exterior), [corners(ring) for ring in outline.interiors])


def _join_across(
    above: tuple[Labels, NDArray[np.int32], list[_Part]], below: tuple[Labels, NDArray[np.int32], list[_Part]]
) -> None:
    """Join the parts of two strips that are of one class where the strips meet."""
    same = above[0][-1] == below[0][0]
    for first, second in np.unique(np.stack([above[1][-1][same], below[1][0][same]]), axis=1).T:
        above[2][first].join(below[2][second])
