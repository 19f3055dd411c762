"""The picture of what a sentence means: an image beside masks of it, under the sentence."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ovrs.palette import Color
from ovrs.pictures import FAINT, INK, PANEL, PAPER, Font, Picture, load_font, panel_row

# Of the first mask and of those after it.
_COLORS: tuple[Color, ...] = ((255, 196, 0), (0, 190, 255))
_TINT = 0.5
# Lines of a sentence that are shown; the rest is cut off.
_MOST_LINES = 8
# Sides below this are enlarged, so that small images can be looked at and the sentence has room.
_LEAST = PANEL // 2

Mask = NDArray[np.bool_] | NDArray[np.integer]


def sentence_picture(image: Picture, masks: Mapping[str, Mask], sentence: str, note: str = "") -> Image.Image:
    """An image and each mask laid over it, side by side; the first mask's outline is drawn on the others.

    Args:
        image: uint8 [h, w, 3].
        masks: [h, w] by what they are called, not zero where a pixel is in one.
        sentence: stands above, broken into lines.
        note: below it, small.
    """
    scale = min(1.0, PANEL / max(image.shape[:2]))
    scale = scale if scale < 1 else max(1, _LEAST // max(image.shape[:2]))  # whole factors keep pixels square
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    base = _resized(image, size, cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST)
    laid = [_resized((mask != 0).astype(np.uint8), size, cv2.INTER_NEAREST) for mask in masks.values()]
    panels: list[Picture] = [base]
    for number, mask in enumerate(laid):
        panel = _outlined(_tinted(base, mask, _color(number)), mask, _color(number))
        panels.append(_outlined(panel, laid[0], _color(0)) if number else panel)
    type_size = max(14, max(size) // 26)
    return headed(panel_row(panels, ("image", *masks), type_size), sentence, note, type_size)


def headed(picture: Image.Image, sentence: str, note: str, type_size: int) -> Image.Image:
    """A picture under a sentence, broken into lines, and a note in smaller type."""
    width = picture.width - 2 * type_size
    lines = wrapped(sentence, load_font(1.2 * type_size), width)
    if len(lines) > _MOST_LINES:
        lines = [*lines[: _MOST_LINES - 1], f"{lines[_MOST_LINES - 1]} …"]
    remarks = wrapped(note, load_font(0.85 * type_size), width)
    step, pad = round(1.5 * type_size), type_size
    height = pad + step * (len(lines) + len(remarks))
    sheet = Image.new("RGB", (picture.width, height + picture.height), PAPER)
    draw = ImageDraw.Draw(sheet)
    for number, line in enumerate(lines):
        draw.text((pad, pad + number * step), line, INK, load_font(1.2 * type_size))
    for number, line in enumerate(remarks, len(lines)):
        draw.text((pad, pad + number * step), line, FAINT, load_font(0.85 * type_size))
    sheet.paste(picture, (0, height))
    return sheet


def wrapped(text: str, font: Font, width: float) -> list[str]:
    """A text in lines of at most ``width`` pixels, broken between words, and within a word that is longer than a line."""
    lines: list[str] = []
    for word in text.split():
        if lines and font.getlength(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
            continue
        lines.append("")
        for letter in word:
            if lines[-1] and font.getlength(lines[-1] + letter) > width:
                lines.append("")
            lines[-1] += letter
    return lines


def _color(number: int) -> Color:
    return _COLORS[min(number, len(_COLORS) - 1)]


def _resized(pixels: NDArray[np.uint8], size: tuple[int, int], interpolation: int) -> NDArray[np.uint8]:
    return np.asarray(cv2.resize(pixels, size, interpolation=interpolation), dtype=np.uint8)


def _tinted(image: Picture, mask: NDArray[np.uint8], color: Color) -> Picture:
    tinted = np.rint((1 - _TINT) * image + _TINT * np.array(color))
    return np.where(mask[..., None] > 0, tinted, image).astype(np.uint8)


def _outlined(image: Picture, mask: NDArray[np.uint8], color: Color) -> Picture:
    contours, _ = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    return np.asarray(cv2.drawContours(image.copy(), contours, -1, color, 2), dtype=np.uint8)
