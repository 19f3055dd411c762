"""Ground areas: against the areas of degree cells on the ellipsoid, and the same for polygons as for the whole map."""

from __future__ import annotations

import math

import numpy as np
import pytest
from affine import Affine
from rasterio.crs import CRS

from ovrs.inference.ground import ground_area, ground_areas
from ovrs.inference.rasters import place_of
from ovrs.inference.segmented import Coverage

DEGREES, MERCATOR, UTM = (CRS.from_epsg(code) for code in (4326, 3857, 32631))
A, E2 = 6_378_137.0, 0.006_694_379_990_14


def cell(south: float, north: float, wide: float) -> float:
    """Area between two parallels over so many degrees of longitude, from the closed formula of the ellipsoid."""

    def quadrant(latitude: float) -> float:
        e, s = math.sqrt(E2), math.sin(math.radians(latitude))
        return (1 - E2) * (s / (2 * (1 - E2 * s * s)) + math.log((1 + e * s) / (1 - e * s)) / (4 * e))

    return A * A * math.radians(wide) * (quadrant(north) - quadrant(south))


def test_the_areas_of_a_tall_scene_in_degrees_are_those_of_its_parallels() -> None:
    transform = Affine(0.01, 0, 4.0, 0, -0.01, 60.0)
    areas = ground_areas(DEGREES, transform, 30, 1000)
    assert areas is not None
    for top in (0, 137, 500, 990):
        rows = areas.window(top, 0, 10, 30).sum()
        assert rows == pytest.approx(cell(60 - (top + 10) / 100, 60 - top / 100, 0.3), rel=2e-4)
    assert areas.window(500, 7, 1, 1)[0, 0] == pytest.approx(ground_area(DEGREES, transform, 30, 1000), rel=1e-3)


def test_a_mercator_scene_shrinks_towards_the_pole_and_a_turned_one_does_too() -> None:
    straight = Affine(10, 0, 0, 0, -10, 6_600_000)
    turned = straight @ Affine.rotation(90)
    areas, other = (ground_areas(MERCATOR, transform, 500, 20_000) for transform in (straight, turned))
    assert areas is not None and other is not None
    column = areas.window(0, 250, 20_000, 1)[:, 0]
    # On the sphere of Web Mercator a pixel's area goes with the squared cosine of its latitude, 1 / cosh(y / radius).
    assert (np.diff(column) > 0).all()
    assert column[-1] / column[0] == pytest.approx((math.cosh(6.6e6 / A) / math.cosh(6.4e6 / A)) ** 2, rel=1e-3)
    assert np.ptp(other.window(0, 0, 1, 500)) > np.ptp(other.window(0, 0, 500, 1))


def test_pixels_of_a_true_projection_count_alike() -> None:
    transform = Affine(0.5, 0, 5e5, 0, -0.5, 5e6)
    assert ground_areas(UTM, transform, 1000, 1000) is None and ground_area(UTM, transform, 1000, 1000) == 0.25


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (40, 1), (64, 65), (200, 66)])
def test_windows_put_together_are_the_whole(size: tuple[int, int]) -> None:
    areas = ground_areas(DEGREES, Affine(0.02, 0, -179.9, 0, -0.02, 51), size[1], size[0])
    assert areas is not None
    whole = areas.window(0, 0, *size)
    row, column = size[0] // 2, size[1] // 3
    assert np.allclose(whole[row:, column:], areas.window(row, column, size[0] - row, size[1] - column), rtol=1e-12)
    assert np.allclose(whole[0], cell(50.98, 51, 0.02), rtol=2e-4)


def test_a_scene_across_the_antimeridian_or_beyond_the_pole_has_areas() -> None:
    across = ground_areas(DEGREES, Affine(0.1, 0, 179.55, 0, -0.1, 0.5), 10, 10)
    assert across is not None and np.allclose(across.window(0, 0, 10, 10), cell(-0.05, 0.05, 0.1), rtol=1e-3)
    polar = ground_areas(DEGREES, Affine(1, 0, 0, 0, -1, 95), 10, 20)
    assert polar is not None and np.isfinite(polar.window(0, 0, 20, 10)).all()


def test_what_a_class_covers_is_the_sum_of_its_own_pixels() -> None:
    place = place_of(900, 40, DEGREES, Affine(0.002, 0, 10, 0, -0.002, 51.9), None)
    labels = np.ones((900, 40), dtype=np.uint8)
    labels[:90] = 0
    coverage = Coverage(2, place.pixel_areas)
    for top in range(0, 900, 256):
        piece = labels[top : top + 256]
        coverage.add(piece, np.ones(piece.shape, np.float32), top)
    assert coverage.square_metres[0] == pytest.approx(cell(51.72, 51.9, 0.08), rel=1e-4)
    assert coverage.square_metres.sum() == pytest.approx(cell(50.1, 51.9, 0.08), rel=1e-4)
    # Every pixel as large as the one in the middle would be out by 1.8 per cent.
    assert coverage.pixels[0] * place.pixel_area == pytest.approx(cell(51.72, 51.9, 0.08) * 1.018, rel=2e-3)
