"""The blocks that make a stage of MAFN aware of words, against NumPy references of their equations and against the long way."""

import math

import numpy as np
import pytest
import torch
from block_checks import close, dead_parameters, with_statistics
from parts import randomize
from torch import nn

from ovrs.errors import ConfigError
from ovrs.modeling.blocks.channel_intensification import ChannelIntensification
from ovrs.modeling.blocks.correlation_fusion import CorrelationFusion
from ovrs.modeling.blocks.feature_gate import FeatureGate
from ovrs.modeling.blocks.local_correlation import LocalCorrelation
from ovrs.modeling.blocks.visual_integration import RepBlock, VisualIntegration
from ovrs.modeling.blocks.window_fusion import WindowFusion, WindowGmlp
from ovrs.modeling.blocks.word_attention import WordAttention


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def array(x):
    return x.detach().numpy().astype(np.float64)


def sentences(count=2, length=5, dim=6):
    """Tokens, and a mask that leaves two of them out of the first sentence."""
    mask = torch.ones(count, length, dtype=torch.bool)
    mask[0, 3:] = False
    return torch.randn(count, length, dim), mask


# ------------------------------------------------------------ the two branches


def test_gate_is_two_maps_of_the_channels_with_relu_and_tanh():
    block = randomize(FeatureGate(dim=6))
    x = torch.randn(2, 6, 3, 5)
    first, second = (array(layer.weight)[:, :, 0, 0] for layer in (block.first, block.second))
    for b in range(2):
        hidden = np.maximum(np.einsum("oc,chw->ohw", first, array(x[b])), 0)
        close(block(x)[b].double(), np.tanh(np.einsum("oc,chw->ohw", second, hidden)) * array(x[b]))


@pytest.mark.parametrize("dim", [1, 3])
def test_rep_block_out_of_training_is_one_convolution_equal_to_its_branches(dim):
    block = with_statistics(randomize(RepBlock(dim=dim))).eval()
    x = torch.randn(2, dim, 4, 7)
    close(block(x), block.wide_norm(block.wide(x)) + block.point(x) + block.identity_norm(x))


def test_rep_block_learns_with_the_statistics_of_its_batch():
    block = RepBlock().train()
    x = 3 + torch.randn(2, 1, 4, 7)
    trained = block(x)
    assert block.identity_norm.running_mean.item() != 0
    close(trained.mean(), block.point(x).mean())  # both norms are of mean 0


def test_visual_integration_weighs_places_by_the_mean_of_their_channels():
    block = with_statistics(randomize(VisualIntegration())).eval()
    x = torch.randn(2, 5, 4, 3)
    found = block(x)
    weights = found / x
    close(weights, weights[:, :1].expand_as(weights), 1e-4)  # one weight a place
    assert 0 < weights.min() < weights.max() < 1
    shuffled = x[:, torch.randperm(5)]
    close(block(shuffled) / shuffled, weights, 1e-4)  # which the order of the channels does not change


def word_attention(block, visual, words):
    """[C, H*W] and the [L, T] words of a sentence, one place at a time."""
    weight = {name: array(p).squeeze() for name, p in block.named_parameters()}

    def norm(x):
        return (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 1e-5)

    def gelu(x):
        return x * (1 + np.vectorize(math.erf)(x / math.sqrt(2))) / 2

    query, keys, values = norm(weight["q.weight"] @ visual), words @ weight["k.weight"].T, words @ weight["v.weight"].T
    size = len(visual) // block.heads
    read = np.zeros_like(query)
    for head in range(block.heads):
        part = slice(head * size, (head + 1) * size)
        for place in range(visual.shape[1]):
            weights = np.exp(keys[:, part] @ query[part, place] / np.sqrt(size))
            read[part, place] = weights @ values[:, part] / weights.sum()
    seen = gelu(weight["visual.weight"] @ visual + weight["visual.bias"][:, None])
    return gelu(weight["proj.weight"] @ (norm(weight["out.weight"] @ read) * seen) + weight["proj.bias"][:, None])


@pytest.mark.parametrize("heads", [1, 2])
def test_word_attention_is_eq_8_place_by_place(heads):
    block = randomize(WordAttention(dim=8, text_dim=6, heads=heads))
    visual, (words, mask) = torch.randn(2, 8, 3, 4), sentences()
    found = block(visual, words, mask)
    for b in range(2):
        expected = word_attention(block, array(visual[b].flatten(1)), array(words[b, mask[b]]))
        close(found[b].flatten(1).double(), expected, 1e-4)


def test_word_attention_of_one_place_is_finite():
    block = WordAttention(dim=4, text_dim=6).train()
    assert block(torch.randn(1, 4, 1, 1), *sentences(1)).isfinite().all()


def test_heads_must_divide_the_channels():
    with pytest.raises(ConfigError, match="word attention of 10 channels cannot be cut into 4 heads"):
        WordAttention(dim=10, text_dim=6, heads=4)


# ------------------------------------------------------------ the fusion of the two


def test_local_correlation_is_a_loop_over_places_and_offsets():
    one, other = torch.randn(2, 4, 5, 3), torch.randn(2, 4, 5, 3)
    found = LocalCorrelation(radius=2)(one, other)
    assert found.shape == (2, 25, 5, 3)
    x, y = array(one), array(other)
    for place in np.ndindex(2, 5, 5, 5, 3):
        b, row, column, h, w = place
        to_h, to_w = h + row - 2, w + column - 2
        inside = 0 <= to_h < 5 and 0 <= to_w < 3
        expected = (x[b, :, h, w] * y[b, :, to_h, to_w]).mean() if inside else 0.0
        assert found[b, 5 * row + column, h, w].item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("shift", [(a, b) for a in (-1, 0, 1) for b in (-1, 0, 1)])
def test_a_shifted_map_correlates_most_in_the_channel_of_its_shift(shift):
    one = torch.randn(1, 64, 7, 9)
    other = one.roll(shift, dims=(2, 3))
    inner = LocalCorrelation()(one, other)[0, :, 1:-1, 1:-1]
    assert (inner.argmax(dim=0) == 3 * (shift[0] + 1) + shift[1] + 1).all()


@pytest.mark.parametrize("size", [(6, 9), (7, 5), (2, 4)])
def test_window_gmlp_is_a_loop_over_windows(size):
    block = randomize(WindowGmlp(dim=4, window=3))
    x = torch.randn(2, *size, 4)
    padded = torch.zeros(2, -(-size[0] // 3) * 3, -(-size[1] // 3) * 3, 4)
    padded[:, : size[0], : size[1]] = x
    expected = padded.clone()
    for row in range(0, padded.shape[1], 3):
        for column in range(0, padded.shape[2], 3):
            window = padded[:, row : row + 3, column : column + 3].reshape(2, 9, 4)
            u, v = nn.functional.gelu(block.expand(block.norm(window))).split(4, dim=2)
            mixed = torch.einsum("pq,bqc->bpc", block.mix.weight, block.gate_norm(v)) + block.mix.bias[:, None]
            expected[:, row : row + 3, column : column + 3] += block.proj(u * (mixed + 1)).reshape(2, 3, 3, 4)
    close(block(x), expected[:, : size[0], : size[1]])


def test_window_fusion_weighs_its_windows_channel_by_channel():
    block = randomize(WindowFusion(dim=8, windows=(3, 5)))
    x = torch.randn(2, 8, 7, 4)
    normal = block.norm(x.permute(0, 2, 3, 1))
    three, five = (window(normal) for window in block.windows)
    scores = block.weigh.mlp((three + five).mean(dim=(1, 2)))
    share = (scores[:, :8] - scores[:, 8:]).sigmoid()[:, None, None]  # a softmax of two
    close(block(x), x + block.proj(share * three + (1 - share) * five).permute(0, 3, 1, 2))


def test_one_window_has_nothing_to_weigh_and_none_is_refused():
    assert not dead_parameters(WindowFusion(dim=8, windows=(3,)), lambda block: [block(torch.randn(2, 8, 5, 6).double())])
    with pytest.raises(ConfigError, match=r"windows of side 2 or more, got \[\]"):
        WindowFusion(dim=8, windows=())


def test_channel_intensification_weighs_channels_beside_the_identity():
    block = randomize(ChannelIntensification(dim=8))
    x = torch.randn(2, 8, 4, 5)
    normal = (x - x.mean(1, keepdim=True)) / (x.var(1, keepdim=True, unbiased=False) + 1e-5).sqrt()
    normal = normal * block.norm.weight[:, None, None] + block.norm.bias[:, None, None]
    hidden = block.conv_1(normal)
    hidden = block.conv_2(torch.where(hidden > 0, hidden, 0.2 * hidden))
    weight = block.attention.excite(block.attention.squeeze(hidden.mean((2, 3), keepdim=True)).relu()).sigmoid()
    close(block(x), x + weight * hidden)


# ------------------------------------------------------------ CFM


@pytest.mark.parametrize("correlation", [True, False])
@pytest.mark.parametrize("decoder_input", ["fused", "lang"])
@pytest.mark.parametrize("last", [True, False])
def test_nothing_in_a_stage_is_dead(decoder_input, last, correlation):
    block = CorrelationFusion(dim=16, text_dim=6, decoder_input=decoder_input, last=last, correlation=correlation)
    words, mask = sentences()

    def run(block):
        stage = block(torch.randn(2, 16, 5, 7).double(), words.double(), mask)
        assert stage.lateral.shape == (2, 16, 5, 7)
        assert (stage.onward is None) == (last and decoder_input == "lang")
        return [stage.lateral] if last else [stage.onward, stage.lateral]  # after the last stage comes the decoder alone

    assert dead_parameters(block, run) == []


def test_what_the_last_stage_of_the_published_size_is_spared():
    with torch.device("meta"):
        fused, lang = (
            CorrelationFusion(dim=1024, text_dim=768, decoder_input=decoder_input, last=True)
            for decoder_input in ("fused", "lang")
        )
    size = [sum(p.numel() for p in block.parameters()) for block in (fused, lang)]
    assert round((size[0] - size[1]) / 1e6, 1) == 54.1  # parameters that get no gradient where they are built all the same


def test_the_decoder_reads_what_it_is_said_to_read():
    x, (words, mask) = torch.randn(2, 8, 5, 7), sentences()
    fused = CorrelationFusion(dim=8, text_dim=6).eval()
    lang = CorrelationFusion(dim=8, text_dim=6, decoder_input="lang").eval()
    lang.load_state_dict(fused.state_dict())
    language = fused.word_attention(x, words, mask)
    close(fused(x, words, mask).onward, x + fused.fuse(x, language))
    close(fused(x, words, mask).lateral, fused.norm(fused(x, words, mask).onward.permute(0, 2, 3, 1)).permute(0, 3, 1, 2))
    close(lang(x, words, mask).lateral, fused.norm(language.permute(0, 2, 3, 1)).permute(0, 3, 1, 2))
    close(lang(x, words, mask).onward, fused(x, words, mask).onward)
    with pytest.raises(ConfigError, match="input is 'text'; choose fused or lang"):
        CorrelationFusion(dim=8, text_dim=6, decoder_input="text")


def test_without_correlation_the_gated_branches_are_added():
    block = CorrelationFusion(dim=8, text_dim=6, correlation=False).eval()
    x, language = torch.randn(2, 8, 5, 7), torch.randn(2, 8, 5, 7)
    close(block.fuse(x, language), block.visual_gate(block.visual_integration(x)) + block.language_gate(language))


@pytest.mark.parametrize("decoder_input", ["fused", "lang"])
def test_masked_tokens_never_matter_and_the_others_do(decoder_input):
    block = randomize(CorrelationFusion(dim=8, text_dim=6, decoder_input=decoder_input)).eval()
    x, (words, mask) = torch.randn(2, 8, 5, 7), sentences()
    before = block(x, words, mask)
    changed = block(x, words.masked_fill(~mask[:, :, None], 100.0), mask)
    assert torch.equal(changed.onward, before.onward) and torch.equal(changed.lateral, before.lateral)
    alone = block(x[:1], words[:1, :3], mask[:1, :3])  # as if there were no padding at all
    close(alone.onward, before.onward[:1])
    spoken = block(x, torch.cat([words[:, :2] + 1, words[:, 2:]], dim=1), mask)
    assert not torch.allclose(spoken.lateral, before.lateral, atol=1e-3)


@pytest.mark.parametrize("training", [True, False])
def test_a_stage_in_mixed_precision_answers_as_in_single(training):
    block = CorrelationFusion(dim=16, text_dim=6).train(training)
    x, (words, mask) = torch.randn(2, 16, 5, 7), sentences()
    expected = block(x, words, mask)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = block(x, words, mask)
    close(found.onward.float(), expected.onward, 0.05)
    found.lateral.float().square().sum().backward()
    assert all(p.grad.isfinite().all() for p in block.parameters())
