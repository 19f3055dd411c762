"""The two readings of RS-ZeroSeg's alignment loss against plain NumPy, and what neither may depend on."""

import numpy as np
import pytest
import torch

from ovrs.modeling.alignment_loss import image_alignment_loss, pool_regions, region_alignment_loss


def target():
    """Two images of 4 x 4: classes 0 and 2 with some pixels ignored, then class 1 alone."""
    labels = torch.full((2, 4, 4), 255)
    labels[0, :2], labels[0, 2, 1], labels[1] = 0, 2, 1
    return labels


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def test_the_image_is_compared_with_the_mean_word_of_the_classes_it_holds():
    pooled, text = torch.randn(2, 6), torch.randn(4, 6)
    words = unit(text.numpy())
    expected = [1 - unit(pooled[0].numpy()) @ unit((words[0] + words[2]) / 2), 1 - unit(pooled[1].numpy()) @ words[1]]
    assert image_alignment_loss(pooled, text, target()).item() == pytest.approx(np.mean(expected), rel=1e-5)


def test_regions_are_averages_over_the_pixels_of_each_class():
    features = torch.randn(2, 5, 4, 4)
    regions = pool_regions(features, target(), 4)
    for b in range(2):
        for n in range(4):
            pixels = features[b].numpy()[:, target()[b].numpy() == n]
            expected = pixels.mean(axis=1) if pixels.size else np.zeros(5)
            np.testing.assert_allclose(regions[b, n].numpy(), expected, rtol=1e-5, atol=1e-6)


def test_on_a_coarser_grid_a_place_counts_by_its_share_of_pixels():
    features = torch.randn(1, 3, 2, 2)
    labels = torch.zeros(1, 4, 4, dtype=torch.long)
    labels[0, 0, 0] = 1  # a quarter of the first place
    first = features[0, :, 0, 0]
    regions = pool_regions(features, labels, 2)[0]
    torch.testing.assert_close(regions[1], first)
    torch.testing.assert_close(regions[0], (0.75 * first + features[0].flatten(1)[:, 1:].sum(1)) / 3.75)


def test_each_region_is_contrasted_with_the_words_of_all_classes():
    regions, text = torch.randn(2, 4, 6), torch.randn(4, 6)
    total = 0.0
    for b, n in ((0, 0), (0, 2), (1, 1)):
        scores = unit(text.numpy()) @ unit(regions[b, n].numpy()) / 0.5
        total -= scores[n] - np.log(np.exp(scores).sum())
    assert region_alignment_loss(regions, text, target(), temperature=0.5).item() == pytest.approx(total / 3, rel=1e-5)


@pytest.mark.parametrize("loss", [image_alignment_loss, region_alignment_loss])
def test_gradients_reach_the_features_and_stop_at_the_words(loss):
    visual = torch.randn(2, 6) if loss is image_alignment_loss else torch.randn(2, 4, 6)
    text = torch.randn(4, 6, requires_grad=True)
    visual.requires_grad_()
    loss(visual, text, target()).backward()
    assert visual.grad.isfinite().all() and visual.grad.any() and text.grad is None
    visual.grad = None
    nothing = loss(visual, text, torch.full((2, 4, 4), 255))
    nothing.backward()
    assert nothing.item() == 0 and not visual.grad.any()


@pytest.mark.parametrize("loss", [image_alignment_loss, region_alignment_loss])
def test_neither_knows_an_order_of_classes_nor_the_lengths_of_vectors(loss):
    visual = torch.randn(2, 6) if loss is image_alignment_loss else torch.randn(2, 4, 6)
    text, order = torch.randn(4, 6), torch.tensor([2, 0, 3, 1])
    labels = torch.full((2, 4, 4), 255)
    for new, old in enumerate(order.tolist()):
        labels[target() == old] = new
    moved = visual if loss is image_alignment_loss else visual[:, order]
    expected = loss(visual, text, target())
    torch.testing.assert_close(loss(moved, text[order], labels), expected)
    torch.testing.assert_close(loss(3 * visual, text * (0.5 + torch.rand(4, 1)), target()), expected)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_mixed_precision_changes_neither_sums_over_many_places_nor_the_losses(dtype):
    features, text = 20 + torch.randn(1, 6, 96, 96), torch.randn(3, 6)
    labels = torch.zeros(1, 96, 96, dtype=torch.long)  # 20 * 9000 is beyond half precision
    labels[:, :10] = 2

    def found():
        regions = pool_regions(features, labels, 3)
        yield regions
        yield region_alignment_loss(regions, text, labels)
        yield image_alignment_loss(features.mean(dim=(2, 3)), text, labels)

    expected = list(found())
    with torch.autocast("cpu", dtype=dtype):
        for value, exact in zip(found(), expected, strict=True):
            assert value.dtype == torch.float32
            torch.testing.assert_close(value, exact, rtol=1e-5, atol=1e-5)
