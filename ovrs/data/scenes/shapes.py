"""Plane geometry in metres: polygons ``float64 [n, 2]``, counter-clockwise in the scene's frame."""

from dataclasses import dataclass
from math import cos, pi, sin

import numpy as np

_CORNERS = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]])


@dataclass(frozen=True)
class Frame:
    """A place and a heading: local metres (x along, y across) -> the scene's metres."""

    x: float
    y: float
    angle: float = 0.0

    def place(self, points: np.ndarray) -> np.ndarray:
        """Local points ``[..., 2]`` in the scene's frame."""
        c, s = cos(self.angle), sin(self.angle)
        return np.asarray(points, np.float64) @ np.array([[c, s], [-s, c]]) + (self.x, self.y)

    def at(self, x: float, y: float, turn: float = 0.0) -> "Frame":
        """The frame at a local point, turned further by ``turn`` radians."""
        px, py = self.place(np.array([x, y]))
        return Frame(float(px), float(py), self.angle + turn)

    def rectangle(self, length: float, width: float, x: float = 0.0, y: float = 0.0) -> np.ndarray:
        """A rectangle about the local point (x, y): ``[4, 2]`` in the scene's frame."""
        return self.place(_CORNERS * (length, width) + (x, y))

    @property
    def origin(self) -> np.ndarray:
        """The frame's own place ``[2]``."""
        return np.array([self.x, self.y])


def rectangles(frame: Frame, boxes: np.ndarray) -> np.ndarray:
    """Many rectangles at once: local boxes ``[N, 4]`` (x, y, length, width) -> ``[N, 4, 2]`` in the scene's frame."""
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
    return frame.place(_CORNERS[None] * boxes[:, None, 2:] + boxes[:, None, :2])


def ellipse(length: float, width: float, corners: int = 28) -> np.ndarray:
    """An ellipse about the origin, ``[corners, 2]``."""
    t = np.linspace(0.0, 2 * pi, corners, endpoint=False)
    return np.column_stack([0.5 * length * np.cos(t), 0.5 * width * np.sin(t)])


def stadium(length: float, width: float, corners: int = 40) -> np.ndarray:
    """A rectangle with half-round ends, ``[corners, 2]``; ``length`` includes the ends."""
    t = np.linspace(0.0, 2 * pi, corners, endpoint=False)
    straight = 0.5 * (length - width)
    return np.column_stack([0.5 * width * np.cos(t) + straight * np.sign(np.cos(t)), 0.5 * width * np.sin(t)])


def zigzag(length: float, width: float, step: float) -> np.ndarray:
    """A line that runs from one side of a band to the other every ``step`` metres along x, about the origin: ``[n, 2]``."""
    count = max(2, int(length / step) + 1)
    x = np.linspace(-0.5 * length, 0.5 * length, count)
    return np.column_stack([x, np.where(np.arange(count) % 2 == 0, -0.5, 0.5) * width])


def meander(rng: np.random.Generator, reach: float, swing: float, points: int = 41) -> np.ndarray:
    """A smooth line along x from ``-reach`` to ``reach`` that leaves y = 0 by about ``swing``: ``[points, 2]``."""
    x = np.linspace(-reach, reach, points)
    y = np.zeros(points)
    for octave in range(3):
        period = rng.uniform(1.2, 2.6) * max(reach, 60.0) / (octave + 1)
        y += swing / (octave + 1) ** 1.3 * np.sin(2 * pi * x / period + rng.uniform(0, 2 * pi))
    return np.column_stack([x, y - y[points // 2]])


def roughened(rng: np.random.Generator, radius: float, rough: float, corners: int = 26) -> np.ndarray:
    """A closed irregular outline about the origin, ``[corners, 2]``."""
    t = np.linspace(0.0, 2 * pi, corners, endpoint=False)
    r = np.ones(corners)
    for k in range(2, 6):
        r += rough / k * rng.normal() * np.cos(k * t + rng.uniform(0, 2 * pi))
    r = np.clip(r, 0.3, 1.9) * radius
    return np.column_stack([r * np.cos(t), r * np.sin(t)])
