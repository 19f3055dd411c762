"""The canvas: metres in, pixels out; image and labels are always drawn from the same geometry."""

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import cos, sin
from typing import TypeAlias

import cv2
import numpy as np

from ovrs.data.scenes.classes import Label
from ovrs.data.scenes.texture import Texture

Colour: TypeAlias = np.ndarray | Sequence[float]

_SHIFT = 4  # fixed-point bits of OpenCV's drawing: sixteenths of a pixel
_FAR = 30000.0  # pixels; beyond it OpenCV's fixed-point arithmetic would overflow

GROUND = (Label.GRASS, Label.BARE_SOIL, Label.PAVEMENT)
"""Labels on which something may be built or planted."""

_TAKEN, _OPEN = 1, 2


@dataclass(frozen=True)
class Raised:
    """Something that stands: its outlines ``float64 [n, 2]`` in pixels (x, y), its height in metres and its label."""

    outlines: tuple[np.ndarray, ...]
    height: float
    label: Label


@functools.cache
def _probes(corners: int) -> np.ndarray:
    """Weights ``[K, corners]`` of a polygon's corners that give its corners, middles of sides, centre and points between."""
    corner = np.eye(corners)
    middle, centre = 0.5 * (corner + np.roll(corner, 1, axis=0)), np.full((1, corners), 1.0 / corners)
    return np.concatenate([corner, middle, centre, 0.5 * (corner + centre), 0.5 * (middle + centre)])


@functools.cache
def _table(allowed: tuple[Label, ...]) -> np.ndarray:
    table = np.zeros(256, bool)
    table[[int(label) for label in allowed]] = True
    return table


class Canvas:
    """Image ``uint8 [H, W, 3]``, labels ``uint8 [H, W]`` and numbers ``int32 [H, W]``, drawn in metres about a turned origin.

    What lies flat is drawn at once. What stands (buildings, trees, vehicles) is announced with :meth:`stand`, so that its
    shadow falls on everything flat before any of it is drawn; a shadow darkens the image and never touches the labels.
    What can be counted gets a number from :meth:`count`; ``ids`` may hold one where something else was drawn over it later,
    so it counts only where the label is still the number's own (``kinds``).
    """

    def __init__(
        self, size: tuple[int, int], gsd: float, angle: float, centre: tuple[float, float], sun: float, rng: np.random.Generator
    ) -> None:
        height, width = size
        self.height, self.width, self.gsd, self.rng = height, width, gsd, rng
        self.image: np.ndarray = np.zeros((height, width, 3), np.uint8)
        self.labels = np.full((height, width), Label.GRASS, np.uint8)
        self.ids = np.zeros((height, width), np.int32)
        self.kinds: list[int] = [255]
        self.raised: list[Raised] = []
        self.texture = Texture(size, gsd, rng)
        self.reach = 0.5 * gsd * float(np.hypot(height, width)) + float(np.hypot(*centre))
        self._turn = np.array([[cos(angle), sin(angle)], [-sin(angle), cos(angle)]], np.float64) / gsd
        self._shift = np.array([0.5 * width, 0.5 * height]) - np.asarray(centre) @ self._turn
        # The sun is given in the image frame; per metre of height, a shadow reaches this many metres in the scene's frame.
        towards = np.array([cos(sun), sin(sun)]) @ np.linalg.inv(self._turn) / gsd
        self.sunward: np.ndarray = towards
        self.shadow: np.ndarray = -towards * float(rng.uniform(0.45, 1.3))
        self.darkness = float(rng.uniform(0.3, 0.72))
        self.taken = np.zeros((height, width), np.uint8)
        self._standing: tuple[list[Callable[[], None]], ...] = ([], [], [])
        self._shades = tuple(np.zeros((height, width), np.uint8) for _ in range(2))

    def pixels(self, points: np.ndarray) -> np.ndarray:
        """Scene metres ``[..., 2]`` -> pixel coordinates (x, y) ``[..., 2]``."""
        return np.asarray(points, np.float64) @ self._turn + self._shift

    def _fixed(self, pixels: np.ndarray) -> np.ndarray:
        clipped = np.minimum(np.maximum(pixels - 0.5, -_FAR), _FAR)
        return np.rint(clipped * (1 << _SHIFT)).astype(np.int32)

    def _outside(self, pixels: np.ndarray, margin: float = 2.0) -> bool:
        low, high = pixels.min(axis=0), pixels.max(axis=0)
        return bool(high[0] < -margin or high[1] < -margin or low[0] > self.width + margin or low[1] > self.height + margin)

    def sees(self, points: np.ndarray, margin: float = 0.0) -> bool:
        """Whether the bounding box of the points, widened by ``margin`` metres, meets the image."""
        return not self._outside(self.pixels(np.atleast_2d(points)), margin / self.gsd + 2.0)

    def count(self, label: Label) -> int:
        """A new number for a thing of this class."""
        self.kinds.append(int(label))
        return len(self.kinds) - 1

    def fill(self, points: np.ndarray, colour: Colour, label: Label | None = None, number: int = 0) -> None:
        """Fill a polygon ``[n, 2]``; without a label only the image changes, with a number the thing is countable."""
        pixels = self.pixels(points)
        if self._outside(pixels):
            return
        outline = [self._fixed(pixels)]
        cv2.fillPoly(self.image, outline, tuple(map(float, colour)), cv2.LINE_AA, _SHIFT)
        if label is not None:
            cv2.fillPoly(self.labels, outline, int(label), cv2.LINE_8, _SHIFT)
        if number:
            cv2.fillPoly(self.ids, outline, number, cv2.LINE_8, _SHIFT)

    def line(self, points: np.ndarray, metres: float, colour: Colour, label: Label | None = None, closed: bool = False) -> None:
        """Draw a line ``metres`` wide; one thinner than a pixel is blended with what it lies on, as a sensor would."""
        pixels = self.pixels(points)
        thick = metres / self.gsd
        if self._outside(pixels, thick):
            return
        outline = [self._fixed(pixels)]
        shade = np.asarray(colour, np.float64)
        if thick < 1.0:
            shade = self._under(pixels) * (1.0 - thick) + shade * thick
        width = max(1, round(thick))
        cv2.polylines(self.image, outline, closed, tuple(map(float, shade)), width, cv2.LINE_AA, _SHIFT)
        if label is not None:
            cv2.polylines(self.labels, outline, closed, int(label), width, cv2.LINE_8, _SHIFT)

    def _under(self, pixels: np.ndarray) -> np.ndarray:
        x, y = np.clip(pixels.mean(axis=0), 0, [self.width - 1, self.height - 1]).astype(int)
        return self.image[y, x].astype(np.float64)

    def disc(self, centre: np.ndarray, radius: float, colour: Colour, label: Label | None = None, number: int = 0) -> None:
        """Fill a circle of ``radius`` metres."""
        pixel = self.pixels(np.asarray(centre))
        if self._outside(pixel[None], radius / self.gsd + 2.0):
            return
        x, y = (int(v) for v in self._fixed(pixel))
        size = round(radius / self.gsd * (1 << _SHIFT))
        cv2.circle(self.image, (x, y), size, tuple(map(float, colour)), -1, cv2.LINE_AA, _SHIFT)
        if label is not None:
            cv2.circle(self.labels, (x, y), size, int(label), -1, cv2.LINE_8, _SHIFT)
        if number:
            cv2.circle(self.ids, (x, y), size, number, -1, cv2.LINE_8, _SHIFT)

    def mask(self, points: np.ndarray, metres: float = 0.0, soft: bool = True) -> np.ndarray:
        """Coverage ``uint8 [H, W]`` of a polygon, or of a line ``metres`` wide where that is positive."""
        cover = np.zeros((self.height, self.width), np.uint8)
        outline, kind = [self._fixed(self.pixels(points))], cv2.LINE_AA if soft else cv2.LINE_8
        if metres > 0.0:
            cv2.polylines(cover, outline, False, 255, max(1, round(metres / self.gsd)), kind, _SHIFT)
        else:
            cv2.fillPoly(cover, outline, 255, kind, _SHIFT)
        return cover

    def surface(
        self, points: np.ndarray, paint: Callable[[tuple[slice, slice]], np.ndarray], label: Label, number: int = 0
    ) -> None:
        """Fill a polygon with a texture: ``paint(window) -> float32 [h, w, 3]`` for the rows and columns it covers."""
        pixels = self.pixels(points)
        if self._outside(pixels, 0.0):
            return
        x0, y0 = np.clip(np.floor(pixels.min(axis=0)) - 1, 0, [self.width - 1, self.height - 1]).astype(int)
        x1, y1 = np.clip(np.ceil(pixels.max(axis=0)) + 2, 1, [self.width, self.height]).astype(int)
        window = (slice(int(y0), int(y1)), slice(int(x0), int(x1)))
        outline = [self._fixed(pixels - (x0, y0))]
        cover = np.zeros((y1 - y0, x1 - x0), np.uint8)
        cv2.fillPoly(cover, outline, 255, cv2.LINE_AA, _SHIFT)
        self._blend(window, cover, paint(window))
        cv2.fillPoly(self.labels, [self._fixed(pixels)], int(label), cv2.LINE_8, _SHIFT)
        if number:
            cv2.fillPoly(self.ids, [self._fixed(pixels)], number, cv2.LINE_8, _SHIFT)

    def overlay(self, cover: np.ndarray, colours: np.ndarray, label: Label | None = None) -> None:
        """Blend ``float32 [H, W, 3]`` (or one colour) over the image by a coverage map; label where it is above a half."""
        self._blend((slice(None), slice(None)), cover, np.asarray(colours, np.float32))
        if label is not None:
            self.labels[cover > 127] = label

    def _blend(self, window: tuple[slice, slice], cover: np.ndarray, colours: np.ndarray) -> None:
        below = self.image[window].astype(np.float32)
        weight = (cover.astype(np.float32) / 255.0)[..., None]
        self.image[window] = np.clip(below + (colours - below) * weight, 0, 255).astype(np.uint8)

    def free(self, shapes: np.ndarray, allowed: Iterable[Label] = GROUND, planting: bool = False) -> np.ndarray:
        """For convex polygons ``[N, n, 2]``: whether each stands on allowed labels only and on nothing taken, ``bool [N]``.

        Nothing is planted on what :meth:`keep_open` named.
        """
        shapes = np.asarray(shapes, np.float64)
        pixels = np.floor(self.pixels(_probes(shapes.shape[1]) @ shapes)).astype(int)
        x, y = pixels[..., 0], pixels[..., 1]
        inside = (x >= 0) & (y >= 0) & (x < self.width) & (y < self.height)
        x, y = np.minimum(np.maximum(x, 0), self.width - 1), np.minimum(np.maximum(y, 0), self.height - 1)
        taken = self.taken[y, x]
        good = _table(tuple(allowed))[self.labels[y, x]] & ((taken == 0) | ((taken == _OPEN) & (not planting)))
        return np.asarray((good | ~inside).all(axis=1) & inside.any(axis=1))

    def claim(self, points: np.ndarray, mark: int = _TAKEN) -> None:
        """Mark a polygon as taken for :meth:`free`."""
        pixels = self.pixels(points)
        if not self._outside(pixels):
            cv2.fillPoly(self.taken, [self._fixed(pixels)], mark, cv2.LINE_8, _SHIFT)

    def keep_open(self, points: np.ndarray) -> None:
        """Let nothing be planted in a polygon: a runway, an apron, a yard; call it before anything there is claimed."""
        self.claim(points, _OPEN)

    def stand(self, shapes: Sequence[np.ndarray], height: float, draw: Callable[[], None], label: Label, tier: int = 1) -> None:
        """Announce something ``height`` metres tall over convex ``shapes``; tier 0 low things, 1 buildings, 2 trees."""
        throw = self.shadow * height
        if not self.sees(np.concatenate(shapes), height * 1.5):
            return
        pixels = tuple(self.pixels(shape) for shape in shapes)
        self.raised.append(Raised(pixels, height, label))
        cast = throw @ self._turn
        for shape in pixels:
            hull = cv2.convexHull(self._fixed(np.concatenate([shape, shape + cast])))
            cv2.fillConvexPoly(self._shades[min(tier, 1)], hull, 255, cv2.LINE_AA, _SHIFT)
        self._standing[tier].append(draw)

    def shade(self, cover: np.ndarray, strength: float = 1.0) -> None:
        """Darken the image under a coverage map, a little less in blue, as skylight does."""
        amount = self.darkness * strength
        keep = cv2.merge([cv2.convertScaleAbs(cover, alpha=-amount * tint, beta=0) for tint in (1.0, 0.98, 0.88)])
        self.image = cv2.multiply(self.image, 255 - keep, scale=1 / 255.0)

    def raise_standing(self) -> None:
        """Cast the shadows and draw all that was announced, low things first, trees last."""
        for tier, cover in enumerate(self._shades):
            if self._standing[tier] or (tier == 1 and self._standing[2]):
                self.shade(cv2.GaussianBlur(cover, (0, 0), max(0.3, 0.25 / self.gsd)))
            for draw in self._standing[tier]:
                draw()
        for draw in self._standing[2]:
            draw()
