"""The blocks in which images and words of TSMNet meet, against NumPy references of their equations."""

import math

import numpy as np
import pytest
import torch
from block_checks import close, dead_parameters
from numpy_references import array, attention, gelu, layer_norm, linear
from parts import randomize
from torch import nn

from ovrs.errors import ConfigError
from ovrs.modeling.blocks.context_decoder import ContextDecoder
from ovrs.modeling.blocks.cross_attention import CrossAttention
from ovrs.modeling.blocks.scene_fusion import SceneFusion
from ovrs.modeling.blocks.text_prior import score_map, text_prior


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def lively(module):
    """The module with random values so large that every part of it shows in the result; in double precision."""
    with torch.no_grad():
        for parameter in randomize(module).parameters():
            parameter.mul_(4)
    return module.double()


def randn(*shape):
    return torch.randn(shape, dtype=torch.float64)


# ------------------------------------------------------------ cross-attention, as DenseCLIP has it


def test_cross_attention_without_biases_has_one_behind_it_alone():
    block = lively(CrossAttention(query_dim=5, context_dim=7, dim=8, heads=2, bias=False))
    assert [name for name, _ in block.named_parameters() if name.endswith("bias")] == ["proj.bias"]
    query, context = randn(2, 3, 5), randn(2, 4, 7)
    for b in range(2):
        close(block(query, context)[b], attention(block, array(query[b]), array(context[b])))


def test_cross_attention_drops_out_of_its_result_in_training_alone():
    block = lively(CrossAttention(query_dim=5, context_dim=7, dim=64, heads=2, dropout=0.5))
    query, context = randn(1, 4, 5), randn(1, 3, 7)
    dropped = block(query, context) == 0
    assert 80 < dropped.sum() < 176
    assert not (block.eval()(query, context) == 0).any()


# ------------------------------------------------------------ eqs. 5 and 6


def decoded(block, text, dense, pooled):
    """[N, E], [E, H, W] and [E] -> [N, E]."""
    seen = np.concatenate([pooled[None], dense.reshape(len(dense), -1).T])
    seen = layer_norm(block.visual[2], linear(block.visual[1], layer_norm(block.visual[0], seen)))
    words = linear(block.text[1], layer_norm(block.text[0], text))
    for layer in block.layers:
        normal = layer_norm(layer.self_norm, words)
        words = words + attention(layer.self_attn, normal, normal)
        words = words + attention(layer.cross_attn, layer_norm(layer.cross_norm, words), seen)
        words = words + linear(layer.mlp[3], gelu(linear(layer.mlp[0], layer_norm(layer.mlp_norm, words))))
    return text + array(block.gamma) * linear(block.out[1], layer_norm(block.out[0], words))


def scene(classes=4, dim=6, size=(3, 5)):
    return randn(2, classes, dim), randn(2, dim, *size), randn(2, dim)


def test_context_decoder_is_eqs_5_and_6_step_by_step():
    block = lively(ContextDecoder(embed_dim=6, dim=8, heads=2, layers=2)).eval()
    inputs = scene()
    found = block(*inputs)
    assert found.shape == inputs[0].shape
    for b in range(2):
        close(found[b], decoded(block, *(array(x[b]) for x in inputs)))


def test_words_are_those_of_the_text_tower_where_gamma_is_0_and_nearly_so_at_first():
    text, dense, pooled = scene()
    block = ContextDecoder(embed_dim=6, dim=8, heads=2).double().eval()
    assert block.gamma.tolist() == pytest.approx([1e-4] * 6)
    assert 0 < (block(text, dense, pooled) - text).abs().max() < 1e-3
    nn.init.zeros_(block.gamma)
    assert torch.equal(block(text, dense, pooled), text)


def test_words_take_in_the_image_and_know_no_order():
    block = lively(ContextDecoder(embed_dim=6, dim=8, heads=2)).eval()
    text, dense, pooled = scene()
    found = block(text, dense, pooled)
    order = torch.tensor([2, 0, 3, 1])
    close(block(text[:, order], dense, pooled), found[:, order])
    twice = block(torch.cat([text, text[:, :1]], dim=1), dense, pooled)
    close(twice[:, 0], twice[:, 4])
    for other in (block(text, dense + randn(6, 1, 1), pooled), block(text, dense, pooled + randn(6))):
        assert not torch.allclose(other, found, atol=1e-4)


def test_nothing_in_the_context_decoder_is_dead():
    block = ContextDecoder(embed_dim=6, dim=8, heads=2, layers=2, gamma=1.0)
    assert not dead_parameters(block, lambda block: [block(*scene())])
    as_built = ContextDecoder(embed_dim=6, dim=8, heads=2, layers=2).double()
    as_built(*scene()).square().sum().backward()
    assert all(parameter.grad.any() for parameter in as_built.parameters())  # behind a small gamma too


def test_the_context_decoder_has_the_published_size():
    with torch.device("meta"):
        block = ContextDecoder(embed_dim=512)
    attentions = 2 * (4 * 256**2 + 256)
    layer = attentions + 3 * 512 + 256 * 1025 + 1024 * 257 - 1024 + 1024
    around = (1024 + 512 * 256 + 256 + 512) + (1024 + 512 * 256 + 256) + (512 + 256 * 512 + 512)
    assert sum(p.numel() for p in block.parameters()) == around + 3 * layer + 512


# ------------------------------------------------------------ the description


def descriptions(count=3, length=5, dim=7):
    """Tokens of descriptions: one of three tokens, one that is not there, one of five."""
    mask = torch.ones(count, length, dtype=torch.bool)
    mask[0, 3:] = False
    mask[1] = False
    return randn(count, length, dim), mask


def test_scene_fusion_is_attention_of_places_to_tokens():
    block = lively(SceneFusion(dim=8, text_dim=7, heads=2))
    x, (tokens, mask) = randn(3, 8, 3, 5), descriptions()
    found = block(x, tokens, mask)
    assert found.shape == x.shape
    for b in (0, 2):
        places, words = array(x[b].flatten(1).T), array(tokens[b, mask[b]])
        read = attention(block.attn, layer_norm(block.norm, places), layer_norm(block.text_norm, words))
        close(found[b].flatten(1).T, places + read)


def test_an_image_without_a_description_comes_back_as_it_is():
    block = lively(SceneFusion(dim=8, text_dim=7, heads=2))
    x, (tokens, mask) = randn(3, 8, 3, 5).requires_grad_(), descriptions()
    found = block(x, tokens, mask)
    assert torch.equal(found[1], x[1])
    found[1].sum().backward()
    assert torch.equal(x.grad[1], torch.ones_like(x[1]))
    assert all(p.grad is not None and not p.grad.any() for p in block.parameters())
    nobody = torch.zeros_like(mask)
    assert torch.equal(block(x, tokens, nobody), x)


def test_tokens_that_are_not_there_never_matter_and_the_others_do():
    block = lively(SceneFusion(dim=8, text_dim=7, heads=2))
    x, (tokens, mask) = randn(3, 8, 3, 5), descriptions()
    before = block(x, tokens, mask)
    for value in (100.0, float("nan"), float("inf")):
        filled = tokens.masked_fill(~mask[:, :, None], value).requires_grad_()
        found = block(x, filled, mask)
        assert torch.equal(found, before)
        found.square().sum().backward()
        assert not filled.grad[~mask].any() and filled.grad.isfinite().all()
    assert all(parameter.grad.isfinite().all() for parameter in block.parameters())
    close(block(x[:1], tokens[:1, :3], mask[:1, :3]), before[:1])
    swapped = block(x, tokens.flip(0), mask.flip(0))
    assert not torch.allclose(swapped[0], before[0], atol=1e-3)


def test_places_read_different_tokens():
    block = lively(SceneFusion(dim=8, text_dim=7, heads=1))
    x, (tokens, mask) = randn(3, 8, 3, 5), descriptions()
    read = (block(x, tokens, mask) - x)[2].flatten(1)
    assert (read - read[:, :1]).abs().max() > 0.1  # one vector for the whole description would give one residual everywhere
    seen = block.attn.k(block.text_norm(tokens[2])) @ block.attn.q(block.norm(x[2].flatten(1).T)).T
    shares = (seen / math.sqrt(8)).softmax(dim=0)
    assert shares.max() - shares.min() > 0.2
    same = tokens[:, :1].expand_as(tokens)
    read = (block(x, same, mask) - x)[2].flatten(1)
    close(read, read[:, :1].expand_as(read))


def test_nothing_in_scene_fusion_is_dead():
    tokens, mask = descriptions()
    block = SceneFusion(dim=8, text_dim=7, heads=2)
    assert not dead_parameters(block, lambda block: [block(randn(3, 8, 3, 5), tokens, mask)])


def test_heads_must_divide_the_channels():
    with pytest.raises(ConfigError, match="10 channels cannot be cut into 4 heads"):
        SceneFusion(dim=10, text_dim=7, heads=4)
    with pytest.raises(ConfigError, match="10 channels cannot be cut into 4 heads"):
        ContextDecoder(embed_dim=6, dim=10, heads=4)


# ------------------------------------------------------------ eq. 7 and the prior


def test_score_map_is_the_cosine_of_every_place_and_class():
    features, text = torch.randn(2, 6, 3, 5), torch.randn(2, 4, 6)
    found = score_map(features, text)
    assert found.shape == (2, 4, 3, 5)
    z, t = array(features), array(text)
    for b, k, h, w in np.ndindex(2, 4, 3, 5):
        expected = z[b, :, h, w] @ t[b, k] / np.linalg.norm(z[b, :, h, w]) / np.linalg.norm(t[b, k])
        assert found[b, k, h, w].item() == pytest.approx(expected, abs=1e-6)
    close(score_map(3 * features, 0.1 * text), found)


def test_text_prior_weighs_words_by_what_a_place_is_likely_to_be():
    scores, text = torch.rand(2, 4, 3, 5), torch.randn(2, 4, 6)
    found = text_prior(scores, text, temperature=0.2)
    s, t = array(scores), array(text)
    for b, h, w in np.ndindex(2, 3, 5):
        weights = np.exp(s[b, :, h, w] / 0.2)
        close(found[b, :, h, w].double(), weights @ t[b] / weights.sum())


@pytest.mark.parametrize("classes", [1, 2, 9])
def test_text_prior_has_the_channels_of_words_however_many_there_are_and_in_any_order(classes):
    scores, text = torch.rand(2, classes, 3, 5), torch.randn(2, classes, 6)
    found = text_prior(scores, text)
    assert found.shape == (2, 6, 3, 5)
    order = torch.randperm(classes)
    close(text_prior(scores[:, order], text[:, order]), found)


def test_a_place_that_is_sure_has_the_words_of_its_class():
    text = torch.randn(1, 3, 6)
    scores = torch.tensor([-1.0, 1.0, -1.0]).view(1, 3, 1, 1)
    close(text_prior(scores, text)[0, :, 0, 0], text[0, 1], 1e-4)


def test_words_in_mixed_precision_answer_as_in_single():
    decoder, fusion = ContextDecoder(embed_dim=6, dim=8, heads=2, gamma=1.0).eval(), SceneFusion(dim=6, text_dim=7, heads=2)
    text, dense, pooled = (x.float() for x in scene())
    tokens, mask = descriptions()

    def run():
        words = decoder(text, dense, pooled)
        scores = score_map(dense, words)
        return scores, text_prior(scores, words), fusion(dense, tokens[:2].float(), mask[:2])

    expected = run()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = run()
    for one, other in zip(found, expected, strict=True):
        close(one.float(), other, 0.1)
