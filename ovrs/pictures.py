"""Parts of the pictures that show maps: a legend in readable type, the sign for what has no class, and maps side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from types import MappingProxyType

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ovrs.palette import Color
from ovrs.vocabulary import Vocabulary

PAPER = (250, 250, 248)
INK = (28, 30, 34)
FAINT = (112, 116, 124)
# Wider than this times its height, a picture has its legend below.
_WIDE = 1.7
# Of maps side by side: the longer side of each, and the gap between.
PANEL = 512
GAP = 8

Picture = NDArray[np.uint8]
Labels = NDArray[np.integer]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def hatch(height: int, width: int) -> Picture:
    """Grey with diagonal stripes, the sign for what has no class: uint8 [h, w, 3]."""
    stripes = (np.add.outer(np.arange(height), np.arange(width)) % 16) < 3
    return np.where(stripes[..., None], np.uint8(168), np.uint8(204)).repeat(3, axis=2)


@dataclass(frozen=True)
class Entry:
    """A line of the legend; no colour means what has no class."""

    name: str
    note: str
    color: Color | None


@dataclass(frozen=True)
class Legend:
    """What the legend says, and the size of its type in pixels."""

    title: str
    subtitle: str
    entries: tuple[Entry, ...]
    remark: str
    type_size: int

    def beside(self, scene: Image.Image) -> Image.Image:
        """A sheet with the picture and this legend at its right, or below where the picture is wide."""
        below = scene.width > _WIDE * scene.height
        panel = self.draw_row(scene.width) if below else self.draw_column(scene.height)
        size = (scene.width, scene.height + panel.height)
        if not below:
            size = (scene.width + panel.width, max(scene.height, panel.height))
        sheet = Image.new("RGB", size, PAPER)
        sheet.paste(scene, (0, 0))
        sheet.paste(panel, (0, scene.height) if below else (scene.width, 0))
        return sheet

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
        panel = Image.new("RGB", (width, height), PAPER)
        draw = ImageDraw.Draw(panel)
        draw.text((pad, pad), self.title, INK, self._font(1.1))
        draw.text((pad, pad + round(1.35 * self.type_size)), self.subtitle, FAINT, self._font(0.85))
        for number, entry in enumerate(self.entries):
            column, row = divmod(number, rows)
            self._draw_entry(panel, entry, pad + column * self._column, self._top() + row * line)
        draw.text((pad, self._top() + rows * line), self.remark, FAINT, self._font(0.85))
        return panel

    def _draw_entry(self, panel: Image.Image, entry: Entry, left: int, top: int) -> None:
        draw, side = ImageDraw.Draw(panel), self.type_size
        if entry.color is None:
            panel.paste(Image.fromarray(hatch(side, round(1.4 * side))), (left, top))
        draw.rounded_rectangle(
            (left, top, left + round(1.4 * side), top + side), side // 6, entry.color, INK, max(1, side // 20)
        )
        middle = top + side / 2
        draw.text((left + 1.9 * side, middle), entry.name, INK, self._font(1), anchor="lm")
        right = left + self._column - 1.2 * side
        draw.text((right, middle), entry.note, FAINT, self._font(0.85), anchor="rm")

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
        return load_font(factor * self.type_size)


def side_by_side(
    image: Picture,
    maps: Mapping[str, Labels],
    vocabulary: Vocabulary,
    title: str = "",
    *,
    beside: Mapping[str, Picture] = MappingProxyType({}),
    counted: NDArray[np.bool_] | None = None,
) -> Image.Image:
    """An image beside maps of it, with a legend of the classes that occur in any of them.

    Args:
        image: uint8 [h, w, 3].
        maps: label maps [h, w] by what they are called; labels outside of the vocabulary's names are hatched.
        title: the legend's first line.
        beside: further pictures of the same ground, shown between the image and its maps, by what they are called.
        counted: bool [h, w], the pixels that shares are of; all of them by default.
    """
    scale = min(1.0, PANEL / max(image.shape[:2]))
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    shown = (image, *beside.values())
    panels: list[Picture] = [np.asarray(cv2.resize(each, size, interpolation=cv2.INTER_AREA), dtype=np.uint8) for each in shown]
    for labels in maps.values():
        small = cv2.resize(labels.astype(np.int16), size, interpolation=cv2.INTER_NEAREST)
        panels.append(_colored(np.asarray(small, dtype=np.int16), vocabulary))
    enlarged = max(1, PANEL // 2 // max(size))  # whole factors keep pixels square
    panels = [panel.repeat(enlarged, axis=0).repeat(enlarged, axis=1) for panel in panels]
    legend = _legend_of(maps, vocabulary, title, max(14, max(panels[0].shape[:2]) // 26), counted)
    return legend.beside(panel_row(panels, ("image", *beside, *maps), legend.type_size))


def _colored(labels: Labels, vocabulary: Vocabulary) -> Picture:
    valid = (labels >= 0) & (labels < len(vocabulary.names))
    picture = np.asarray(vocabulary.palette[np.where(valid, labels, 0)], dtype=np.uint8)
    picture[~valid] = hatch(*valid.shape)[~valid]
    return picture


def _legend_of(
    maps: Mapping[str, Labels], vocabulary: Vocabulary, title: str, type_size: int, counted: NDArray[np.bool_] | None
) -> Legend:
    """The classes that occur, those unseen marked; the note is the share of each map."""
    names, count = vocabulary.names, len(vocabulary.names)
    seen = [cls.seen for cls in vocabulary.classes] + [True] * (count - vocabulary.num_classes)
    shares, occurs = [], np.zeros(count + 1, dtype=bool)
    for labels in maps.values():
        values = np.where((labels >= 0) & (labels < count), labels, count).astype(np.int64)
        occurs |= np.bincount(values.reshape(-1), minlength=count + 1) > 0
        values = values.reshape(-1) if counted is None else values[counted]
        shares.append(np.bincount(values, minlength=count + 1) / max(values.size, 1))
    entries = [
        Entry(
            names[i] if seen[i] else f"{names[i]} (unseen)",
            " / ".join(f"{share[i]:.0%}" for share in shares),
            (int(vocabulary.palette[i, 0]), int(vocabulary.palette[i, 1]), int(vocabulary.palette[i, 2])),
        )
        for i in range(count)
        if occurs[i]
    ]
    in_part = counted is not None and not counted.all()
    if occurs[count]:
        entries.append(Entry("no class", "" if in_part else " / ".join(f"{share[count]:.0%}" for share in shares), None))
    remark = "shares are of what all maps show" if in_part else ""
    return Legend(title, f"{' / '.join(maps)}", tuple(entries), remark, type_size)


def panel_row(panels: Sequence[Picture], captions: Sequence[str], type_size: int) -> Image.Image:
    """Panels of one size in a row, a caption above each."""
    height, width = panels[0].shape[:2]
    top = round(1.6 * type_size)
    sheet = Image.new("RGB", (len(panels) * (width + GAP) - GAP, height + top), PAPER)
    draw = ImageDraw.Draw(sheet)
    for number, (panel, caption) in enumerate(zip(panels, captions, strict=True)):
        left = number * (width + GAP)
        draw.text((left + GAP, top / 2), caption, INK, load_font(type_size), anchor="lm")
        sheet.paste(Image.fromarray(panel), (left, top))
    return sheet


@cache
def load_font(size: float) -> Font:
    """Pillow's own type, so that no font has to be installed."""
    return ImageFont.load_default(size=size)


def _width(font: Font, text: str) -> float:
    return float(font.getlength(text))
