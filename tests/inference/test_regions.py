"""Regions of a map: the same whatever the strips, exact areas, and neighbours that stay neighbours when simplified."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

shapely = pytest.importorskip("shapely")
from rasterio.features import rasterize  # noqa: E402

from ovrs.inference.regions import regions  # noqa: E402


def blotches(seed=0, size=(150, 120), classes=4):
    draw = np.random.default_rng(seed)
    fields = [cv2.GaussianBlur(draw.random(size).astype(np.float32), (0, 0), 5) for _ in range(classes)]
    labels = np.argmax(fields, axis=0).astype(np.uint8)
    labels[draw.random(size) < 0.01] = 2
    labels[40:60, 30:50] = 255
    return labels, draw.random(size).astype(np.float32)


def found(labels, confidence, rows, **options):
    strips = ((top, labels[top : top + rows], confidence[top : top + rows]) for top in range(0, len(labels), rows))
    return list(regions(strips, 255, options.pop("area", 1.0), **options))


def canonical(found):
    return sorted((r.label, r.pixels, round(r.confidence, 6), shapely.normalize(r.outline).wkt) for r in found)


@pytest.mark.parametrize("rows", [1, 7, 32, 149])
def test_strips_leave_no_seam(rows):
    labels, confidence = blotches()
    whole = found(labels, confidence, 1000)
    assert canonical(found(labels, confidence, rows)) == canonical(whole)


@pytest.mark.parametrize("rows", [16, 1000])
def test_outlines_cover_their_pixels_and_no_others(rows):
    labels, confidence = blotches(1)
    parts = found(labels, confidence, rows)
    drawn = rasterize([(part.outline, part.label) for part in parts], labels.shape, fill=255, dtype=np.uint8)
    assert np.array_equal(drawn, labels)
    for value in range(4):
        of_class = [part for part in parts if part.label == value]
        assert sum(part.pixels for part in of_class) == (labels == value).sum()
        assert sum(part.outline.area for part in of_class) == pytest.approx((labels == value).sum(), rel=1e-12)
        weighted = sum(part.confidence * part.pixels for part in of_class)
        assert weighted == pytest.approx(confidence[labels == value].astype(np.float64).sum())
    assert all(part.outline.is_valid and part.outline.geom_type == "Polygon" for part in parts)


@pytest.mark.parametrize("rows", [50, 1000])
def test_simplified_neighbours_share_their_borders(rows):
    labels, confidence = blotches(2)
    plain, simple = found(labels, confidence, rows), found(labels, confidence, rows, tolerance=2.0)
    outlines = [part.outline for part in simple]
    assert sum(map(shapely.get_num_coordinates, outlines)) < 0.6 * sum(shapely.get_num_coordinates(p.outline) for p in plain)
    covered = shapely.union_all(outlines)
    nodata = shapely.box(30, 40, 50, 60)
    image = shapely.box(0, 0, 120, 150)
    # No gaps and no overlaps: the pieces add up to the image but for the hole.
    assert sum(outline.area for outline in outlines) == pytest.approx(covered.area, abs=1e-6)
    assert covered.symmetric_difference(image.difference(nodata)).area < 0.02 * nodata.area
    assert all(outline.is_valid for outline in outlines)


def test_small_regions_are_left_out_whole_not_cut_by_strips():
    labels = np.zeros((40, 40), np.uint8)
    labels[8:12, 3:5] = 1  # 8 pixels, over two strips of ten
    labels[30, 30] = 1
    confidence = np.ones((40, 40), np.float32)
    assert [r.pixels for r in found(labels, confidence, 10, least=8) if r.label == 1] == [8]
    assert [r.pixels for r in found(labels, confidence, 10, least=9) if r.label == 1] == []


def test_a_map_without_a_class_has_no_region():
    assert found(np.full((9, 9), 255, np.uint8), np.full((9, 9), np.nan, np.float32), 4) == []
