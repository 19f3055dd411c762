"""Adaptive noise against the published arithmetic, one pixel with its two keys at a time."""

import pytest
import torch
from torch import nn

from ovrs.errors import ConfigError
from ovrs.modeling.blocks.adaptive_noise import AdaptiveNoise


def random_noise(dim=16, heads=4):
    torch.manual_seed(0)
    block = AdaptiveNoise(dim=dim, heads=heads).double()
    for parameter in block.parameters():
        nn.init.normal_(parameter, std=0.5)
    return block


def published(block):
    """The published layer with the same weights, and a bias of the keys that should not matter."""
    dim = block.query.in_features
    attention = nn.MultiheadAttention(dim, block.heads).double()
    with torch.no_grad():
        attention.in_proj_weight.copy_(torch.cat([block.query.weight, block.key.weight, block.value.weight]))
        attention.in_proj_bias.copy_(torch.cat([block.query.bias, torch.randn(dim).double(), block.value.bias]))
        attention.out_proj.load_state_dict(block.projection.state_dict())
    return attention


@torch.no_grad()
def test_every_pixel_attends_to_its_two_keys_as_eqs_2_to_5_say():
    block = random_noise()
    attention = published(block)
    x = torch.randn(2, 3, 5, 16).double()
    expected = torch.empty_like(x)
    for image in range(2):
        for row in range(3):
            for column in range(5):
                pixel = x[image, row, column]
                keys = torch.stack([pixel + block.key_noise, pixel * block.discriminator(pixel)])
                values = torch.stack([pixel + block.value_noise, pixel])
                expected[image, row, column] = pixel + attention(pixel[None], keys, values)[0][0]
    assert (block(x) - expected).abs().max() < 1e-12 < (block(x) - x).abs().max()


@torch.no_grad()
def test_no_pixel_knows_another_one():
    block = random_noise()
    x = torch.randn(2, 30, 16).double()  # in single precision matrix products differ with their size
    order = torch.randperm(30)
    assert torch.allclose(block(x[:, order]), block(x)[:, order], rtol=0, atol=1e-12)
    alone = torch.stack([block(pixel) for pixel in x.flatten(0, 1)]).view(2, 30, 16)
    assert torch.allclose(block(x), alone, rtol=0, atol=1e-12)


def test_from_the_identity_nothing_changes_until_it_has_learnt():
    torch.manual_seed(0)
    block = AdaptiveNoise(dim=16, start="identity")
    x = torch.randn(1, 4, 4, 16)
    assert torch.equal(block(x), x)
    block(x).square().sum().backward()
    assert block.projection.weight.grad.abs().max() > 0
    published_start = AdaptiveNoise(dim=256)
    assert not torch.equal(AdaptiveNoise(dim=16)(x), x)
    assert published_start.key_noise.std().item() == pytest.approx(1, abs=0.15)
    assert published_start.projection.weight.std().item() == pytest.approx(0.02, rel=0.1)


def test_every_parameter_learns():
    block = random_noise()
    block(torch.randn(1, 6, 16).double()).square().sum().backward()
    gradients = {name: parameter.grad for name, parameter in block.named_parameters()}
    assert all(torch.isfinite(gradient).all() and gradient.abs().max() > 1e-9 for gradient in gradients.values())


def test_sizes_and_starts_that_cannot_be_are_refused():
    with pytest.raises(ConfigError, match="12 channels: 8 heads"):
        AdaptiveNoise(dim=12)
    with pytest.raises(ConfigError, match="'zero'; choose published or identity"):
        AdaptiveNoise(dim=16, start="zero")
