"""The collar found strip by strip is the one found in the whole image."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from ovrs.inference.collar import Collar
from ovrs.inference.nodata import border_black


def noisy(seed, height=157, width=143):
    """A bright image with a rotated dark frame, dark blobs, bridges one pixel wide and a nearly black fringe."""
    draw = np.random.default_rng(seed)
    blobs = cv2.GaussianBlur(draw.random((height, width)).astype(np.float32), (0, 0), draw.uniform(1, 6))
    image = np.where(blobs < np.quantile(blobs, draw.uniform(0.1, 0.6)), 0, draw.integers(1, 255, (height, width)))
    fringe = cv2.dilate((image == 0).astype(np.uint8), np.ones((5, 5))) > 0
    image[fringe & (image > 0)] = draw.integers(1, 12, (height, width))[fringe & (image > 0)]
    return image.astype(np.uint8)


@pytest.mark.parametrize("strip", [1, 7, 64, 1000])
@pytest.mark.parametrize("seed", range(6))
def test_the_collar_is_that_of_the_whole_image(seed, strip):
    image = noisy(seed)
    expected = border_black(np.repeat(image[..., None], 3, axis=2))
    collar = Collar(lambda top, bottom: image[top:bottom], *image.shape, strip=strip)
    assert collar.empty == (not expected.any())
    for rows in (157, 50, 3):
        found = [collar.rows(top, min(top + rows, 157)) for top in range(0, 157, rows)]
        assert np.array_equal(np.concatenate(found), expected)


def test_a_spiral_that_winds_through_many_strips_is_one_component():
    image = np.full((60, 60), 200, np.uint8)
    for ring in range(0, 28, 4):
        image[ring, ring : 60 - ring] = image[ring : 60 - ring, 59 - ring] = 0
        image[59 - ring, ring : 60 - ring] = image[ring + 4 : 60 - ring, ring] = 0
        image[ring + 4, ring : ring + 5] = 0
    expected = border_black(np.repeat(image[..., None], 3, axis=2))
    assert expected[30, 24] or expected.sum() > 1000
    collar = Collar(lambda top, bottom: image[top:bottom], 60, 60, strip=5)
    assert np.array_equal(collar.rows(0, 60), expected)
