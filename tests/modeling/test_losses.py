import math

import numpy as np
import pytest
import torch

from ovrs.modeling.losses import alignment_loss, image_level_loss, segmentation_loss, semantic_loss


@pytest.mark.parametrize("ignored", ["negative", "mask"])
@pytest.mark.parametrize("reduction", ["mean", "class_sum"])
def test_segmentation_loss_is_equation_12_by_loops(ignored, reduction):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 4, 5, generator=generator)
    target = torch.randint(0, 3, (2, 4, 5), generator=generator)
    target[0, :2] = 255
    total, pixels = 0.0, 0
    for b in range(2):
        for y in range(4):
            for x in range(5):
                if target[b, y, x] == 255 and ignored == "mask":
                    continue
                pixels += 1
                for n in range(3):
                    score = 1 / (1 + math.exp(-logits[b, n, y, x].item()))
                    total -= math.log(score) if target[b, y, x] == n else math.log(1 - score)
    expected = total / pixels / (3 if reduction == "mean" else 1)
    assert segmentation_loss(logits, target, ignored=ignored, reduction=reduction).item() == pytest.approx(expected, rel=1e-5)


def test_the_two_policies_differ_on_an_image_that_is_all_ignored():
    logits, target = torch.zeros(1, 3, 4, 4, requires_grad=True), torch.full((1, 4, 4), 255)
    assert segmentation_loss(logits, target, ignored="negative").item() == pytest.approx(math.log(2), rel=1e-6)
    masked = segmentation_loss(logits, target, ignored="mask")
    masked.backward()
    assert masked.item() == 0 and logits.grad is not None and not logits.grad.any()


def test_logits_are_enlarged_bilinearly_to_the_target():
    logits, target = torch.randn(1, 2, 2, 2), torch.randint(0, 2, (1, 8, 8))
    large = torch.nn.functional.interpolate(logits, size=(8, 8), mode="bilinear")
    assert segmentation_loss(logits, target).item() == pytest.approx(segmentation_loss(large, target).item(), rel=1e-6)


def test_semantic_loss_is_the_squared_error_and_stops_at_the_target():
    psi, aim = torch.randn(2, 3, 3, 4, requires_grad=True), torch.randn(2, 3, 3, 4, requires_grad=True)
    error = (psi.detach().numpy() - aim.detach().numpy()) ** 2
    assert semantic_loss(psi, aim).item() == pytest.approx(float(np.mean(error)), rel=1e-5)
    assert semantic_loss(psi, aim, reduction="sum").item() == pytest.approx(float(np.sum(error)) / 2, rel=1e-5)
    semantic_loss(psi, aim).backward()
    assert psi.grad is not None and aim.grad is None


def test_alignment_loss_is_the_cross_entropy_with_each_patch_s_share_of_classes():
    cost, target = torch.randn(1, 2, 3, 1, 2), torch.full((1, 2, 4), 255)
    target[0, :, :2] = torch.tensor([[0, 0], [0, 2]])  # the right patch carries no label
    scores = cost[0].mean(0)[:, 0, 0] * 5
    log_share = scores - torch.logsumexp(scores, 0)
    expected = -(0.75 * log_share[0] + 0.25 * log_share[2])
    assert alignment_loss(cost, target, torch.tensor(5.0)).item() == pytest.approx(expected.item(), rel=1e-5)
    assert alignment_loss(cost, torch.full_like(target, 255), torch.tensor(5.0)).item() == 0


def test_image_level_loss_is_the_sigmoid_contrast_of_soft_maxima_by_loops():
    generator = torch.Generator().manual_seed(0)
    cost = torch.rand(2, 2, 3, 2, 2, generator=generator)
    target = torch.full((2, 4, 4), 255)
    target[0, :2], target[0, 3, 3], target[1, :, 0] = 0, 2, 1  # class 2 covers 1/16 of the first image
    total = 0.0
    for b in range(2):
        for n in range(3):
            share = (target[b] == n).float().mean().item()
            if 0 < share < 0.1:
                continue  # too little to be said to be there, or to be absent
            patches = [5 * cost[b, :, n, y, x].mean().item() for y in range(2) for x in range(2)]
            score = math.log(sum(math.exp(patch) for patch in patches) / 4) - 1.5
            truth = 1 / (1 + math.exp(-score))
            total -= math.log(truth) if share else math.log(1 - truth)
    found = image_level_loss(cost, target, torch.tensor(5.0), torch.tensor(-1.5), min_share=0.1)
    assert found.item() == pytest.approx(total / 2, rel=1e-5)


def test_image_level_loss_knows_what_an_image_holds_and_not_where():
    cost = torch.rand(1, 1, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    target = torch.randint(0, 2, (1, 8, 8), generator=torch.Generator().manual_seed(1))
    arguments = torch.tensor(5.0), torch.tensor(-1.0)
    moved = target.flatten()[torch.randperm(64, generator=torch.Generator().manual_seed(2))].view(1, 8, 8)
    assert torch.equal(image_level_loss(cost, target, *arguments), image_level_loss(cost, moved, *arguments))
    assert not torch.equal(image_level_loss(cost, target, *arguments), image_level_loss(cost, target + 1, *arguments))
