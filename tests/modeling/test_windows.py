from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ovrs.modeling.windows import pad_to_multiple, window_starts, window_weights


@settings(deadline=None)  # how fast is another matter
@given(st.integers(1, 300), st.integers(1, 64), st.floats(0, 0.9))
def test_windows_cover_everything_and_their_weights_sum_to_one(length, window, overlap):
    starts = window_starts(length, window, overlap)
    weights = window_weights(length, window, starts)
    total = torch.zeros(length)
    for start, row in zip(starts, weights, strict=True):
        assert start >= 0 and start + len(row) <= length
        total[start : start + len(row)] += row
    assert torch.allclose(total, torch.ones(length), atol=1e-6)
    assert (weights > 0).all()
    for before, after in pairwise(starts):
        assert after - before <= max(int(window * (1 - overlap)), 1)


@pytest.mark.parametrize("shape", [(3, 5, 7), (2, 3, 5, 7), (3, 8, 8)])
def test_padding_repeats_the_last_row_and_column(shape):
    image = torch.randn(*shape)
    padded = pad_to_multiple(image, 8)
    assert padded.shape[-2:] == (8, 8)
    assert torch.equal(padded[..., : shape[-2], : shape[-1]], image)
    assert torch.equal(padded[..., -1, -1], image[..., -1, -1])
