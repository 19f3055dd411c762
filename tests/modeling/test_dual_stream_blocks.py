"""The blocks of RS-ZeroSeg against plain NumPy references of their equations, and every shortcut against the long way."""

import numpy as np
import pytest
import torch
from numpy_references import array, attention, gelu, linear
from parts import randomize

from ovrs.errors import ConfigError
from ovrs.modeling.blocks.category_head import CategoryAdaptiveHead, CosineHead, GatedDecoderHead
from ovrs.modeling.blocks.cross_attention import CrossAttention
from ovrs.modeling.blocks.dual_stream import DualStreamFusion, Streams
from ovrs.modeling.blocks.multi_scale_alignment import MultiScaleAlignment, StreamAlignment
from ovrs.modeling.blocks.resizing import resize_features
from ovrs.modeling.blocks.text_gate import TextGate


def close(a, b, tolerance=1e-5):
    torch.testing.assert_close(torch.as_tensor(a), torch.as_tensor(b), rtol=tolerance, atol=tolerance)


def pointwise(layer, x):
    """A 1x1 convolution of [C, H, W] by hand."""
    return np.einsum("oc,chw->ohw", array(layer.weight)[:, :, 0, 0], x) + array(layer.bias)[:, None, None]


def three_by_three(layer, x):
    """A 3x3 convolution of [C, H, W] with zeros around, by hand."""
    weight, (height, width) = array(layer.weight), x.shape[1:]
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
    result = np.zeros((len(weight), height, width)) + array(layer.bias)[:, None, None]
    for row in range(3):
        for column in range(3):
            moved = padded[:, row : row + height, column : column + width]
            result += np.einsum("oc,chw->ohw", weight[:, :, row, column], moved)
    return result


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_cross_attention_is_the_softmax_of_scaled_products_by_loops():
    block = randomize(CrossAttention(query_dim=5, context_dim=7, dim=8, heads=2))
    query, context = torch.randn(2, 3, 5), torch.randn(2, 4, 7)
    found = block(query, context)
    assert found.shape == (2, 3, 8)
    for b in range(2):
        close(found[b].double(), attention(block, array(query[b]), array(context[b])))


def test_masked_tokens_of_the_context_never_matter():
    block = randomize(CrossAttention(query_dim=8, context_dim=8, dim=8, heads=2))
    query, context = torch.randn(2, 3, 8), torch.randn(2, 5, 8)
    mask = torch.tensor([[True, True, False, True, False], [True] * 5])
    expected = block(query, context, mask=mask)
    close(block(query[:1], context[:1, mask[0]]), expected[:1])
    context[~mask] = 100.0
    close(block(query, context, mask=mask), expected)


def test_heads_must_divide_the_channels():
    with pytest.raises(ConfigError, match="10 channels cannot be cut into 4 heads"):
        CrossAttention(query_dim=8, context_dim=8, dim=10, heads=4)


@pytest.mark.parametrize("grid", [(4, 6), (8, 12), (3, 5), (2, 3)])
def test_fusion_is_two_projections_concatenated_and_convolved_on_the_grid_of_the_first(grid):
    fusion = randomize(DualStreamFusion(vision_dim=5, remote_dim=7, dim=6))
    vision, remote = torch.randn(2, 5, 4, 6), torch.randn(2, 7, *grid)
    streams = fusion(vision, remote)
    assert streams.fused.shape == (2, 6, 4, 6) and streams.remote.shape == (2, 6, *grid)
    for b in range(2):
        first, second = pointwise(fusion.vision, array(vision[b])), pointwise(fusion.remote, array(remote[b]))
        close(streams.vision[b].double(), first)
        close(streams.remote[b].double(), second)
        second = array(resize_features(torch.from_numpy(second)[None], (4, 6))[0])
        close(streams.fused[b].double(), three_by_three(fusion.conv, np.concatenate([first, second])), 1e-4)


def test_features_are_averaged_onto_a_coarser_grid_and_bilinear_on_a_finer_one():
    x = torch.randn(1, 2, 4, 6)
    close(resize_features(x, (2, 3)), x.unflatten(2, (2, 2)).unflatten(4, (3, 2)).mean((3, 5)))
    close(resize_features(x, (8, 12)), torch.nn.functional.interpolate(x, scale_factor=2, mode="bilinear"))
    assert resize_features(x, (4, 6)) is x


def layer_norm(norm, x):
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + norm.eps)
    return x * array(norm.weight) + array(norm.bias)


@pytest.mark.parametrize("grid", [(3, 2), (6, 4)])
def test_one_scale_is_what_the_vision_stream_reads_in_the_other_added_to_it(grid):
    block = randomize(StreamAlignment(dim=8, heads=2))
    vision, remote = torch.randn(1, 8, 3, 2), torch.randn(1, 8, *grid)
    query, context = array(vision[0]).reshape(8, -1).T, array(remote[0]).reshape(8, -1).T
    read = attention(block.attn, layer_norm(block.vision_norm, query), layer_norm(block.remote_norm, context))
    close(block(vision, remote)[0].double(), (query + read).T.reshape(8, 3, 2))


def streams(batch=2, dim=16, size=(6, 4), remote=(12, 8)):
    return Streams(torch.randn(batch, dim, *size), torch.randn(batch, dim, *remote), torch.randn(batch, dim, *size))


def test_three_scales_are_twice_the_grid_the_grid_and_half_of_it_and_the_result_four_times_it():
    block = MultiScaleAlignment(dim=16, out_dim=32, heads=4, scales=(2, 1, 0.5))
    given = streams()
    assert [tuple(x.shape[-2:]) for x in block.align(given)] == [(12, 8), (6, 4), (3, 2)]
    assert block(given).shape == (2, 32, 24, 16)
    assert [tuple(x.shape[-2:]) for x in block.align(streams(size=(5, 3)))] == [(10, 6), (5, 3), (3, 2)]
    assert block(streams(size=(5, 3), remote=(7, 2))).shape == (2, 32, 20, 12)
    assert block(streams(size=(1, 1), remote=(1, 1))).shape == (2, 32, 4, 4)


@pytest.mark.parametrize("scales", [(), (1,), (2, 1, 0.5)])
def test_the_fused_map_reaches_the_aggregation_whatever_the_scales(scales):
    block = randomize(MultiScaleAlignment(dim=16, out_dim=16, heads=4, scales=scales))
    given = streams()
    for x in (given.vision, given.remote, given.fused):
        x.requires_grad_()
    block(given).square().sum().backward()
    assert given.fused.grad.abs().sum() > 0
    assert (given.vision.grad is not None) == (given.remote.grad is not None) == bool(scales)
    for name, parameter in block.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all() and parameter.grad.any(), name


def gate(scale=3.0, bias=-0.5):
    block = randomize(TextGate(text_dim=6, feature_dim=16, dim=8))
    with torch.no_grad():
        block.scale.fill_(scale)
        block.bias.fill_(bias)
    return block


def gates_by_hand(block, features, text):
    """[C, H, W], [N, T] -> [N, H, W]."""
    projected, words = pointwise(block.features, features), linear(block.text, text)
    cosine = np.einsum("nd,dhw->nhw", words, projected)
    cosine /= np.linalg.norm(words, axis=1)[:, None, None] * np.linalg.norm(projected, axis=0)
    return sigmoid(array(block.scale) * cosine + array(block.bias))


def test_in_the_words_own_space_the_gate_starts_with_the_words_as_they_are():
    words = torch.randn(4, 8)
    assert torch.equal(TextGate(text_dim=8, feature_dim=16, dim=8).text(words), words)
    assert TextGate(text_dim=8, feature_dim=16, dim=6).text(words).shape == (4, 6)


def test_the_gate_is_the_sigmoid_of_a_scaled_cosine():
    block, features, text = gate(), torch.randn(2, 16, 3, 5), torch.randn(2, 4, 6)
    found = block(features, text)
    assert found.shape == (2, 4, 3, 5) and found.min() > 0 and found.max() < 1
    for b in range(2):
        close(found[b].double(), gates_by_hand(block, array(features[b]), array(text[b])))


def test_the_head_projects_features_times_gate():
    head = randomize(CategoryAdaptiveHead(gate=gate(), dim=16, hidden=4))
    features, text = torch.randn(2, 16, 4, 4), torch.randn(3, 6)
    logits = head(features, text)
    for b in range(2):
        for n, weight in enumerate(gates_by_hand(head.gate, array(features[b]), array(text))):
            hidden = gelu(three_by_three(head.proj[0], array(features[b]) * weight))
            close(logits[b, n].double(), pointwise(head.proj[2], hidden)[0], 1e-4)


HEADS = [
    CategoryAdaptiveHead(gate=gate(), dim=16, hidden=4),
    CosineHead(gate=gate()),
    GatedDecoderHead.build(gate=gate(), dim=16, kernel=3, dims=[16, 16], guidance_dims=[4, 4], attention=True),
]


@pytest.mark.parametrize("head", HEADS, ids=lambda head: type(head).__name__)
def test_every_head_takes_any_vocabulary_and_size_and_knows_no_order_of_classes(head):
    randomize(head)
    for size, classes in (((8, 4), 5), ((4, 12), 1)):
        features, text = torch.randn(2, 16, *size), torch.randn(classes, 6)
        order = torch.randperm(classes)
        with torch.no_grad():
            logits = head(features, text)
            assert logits.shape == (2, classes, *size)
            close(head(features, text[order]), logits[:, order])
            close(head(features[1:], text), logits[1:])
            for chunk in (1, 2, 7):
                close(head(features, text, chunk=chunk), logits, 1e-6)
    doubled = head(torch.randn(1, 16, 8, 8), torch.randn(1, 6).expand(2, -1))
    close(doubled[:, 0], doubled[:, 1])


@pytest.mark.parametrize("head", HEADS, ids=lambda head: type(head).__name__)
def test_every_parameter_of_a_head_learns(head):
    randomize(head)
    features, text = torch.randn(2, 16, 8, 4, requires_grad=True), torch.randn(3, 6, requires_grad=True)
    head(features, text).square().sum().backward()
    for name, value in (("features", features), ("text", text), *head.named_parameters()):
        assert value.grad is not None and value.grad.isfinite().all() and value.grad.any(), name


def test_no_more_than_a_chunk_of_gated_features_stands_in_memory():
    head = CategoryAdaptiveHead(gate=gate(), dim=16, hidden=4)
    seen = []
    head.proj.register_forward_pre_hook(lambda _, args: seen.append(len(args[0])))
    with torch.no_grad():
        head(torch.randn(1, 16, 4, 4), torch.randn(50, 6), chunk=8)
    assert max(seen) == 8 and sum(seen) == 50
