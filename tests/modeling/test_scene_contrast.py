"""Symmetric InfoNCE of scenes and their descriptions: against a loop, with images that have none, and over processes."""

import math
import multiprocessing

import numpy as np
import pytest
import torch
from block_checks import close, dead_parameters
from contrast_process import batch, take_part
from parts import randomize

from ovrs.modeling.blocks.contrastive import SceneContrast, info_nce


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def unit(*shape):
    return torch.nn.functional.normalize(torch.randn(shape), dim=-1)


def levels(count, dims=(4, 6)):
    return [torch.randn(count, dim, 4 // (i + 1), 6 // (i + 1)) for i, dim in enumerate(dims)]


def all_of(count):
    return torch.ones(count, dtype=torch.bool)


# ------------------------------------------------------------ eq. 10


def test_info_nce_is_the_mean_of_both_directions_by_loops():
    image, text = unit(5, 8), unit(5, 8)
    cosines = (image @ text.T).double().numpy() / 0.07
    terms = []
    for i in range(5):
        terms.append(-cosines[i, i] + math.log(sum(math.exp(cosines[i, j]) for j in range(5))))
        terms.append(-cosines[i, i] + math.log(sum(math.exp(cosines[j, i]) for j in range(5))))
    assert info_nce(image, text, torch.tensor(1 / 0.07)).item() == pytest.approx(np.mean(terms), rel=1e-5)


@pytest.mark.parametrize("count", [1, 2, 10])
def test_info_nce_of_what_is_not_alike_at_all_is_log_of_the_batch(count):
    image = torch.eye(2 * count)[:count]
    text = torch.eye(2 * count)[count:]
    assert info_nce(image, text, torch.tensor(50.0)).item() == pytest.approx(math.log(count), abs=1e-6)


def test_info_nce_falls_where_pairs_are_alike_and_is_0_of_nothing():
    image = torch.eye(6)
    assert info_nce(image, image, torch.tensor(20.0)) < 1e-5
    assert info_nce(image, image.roll(1, 0), torch.tensor(20.0)).item() == pytest.approx(20, abs=1e-4)
    nothing = torch.zeros(0, 6, requires_grad=True)
    loss = info_nce(nothing, nothing, torch.tensor(20.0))
    loss.backward()
    assert loss.item() == 0 and nothing.grad.shape == (0, 6)


# ------------------------------------------------------------ levels and descriptions


def test_contrast_is_the_mean_over_levels_of_projected_averages():
    block = randomize(SceneContrast(dims=[4, 6], text_dim=5, dim=8))
    maps, text = levels(3), torch.randn(3, 5)
    words = torch.nn.functional.normalize(block.text(text), dim=1)
    losses = []
    for project, level in zip(block.images, maps, strict=True):
        image = torch.nn.functional.normalize(project(level.flatten(2).mean(dim=2)), dim=1)
        losses.append(info_nce(image, words, block.logit_scale.exp()))
    close(block(maps, text, all_of(3)), torch.stack(losses).mean())
    assert losses[0] != losses[1]


def test_an_image_without_a_description_is_left_out_and_its_words_never_matter():
    block = randomize(SceneContrast(dims=[4, 6], text_dim=5, dim=8))
    maps, text = levels(4), torch.randn(4, 5)
    described = torch.tensor([True, False, True, True])
    expected = block([level[described] for level in maps], text[described], all_of(3))
    text[1] = float("nan")
    inputs = [level.clone().requires_grad_() for level in maps]
    loss = block(inputs, text, described)
    close(loss, expected)
    loss.backward()
    assert all(not x.grad[1].any() and x.grad[0].any() for x in inputs)
    assert all(p.grad.isfinite().all() for p in block.parameters())


@pytest.mark.parametrize("described", [[False, False], [True, False]])
def test_fewer_than_two_descriptions_give_0_and_gradients_of_0(described):
    block = SceneContrast(dims=[4, 6], text_dim=5, dim=8)
    loss = block(levels(2), torch.randn(2, 5), torch.tensor(described))
    loss.backward()
    assert loss.item() == 0
    assert all(p.grad is not None and not p.grad.any() for p in block.parameters())


def test_the_scale_starts_at_the_temperature_learns_and_has_a_limit():
    block = SceneContrast(dims=[4, 6], text_dim=5, dim=8, temperature=0.1, max_scale=12)
    assert block.logit_scale.exp().item() == pytest.approx(10)
    maps, text = levels(3), torch.randn(3, 5)
    block(maps, text, all_of(3)).backward()
    assert block.logit_scale.grad != 0
    found = []
    for scale in (12.0, 1000.0):
        block.logit_scale.data.fill_(math.log(scale))
        found.append(block(maps, text, all_of(3)))
    close(*found)


def test_nothing_in_contrast_is_dead():
    block = SceneContrast(dims=[4, 6], text_dim=5, dim=8)
    text = torch.randn(4, 5).double()
    assert not dead_parameters(block, lambda block: [block([x.double() for x in levels(4)], text, all_of(4))])


def test_contrast_in_mixed_precision_answers_as_in_single():
    block = SceneContrast(dims=[4, 6], text_dim=5, dim=8)
    maps, text = levels(4), torch.randn(4, 5)
    expected = block(maps, text, all_of(4))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = block(maps, text, all_of(4))
    assert found.dtype == torch.float32
    close(found, expected, 0.1)


# ------------------------------------------------------------ over processes


def test_two_processes_contrast_as_one(tmp_path):
    block, maps, text, described = batch()
    alone = block(maps, text, described)
    alone.backward()
    other = multiprocessing.get_context("forkserver").Process(target=take_part, args=(1, tmp_path / "meeting"))
    other.start()
    loss, gradients = take_part(0, tmp_path / "meeting")
    other.join(100)
    assert other.exitcode == 0
    close(loss, alone)
    for name, parameter in block.named_parameters():
        close(gradients[name], parameter.grad, 1e-6)
