"""Speckle filters against loops over pixels, and in pieces against whole."""

import numpy as np
import pytest

from ovrs.data.sar.encoding import SarEncoding
from ovrs.data.sar.speckle import SPECKLE_FILTERS, Speckle, half_windows
from ovrs.errors import InputError
from ovrs.inference.sar_options import SarOptions


@pytest.fixture
def power():
    """An edge between water and land under speckle of 3 looks, a bright ship and a few holes."""
    rng = np.random.default_rng(0)
    power = np.where(np.arange(21)[:, None] + np.arange(17) > 18, 0.2, 0.01) * rng.gamma(3.0, 1 / 3, (21, 17))
    power[4, 5] = 30.0
    power[10:12, 3:5] = np.nan
    power[0, 0] = power[20, 9] = np.nan
    return power.astype(np.float32)


def known_around(power, y, x, kernel):
    half = len(kernel) // 2
    return np.array(
        [
            power[j, i]
            for j in range(max(y - half, 0), min(y + half + 1, power.shape[0]))
            for i in range(max(x - half, 0), min(x + half + 1, power.shape[1]))
            if kernel[j - y + half, i - x + half] and not np.isnan(power[j, i])
        ],
        dtype=np.float64,
    )


def lee_of(pixel, values, looks):
    mean, variance = values.mean(), values.var()
    own = max(variance - mean**2 / looks, 0) / (1 + 1 / looks)
    return mean + (own / variance if variance > 0 else 0) * (pixel - mean)


def by_loop(power, one):
    out = np.full(power.shape, np.nan)
    for y, x in zip(*np.nonzero(~np.isnan(power)), strict=True):
        out[y, x] = one(y, x)
    return out


@pytest.mark.parametrize("window", [3, 7, 15])
def test_boxcar_is_the_mean_of_the_known_pixels(power, window):
    wanted = by_loop(power, lambda y, x: known_around(power, y, x, np.ones((window, window))).mean())
    assert np.allclose(Speckle("boxcar", window)(power), wanted, rtol=1e-5, equal_nan=True)


@pytest.mark.parametrize("looks", [1.0, 3.0])
def test_lee_weighs_mean_and_pixel(power, looks):
    wanted = by_loop(power, lambda y, x: lee_of(power[y, x], known_around(power, y, x, np.ones((5, 5))), looks))
    assert np.allclose(Speckle("lee", 5, looks)(power), wanted, rtol=1e-4, atol=1e-7, equal_nan=True)


def test_refined_lee_looks_along_the_edge_on_its_own_side(power):
    directions = [(0, -1), (-1, -1), (-1, 0), (-1, 1)]

    def mean(y, x, otherwise):
        inside = 0 <= y < power.shape[0] and 0 <= x < power.shape[1]
        values = known_around(power, y, x, np.ones((3, 3))) if inside else np.array([])
        return values.mean() if values.size else otherwise

    def one(y, x):
        middle = mean(y, x, np.nan)
        pairs = [(mean(y + 2 * b, x + 2 * a, middle), mean(y - 2 * b, x - 2 * a, middle)) for b, a in directions]
        best = int(np.argmax([abs(first - second) for first, second in pairs]))
        b, a = directions[best]
        first, second = pairs[best]
        sign = -1 if abs(second - middle) < abs(first - middle) else 1
        kernel = np.array([[sign * (j * b + i * a) >= 0 for i in range(-3, 4)] for j in range(-3, 4)])
        return lee_of(power[y, x], known_around(power, y, x, kernel), 3.0)

    assert np.allclose(Speckle("refined_lee", looks=3.0)(power), by_loop(power, one), rtol=1e-4, atol=1e-7, equal_nan=True)


def test_half_windows_hold_their_middle_line():
    assert [int(kernel.sum()) for kernel in half_windows()] == [28] * 8
    assert all(kernel[3, 3] for kernel in half_windows())


def test_none_leaves_everything_as_it_is(power):
    assert np.array_equal(Speckle()(power), power, equal_nan=True)


@pytest.mark.parametrize("name", SPECKLE_FILTERS)
def test_a_piece_with_a_margin_is_what_the_whole_is(power, name):
    speckle = Speckle(name, 5, 2.0)
    reach = speckle.reach
    piece = speckle(power[5 - reach : 14 + reach, 4 - reach : 12 + reach])[reach : reach + 9, reach : reach + 8]
    assert np.allclose(piece, speckle(power)[5:14, 4:12], rtol=1e-5, equal_nan=True)


def test_filters_calm_even_ground_and_keep_its_mean():
    flat = np.random.default_rng(1).gamma(4.0, 0.05 / 4, (64, 64)).astype(np.float32)
    for name in ("boxcar", "lee", "refined_lee"):
        calm = Speckle(name, 7, 4.0)(flat)
        assert calm.std() < 0.5 * flat.std(), name
        assert abs(calm.mean() / flat.mean() - 1) < 0.03, name


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "frost"}, "name is 'frost'; choose none, boxcar, lee, refined_lee"),
        *(({"window": window}, f"window is {window}; .* odd, of 3..63") for window in (1, 4, 65, 5.0, True)),
        *(({"looks": looks}, f"looks is {looks!r}; .* above 0") for looks in (0, -1.0, float("inf"), float("nan"), "4", True)),
    ],
)
def test_settings_that_cannot_work_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        Speckle(**{"name": "lee", **settings})


@pytest.mark.parametrize("read_as", [SarEncoding, SarOptions])
def test_eight_bits_say_too_little_for_a_filter_that_weighs(read_as):
    for name in ("lee", "refined_lee"):
        with pytest.raises(InputError, match=f"name is '{name}'; .*choose none or boxcar"):
            read_as("8bit", speckle=Speckle(name))
    for name in ("none", "boxcar"):
        assert read_as("8bit", speckle=Speckle(name)).speckle.name == name
