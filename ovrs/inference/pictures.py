"""The overlay: an image under the colours of its map, with class outlines and a legend in readable type."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ovrs.inference.segmented import Labels, Segmented
from ovrs.inference.tables import format_area
from ovrs.pictures import Entry, Legend, Picture, hatch
from ovrs.sentence_pictures import headed

# Smaller images are enlarged to a longer side of this, so that the legend suits them [pixels].
_MIN_SIDE = 640
# How much of the class colour covers the image.
_OPACITY = 0.45
# A legend of more entries keeps the classes that cover most.
_MAX_ENTRIES = 48


def draw_overlay(segmentation: Segmented) -> Image.Image:
    """The picture: the blended map, and its legend at the right, or below a wide image."""
    scene = Image.fromarray(_blend(segmentation))
    return _legend_of(segmentation, max(scene.size)).beside(scene)


def draw_mask(segmentation: Segmented, sentence: str, note: str) -> Image.Image:
    """The picture of the first name alone over the image, a sentence above it and below that how much it covers and a note."""
    scene = Image.fromarray(_blend(segmentation, bare=1))
    share, areas = segmentation.shares()[segmentation.vocabulary.names[0]], segmentation.areas()
    facts = [f"{share:.1%} of the image", *([format_area(areas[sentence])] if areas is not None else []), note]
    if segmentation.place.synthetic:
        facts.append("synthetic scene")
    return headed(scene, sentence, "; ".join(facts), _type_size(max(scene.size)))


def _blend(segmentation: Segmented, bare: int | None = None) -> Picture:
    """uint8 [h, w, 3]: the image at the picture's size, covered by translucent class colours with outlines; nodata hatched.

    Of the class ``bare`` the image is seen as it is.
    """
    image, small = segmentation.preview
    scale = -(-_MIN_SIDE // max(image.shape[:2]))  # whole factors keep the steps of an enlarged map even
    size = (image.shape[1] * max(scale, 1), image.shape[0] * max(scale, 1))
    rgb = image if scale <= 1 else cv2.resize(image, size, interpolation=cv2.INTER_CUBIC)
    labels = np.asarray(cv2.resize(small, size, interpolation=cv2.INTER_NEAREST), dtype=small.dtype)
    valid = labels != segmentation.nodata
    colors = segmentation.vocabulary.palette[np.where(valid, labels, 0)]
    if bare is not None:
        colors[labels == bare] = rgb[labels == bare]
    picture = cv2.addWeighted(rgb, 1 - _OPACITY, colors, _OPACITY, 0)
    edges = _edges(labels, width=max(1, round(max(size) / 900)))
    picture[edges] = cv2.addWeighted(rgb, 0.1, colors, 0.9, 0)[edges]
    picture[~valid] = hatch(*valid.shape)[~valid]
    return np.asarray(picture, dtype=np.uint8)


def _edges(labels: Labels, width: int) -> NDArray[np.bool_]:
    """Where a class meets another, bool [h, w]: lines of ``width`` pixels on either side."""
    kernel = np.ones((2 * width + 1, 2 * width + 1), dtype=np.uint8)
    return np.asarray(cv2.dilate(labels, kernel) != cv2.erode(labels, kernel))


def _legend_of(segmentation: Segmented, side: int) -> Legend:
    """The legend of a map in a picture whose longer side is ``side`` pixels."""
    names, shares, palette = segmentation.vocabulary.names, segmentation.shares(), segmentation.vocabulary.palette
    kept = sorted(sorted(range(len(names)), key=lambda index: -shares[names[index]])[:_MAX_ENTRIES])
    entries = [Entry(names[i], f"{shares[names[i]]:.1%}", tuple(map(int, palette[i]))) for i in kept]  # type: ignore[arg-type]
    nodata = 1 - segmentation.valid_share
    if nodata > 0:
        entries.append(Entry("nodata", f"{nodata:.1%} of the image", None))
    left_out = len(names) - len(kept)
    remark = f"and {left_out} more classes that cover less" if left_out else ""
    title = segmentation.place.path.name if segmentation.place.path is not None else "image"
    subtitle = "synthetic scene" if segmentation.place.synthetic else ""
    return Legend(title, subtitle, tuple(entries), remark, _type_size(side))


def _type_size(side: int) -> int:
    """Of a picture whose longer side is so many pixels."""
    return int(np.clip(side / 42, 17, 64))
