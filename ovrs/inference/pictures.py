"""The overlay: an image under the colours of its map, with class outlines and a legend in readable type."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ovrs.inference.segmentation import Labels, Segmentation

# The longer side of the map in the picture: larger images are reduced, smaller ones enlarged so that the legend suits them.
_MAX_SIDE = 4096
_MIN_SIDE = 640
# How much of the class colour covers the image.
_OPACITY = 0.45
_PAPER = (250, 250, 248)
_INK = (28, 30, 34)
_FAINT = (112, 116, 124)
# A legend of more entries keeps the classes that cover most.
_MAX_ENTRIES = 48
# Wider than this times its height, an image has its legend below.
_WIDE = 1.7

_Picture = NDArray[np.uint8]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def draw_overlay(segmentation: Segmentation) -> Image.Image:
    """The picture: the blended map, and its legend at the right, or below a wide image."""
    scene = Image.fromarray(_blend(segmentation))
    below = scene.width > _WIDE * scene.height
    legend = _Legend.of(segmentation, max(scene.size))
    panel = legend.draw_row(scene.width) if below else legend.draw_column(scene.height)
    size = (scene.width, scene.height + panel.height) if below else (scene.width + panel.width, max(scene.height, panel.height))
    sheet = Image.new("RGB", size, _PAPER)
    sheet.paste(scene, (0, 0))
    sheet.paste(panel, (0, scene.height) if below else (scene.width, 0))
    return sheet


def _blend(segmentation: Segmentation) -> _Picture:
    """uint8 [h, w, 3]: the image at the picture's size, covered by translucent class colours with outlines; nodata hatched."""
    image = segmentation.image
    scale = _scale(max(image.height, image.width))
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    smooth = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    rgb = image.rgb if scale == 1 else cv2.resize(image.rgb, size, interpolation=smooth)
    labels = np.asarray(cv2.resize(segmentation.labels, size, interpolation=cv2.INTER_NEAREST), dtype=segmentation.labels.dtype)
    valid = labels != segmentation.nodata
    colors = segmentation.vocabulary.palette[np.where(valid, labels, 0)]
    picture = cv2.addWeighted(rgb, 1 - _OPACITY, colors, _OPACITY, 0)
    edges = _edges(labels, width=max(1, round(max(size) / 900)))
    picture[edges] = cv2.addWeighted(rgb, 0.1, colors, 0.9, 0)[edges]
    picture[~valid] = _hatch(*valid.shape)[~valid]
    return np.asarray(picture, dtype=np.uint8)


def _scale(side: int) -> float:
    if side > _MAX_SIDE:
        return _MAX_SIDE / side
    # Whole factors keep the steps of an enlarged map even.
    return float(max(1, -(-_MIN_SIDE // side)))


def _edges(labels: Labels, width: int) -> NDArray[np.bool_]:
    """Where a class meets another, bool [h, w]: lines of ``width`` pixels on either side."""
    kernel = np.ones((2 * width + 1, 2 * width + 1), dtype=np.uint8)
    return np.asarray(cv2.dilate(labels, kernel) != cv2.erode(labels, kernel))


def _hatch(height: int, width: int) -> _Picture:
    """Grey with diagonal stripes, the sign for nodata: uint8 [h, w, 3]."""
    stripes = (np.add.outer(np.arange(height), np.arange(width)) % 16) < 3
    return np.where(stripes[..., None], np.uint8(168), np.uint8(204)).repeat(3, axis=2)


@dataclass(frozen=True)
class _Entry:
    """A line of the legend; no colour means nodata."""

    name: str
    note: str
    color: tuple[int, int, int] | None


@dataclass(frozen=True)
class _Legend:
    """What the legend says, and the size of its type in pixels."""

    title: str
    subtitle: str
    entries: tuple[_Entry, ...]
    remark: str
    type_size: int

    @classmethod
    def of(cls, segmentation: Segmentation, side: int) -> _Legend:
        """The legend of a map in a picture whose longer side is ``side`` pixels."""
        names, shares, palette = segmentation.vocabulary.names, segmentation.shares(), segmentation.vocabulary.palette
        kept = sorted(sorted(range(len(names)), key=lambda index: -shares[names[index]])[:_MAX_ENTRIES])
        entries = [_Entry(names[i], f"{shares[names[i]]:.1%}", tuple(map(int, palette[i]))) for i in kept]  # type: ignore[arg-type]
        nodata = 1 - float(segmentation.image.valid.mean())
        if nodata > 0:
            entries.append(_Entry("nodata", f"{nodata:.1%} of the image", None))
        left_out = len(names) - len(kept)
        remark = f"and {left_out} more classes that cover less" if left_out else ""
        title = segmentation.image.path.name if segmentation.image.path is not None else "image"
        subtitle = "synthetic scene" if segmentation.image.synthetic else ""
        return cls(title, subtitle, tuple(entries), remark, int(np.clip(side / 42, 17, 64)))

    def draw_column(self, height: int) -> Image.Image:
        """A panel as high as the image, with more columns where one does not hold all entries."""
        first = self._top()
        rows = max(1, (height - first - self._line() * (2 if self.remark else 1)) // self._line())
        return self._draw(columns=-(-len(self.entries) // rows))

    def draw_row(self, width: int) -> Image.Image:
        """A panel as wide as the image at most, or as wide as one column."""
        columns = max(1, (width - self.type_size) // self._column)
        return self._draw(columns=min(columns, len(self.entries)))

    def _draw(self, columns: int) -> Image.Image:
        rows = -(-len(self.entries) // columns)
        pad, line = self.type_size, self._line()
        header = pad * 2 + max(_width(self._font(1.1), self.title), _width(self._font(0.85), self.subtitle))
        width = max(pad + columns * self._column, round(header))
        height = self._top() + rows * line + pad + (line if self.remark else 0)
        panel = Image.new("RGB", (width, height), _PAPER)
        draw = ImageDraw.Draw(panel)
        draw.text((pad, pad), self.title, _INK, self._font(1.1))
        draw.text((pad, pad + round(1.35 * self.type_size)), self.subtitle, _FAINT, self._font(0.85))
        for number, entry in enumerate(self.entries):
            column, row = divmod(number, rows)
            self._draw_entry(panel, entry, pad + column * self._column, self._top() + row * line)
        draw.text((pad, self._top() + rows * line), self.remark, _FAINT, self._font(0.85))
        return panel

    def _draw_entry(self, panel: Image.Image, entry: _Entry, left: int, top: int) -> None:
        draw, side = ImageDraw.Draw(panel), self.type_size
        if entry.color is None:
            panel.paste(Image.fromarray(_hatch(side, round(1.4 * side))), (left, top))
        draw.rounded_rectangle(
            (left, top, left + round(1.4 * side), top + side), side // 6, entry.color, _INK, max(1, side // 20)
        )
        middle = top + side / 2
        draw.text((left + 1.9 * side, middle), entry.name, _INK, self._font(1), anchor="lm")
        right = left + self._column - 1.2 * side
        draw.text((right, middle), entry.note, _FAINT, self._font(0.85), anchor="rm")

    def _line(self) -> int:
        return round(1.6 * self.type_size)

    def _top(self) -> int:
        """Where the entries begin."""
        return self.type_size + round((2.9 if self.subtitle else 2.2) * self.type_size)

    @cached_property
    def _column(self) -> int:
        """Width of one column: swatch, the longest name, the longest note and the gaps between."""
        name = max(_width(self._font(1), entry.name) for entry in self.entries)
        note = max(_width(self._font(0.85), entry.note) for entry in self.entries)
        return round(name + note + 4.4 * self.type_size)

    def _font(self, factor: float) -> Font:
        return _load_font(factor * self.type_size)


@cache
def _load_font(size: float) -> Font:
    """Pillow's own type, so that no font has to be installed."""
    return ImageFont.load_default(size=size)


def _width(font: Font, text: str) -> float:
    return float(font.getlength(text))
