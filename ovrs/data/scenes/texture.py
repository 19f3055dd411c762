"""Noise at several scales in metres, and the surfaces mixed from it."""

from typing import TypeAlias

import cv2
import numpy as np

Window: TypeAlias = tuple[slice, slice]


class Texture:
    """Noise fields ``float32 [H, W]`` (mean 0, deviation about 1) that every surface of one scene shares."""

    def __init__(self, size: tuple[int, int], gsd: float, rng: np.random.Generator) -> None:
        self._size, self._gsd, self._rng = size, gsd, rng
        height, width = size
        self.fine = rng.standard_normal(size, dtype=np.float32)
        self.small = self.field(1.6)
        self.middle = self.field(7.0)
        self.wide = self.field(35.0)
        self.x, self.y = np.meshgrid(np.arange(width, dtype=np.float32) * gsd, np.arange(height, dtype=np.float32) * gsd)

    def field(self, metres: float, stretch: float = 1.0, angle: float = 0.0) -> np.ndarray:
        """Smooth noise with grains of ``metres``; ``stretch`` lengthens them along ``angle`` (radians, image frame)."""
        height, width = self._size
        cell = max(1.0, metres / self._gsd)
        along, across = cell * stretch, cell
        side = height + width if stretch != 1.0 else 0
        rows = int(np.ceil((side or height) / across)) + 5
        columns = int(np.ceil((side or width) / along)) + 5
        coarse = self._rng.standard_normal((rows, columns), dtype=np.float32)
        # A cubic spread of white noise has a deviation of about 0.75.
        c, s = float(np.cos(angle)), float(np.sin(angle))
        cx, cy = (0.5 * width, 0.5 * height) if side else (0.0, 0.0)
        linear = np.array([[c / along, s / along], [-s / across, c / across]])
        offset = np.array([columns / 2, rows / 2]) if side else np.array([2.0, 2.0])
        warp = np.column_stack([linear, offset - linear @ np.array([cx, cy])]).astype(np.float64)
        flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        return cv2.warpAffine(coarse, warp, (width, height), flags=flags, borderMode=cv2.BORDER_REFLECT) / np.float32(0.75)

    def blotches(self, window: Window, one: np.ndarray, other: np.ndarray, grain: float = 0.06) -> np.ndarray:
        """Ground that wanders between two colours: ``float32 [h, w, 3]``."""
        share = np.clip(0.5 + 0.3 * self.wide[window] + 0.2 * self.middle[window] + 0.06 * self.small[window], 0, 1)[..., None]
        light = 1.0 + grain * (0.35 * self.small[window] + 0.4 * self.middle[window] + 0.3 * self.wide[window])
        return ((one + (other - one) * share) * light[..., None]).astype(np.float32)

    def rows(self, window: Window, colour: np.ndarray, gap: np.ndarray, metres: float, angle: float) -> np.ndarray:
        """Crop rows ``metres`` apart along ``angle`` (image frame), ``colour`` on ``gap``: ``float32 [h, w, 3]``."""
        # Rows finer than two pixels would alias: the camera sees their beat, so widen them instead.
        period = max(metres, 2.6 * self._gsd)
        phase = (self.x[window] * np.float32(-np.sin(angle)) + self.y[window] * np.float32(np.cos(angle))) / np.float32(period)
        wave = 0.5 + 0.5 * np.sin(np.float32(2 * np.pi) * phase + 0.35 * self.small[window])
        share = np.clip(wave * 0.6 + 0.12 * self.middle[window] + 0.12 * self.wide[window] + 0.1, 0, 1)[..., None]
        light = (1.0 + 0.07 * self.wide[window] + 0.05 * self.small[window])[..., None]
        return ((colour + (gap - colour) * share) * light).astype(np.float32)

    def canopy(self, window: Window, colour: np.ndarray, sun: np.ndarray, crown: float) -> np.ndarray:
        """A closed wood seen from above, crowns of ``crown`` metres lit from ``sun`` (image frame): ``float32 [h, w, 3]``."""
        height = self.field(crown * 0.42)[window] + 0.4 * self.small[window]
        right, down = cv2.Sobel(height, cv2.CV_32F, 1, 0), cv2.Sobel(height, cv2.CV_32F, 0, 1)
        slope = right * np.float32(sun[0]) + down * np.float32(sun[1])
        relief = slope / (slope.std() + 1e-3)
        light = np.clip(0.92 - 0.24 * relief + 0.1 * height + 0.06 * self.wide[window], 0.3, 1.7)[..., None]
        tint = np.array([6.0, 4.0, -4.0], np.float32) * self.middle[window][..., None]
        return ((colour + tint) * light).astype(np.float32)
