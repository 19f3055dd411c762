"""Weights of encoders that are rounded once instead of at every call."""

import copy

import pytest
import torch
from parts import tiny_aeroseg

from ovrs.vocabulary import Vocabulary

WORDS = Vocabulary.parse("ship,bridge,water")


def rounded(model):
    other = copy.deepcopy(model)
    other.round_encoders()
    return other


@pytest.mark.parametrize("guidance", ["sam", "clip"])
def test_scores_are_equal_to_the_bit(guidance):
    model = tiny_aeroseg(guidance=guidance, precision="bf16").eval()
    image = torch.rand(1, 3, 40, 48) * 255
    with torch.no_grad():
        assert torch.equal(rounded(model).scores(image, WORDS), model.scores(image, WORDS))


def test_products_are_rounded_and_norms_positions_words_and_heads_are_not():
    model = rounded(tiny_aeroseg(precision="bf16"))
    half = {name for name, parameter in model.named_parameters() if parameter.dtype == torch.bfloat16}
    kept = {name for name, parameter in model.named_parameters()} - half
    assert all(name.startswith(("vision_language.visual.", "guidance_encoder.")) for name in half)
    assert {"vision_language.visual.transformer.resblocks.0.attn.q_proj_weight", "vision_language.visual.conv1.weight"} <= half
    assert {"guidance_encoder.encoder.blocks.1.attn.qkv.weight", "guidance_encoder.encoder.blocks.1.mlp.lin1.bias"} <= half
    norms = [name for name in kept if ".norm1." in name or "ln_" in name]
    assert norms and any("pos_embed" in name for name in kept) and any("rel_pos" in name for name in kept)
    assert not any(parameter.requires_grad for name, parameter in model.named_parameters() if name in half)


def test_single_precision_is_left_alone():
    model = tiny_aeroseg()
    before = copy.deepcopy(model.state_dict())
    model.round_encoders()
    after = model.state_dict()
    assert all(torch.equal(after[name], value) and after[name].dtype == value.dtype for name, value in before.items())
