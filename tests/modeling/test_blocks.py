"""Every block against a plain loop or NumPy reference of its equation, and every shortcut against the long way."""

import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from parts import randomize

from ovrs.modeling.attention import attend
from ovrs.modeling.blocks.back_projection import SemanticBackProjection
from ovrs.modeling.blocks.class_refinement import ClassRefinement
from ovrs.modeling.blocks.classes import map_classes
from ovrs.modeling.blocks.cost_volume import CostEmbedding, best_matching, cost_volume, rotation_ensemble
from ovrs.modeling.blocks.guidance_projection import GuidanceProjection, resize_nearest
from ovrs.modeling.blocks.spatial_refinement import GuidedWindowAttention, SpatialRefinement
from ovrs.modeling.blocks.upsampling import AttentionAwareUpsampling, UpsamplingDecoder


def close(a, b, tolerance=1e-5):
    torch.testing.assert_close(torch.as_tensor(a), torch.as_tensor(b), rtol=tolerance, atol=tolerance)


# ---------------------------------------------------------------- cost volume


def test_cost_volume_is_the_cosine_of_equation_3_with_channel_rotation_times_p_plus_prompt():
    dense, text = torch.randn(2, 3, 5, 2, 4), torch.randn(4, 2, 5)
    cost = cost_volume(dense, text)
    assert cost.shape == (2, 6, 4, 2, 4)
    for b, r, p, n, y, x in itertools.product(range(2), range(3), range(2), range(4), range(2), range(4)):
        v, t = dense[b, r, :, y, x].numpy(), text[n, p].numpy()
        assert cost[b, r * 2 + p, n, y, x] == pytest.approx(v @ t / np.linalg.norm(v) / np.linalg.norm(t), abs=1e-5)


@pytest.mark.parametrize("size", [(6, 6), (4, 6)])
@pytest.mark.parametrize("turns", [(0,), (0, 1, 2, 3), (0, 3), (1, 2)])
def test_rotation_ensemble_equals_one_call_per_rotation(size, turns):
    conv = torch.nn.Conv2d(3, 4, 2, stride=2)
    images = torch.randn(2, 3, *size)
    calls = []

    def encode(views):
        calls.append(len(views))
        return conv(views), conv(views) * 2

    ensemble, (other,) = rotation_ensemble(encode, images, turns)
    for index, k in enumerate(turns):
        close(ensemble[:, index], torch.rot90(conv(torch.rot90(images, k, (2, 3))), -k, (2, 3)))
    close(other, 2 * conv(torch.rot90(images, turns[0], (2, 3))))
    assert len(calls) == (1 if size[0] == size[1] or len({k % 2 for k in turns}) == 1 else 2)


@pytest.mark.parametrize("size", [(6, 6), (4, 6)])
def test_a_quarter_turn_of_the_image_turns_the_cost_volume_and_shifts_its_rotation_axis(size):
    conv = torch.nn.Conv2d(3, 5, 2, stride=2)
    images, text = torch.randn(1, 3, *size), torch.randn(4, 2, 5)

    def volume(x):
        ensemble, _ = rotation_ensemble(lambda views: (conv(views),), x, (0, 1, 2, 3))
        return cost_volume(ensemble, text).unflatten(1, (4, 2))

    turned = volume(torch.rot90(images, 1, (2, 3)))
    # Reading the turned image in rotation r is reading the image in rotation r + 1.
    close(turned, torch.rot90(volume(images).roll(-1, dims=1), 1, (-2, -1)))


def test_cost_embedding_convolves_each_class_alone_in_chunks_or_not():
    embedding = CostEmbedding(channels=6, dim=8, kernel=3)
    cost = torch.randn(2, 6, 5, 4, 4)
    with torch.no_grad():
        phi = embedding(cost)
        close(phi, embedding(cost, chunk=2))
        for n in range(5):
            close(phi[:, n], embedding.conv(cost[:, :, n]).permute(0, 2, 3, 1))


def test_best_matching_takes_the_highest_peaks_of_each_image():
    cost = torch.zeros(2, 3, 6, 2, 2)
    cost[0, 1, 4, 0, 1], cost[0, 2, 1, 1, 1], cost[1, 0, 5, 0, 0], cost[1, 0, 0, 0, 0] = 0.9, 0.5, 0.8, 0.1
    assert [set(row.tolist()) for row in best_matching(cost, 2)] == [{4, 1}, {5, 0}]


# --------------------------------------------------------- spatial refinement


@pytest.mark.parametrize(
    ("size", "window", "shift"), [((4, 4), 2, 0), ((4, 4), 2, 1), ((5, 7), 3, 1), ((2, 6), 3, 1), ((3, 3), 4, 2)]
)
def test_window_attention_equals_full_attention_where_a_pair_of_patches_shares_a_shifted_window(size, window, shift):
    height, width = size
    attention = randomize(GuidedWindowAttention(dim=8, guidance_dim=6, heads=2, window=window, shift=shift))
    x, guidance = torch.randn(2, 3, height, width, 8), torch.randn(2, 1, height, width, 6)
    both = torch.cat([x, guidance.expand(-1, 3, -1, -1, -1)], dim=-1).flatten(2, 3)
    heads = [
        layer(part).unflatten(-1, (2, 4)).transpose(2, 3)
        for layer, part in ((attention.q, both), (attention.k, both), (attention.v, x.flatten(2, 3)))
    ]

    def window_of(position, length):
        if length <= window:
            return 0
        # Shifted windows: the first is only what is left of the shift.
        return (position - shift) // window

    places = [(window_of(y, height), window_of(column, width)) for y in range(height) for column in range(width)]
    together = torch.tensor([[a == b for b in places] for a in places])
    weights = (heads[0] @ heads[1].transpose(-1, -2) / 2).masked_fill(~together, float("-inf")).softmax(-1)
    expected = attention.proj((weights @ heads[2]).transpose(2, 3).flatten(-2)).unflatten(2, size)
    close(attention(x, guidance), expected)


def test_spatial_refinement_keeps_classes_apart_and_chunks_change_nothing():
    block = randomize(SpatialRefinement(dim=8, guidance_dim=6, heads=2, window=2))
    phi, guidance = torch.randn(2, 5, 4, 4, 8), torch.randn(2, 6, 4, 4)
    with torch.no_grad():
        whole = block(phi, guidance)
        close(whole, block(phi, guidance, chunk=2))
        for n in range(5):
            close(whole[:, n : n + 1], block(phi[:, n : n + 1], guidance))


def test_attention_in_double_precision_is_computed_in_it():
    query, key, value = (torch.randn(1, 2, 5, 4, dtype=torch.float64, requires_grad=True) for _ in range(3))
    expected = (query @ key.mT / 2).softmax(-1) @ value
    assert (attend(query, key, value) - expected).abs().max() < 1e-14


def test_attention_in_half_precision_keeps_its_type_and_its_gradient():
    parts = [torch.randn(1, 2, 3, 4, dtype=torch.bfloat16, requires_grad=True) for _ in range(3)]
    out = attend(*parts)
    out.sum().backward()
    assert out.dtype == torch.bfloat16 and all(part.grad is not None for part in parts)
    close(out.float(), F.scaled_dot_product_attention(*(part.float() for part in parts)), 2e-2)


# ----------------------------------------------------------- class refinement


def linear_attention_reference(block, phi, text):
    """Eq. 6 by loops over patches, classes and heads, padding tokens spelled out."""
    batch, classes, height, width, _ = phi.shape
    extra = max(block.padding - classes, 0)
    out = torch.empty_like(phi)
    for b, y, x in itertools.product(range(batch), range(height), range(width)):
        tokens, words = phi[b, :, y, x], text[b]
        if extra:
            tokens = torch.cat([tokens, block.padding_tokens[0].expand(extra, -1)])
            words = torch.cat([words, block.padding_guidance[0].expand(extra, -1)])
        normed = block.norm1(tokens)
        both = torch.cat([normed, words], dim=-1)
        query, key, value = F.elu(block.q(both)) + 1, F.elu(block.k(both)) + 1, block.v(normed)
        mixed = []
        for q, k, v in zip(*(part.chunk(block.heads, dim=-1) for part in (query, key, value)), strict=True):
            weights = q @ k.T
            mixed.append(weights @ v / (weights.sum(-1, keepdim=True) + 1e-6))
        tokens = tokens + torch.cat(mixed, dim=-1)
        tokens = tokens + block.mlp(block.norm2(tokens))
        out[b, :, y, x] = phi[b, :, y, x] + tokens[:classes]
    return out


@pytest.mark.parametrize("padding", [0, 3, 9])
def test_class_refinement_is_linear_attention_over_classes(padding):
    block = randomize(ClassRefinement(dim=8, text_dim=6, heads=2, padding=padding))
    phi, text = torch.randn(2, 4, 2, 3, 8), torch.randn(2, 4, 6)
    with torch.no_grad():
        close(block(phi, text), linear_attention_reference(block, phi, text))


@pytest.mark.parametrize("pooling", [1, 2])
@pytest.mark.parametrize("size", [(4, 4), (5, 3)])
def test_folded_padding_equals_unfolded_and_loads_the_same_weights(pooling, size):
    unfolded = randomize(ClassRefinement(dim=16, text_dim=6, heads=4, padding=256, fold=False))
    folded = ClassRefinement(dim=16, text_dim=6, heads=4, padding=256, fold=True)
    folded.load_state_dict(unfolded.state_dict())
    phi, text = torch.randn(2, 7, *size, 16), torch.randn(2, 7, 6)
    with torch.no_grad():
        reference = unfolded(phi, text, pooling=pooling)
        close(folded(phi, text, pooling=pooling), reference)
        close(folded(phi, text, pooling=pooling, chunk=3), reference)
    close(folded(phi, text, pooling=pooling), reference)  # with gradients another way through the code


def test_class_refinement_follows_the_order_of_classes():
    block = randomize(ClassRefinement(dim=8, text_dim=6, heads=2, padding=9))
    phi, text, order = torch.randn(1, 5, 2, 2, 8), torch.randn(1, 5, 6), torch.randperm(5)
    with torch.no_grad():
        close(block(phi[:, order], text[:, order]), block(phi, text)[:, order])


# -------------------------------------------------------- decoder and guidance


def test_attention_aware_upsampling_is_equations_8_to_11_with_the_class_mean_taken_after_upsampling():
    stage = randomize(AttentionAwareUpsampling(channels=12, dim=16, guidance_dim=4))
    x, guidance = torch.randn(2, 3, 12, 3, 5), torch.randn(2, 4, 6, 10)
    large = torch.stack([stage.up(x[:, n]) for n in range(3)], dim=1)
    average = large.mean(dim=1)
    pooled_space, pooled_channels = average.mean(dim=(2, 3)), average.mean(dim=1)
    by_channel = torch.einsum("gc,bc->bg", stage.channel_weight.weight[:, :, 0, 0], pooled_space) + stage.channel_weight.bias
    by_place = stage.spatial_weight.weight[0, 0, 0, 0] * pooled_channels + stage.spatial_weight.bias
    weighted = by_channel[:, :, None, None] * guidance + by_place[:, None] * guidance + guidance
    expected = torch.stack([stage.conv(torch.cat([large[:, n], weighted], dim=1)) for n in range(3)], dim=1)
    close(stage(x, guidance), expected, 1e-4)


@pytest.mark.parametrize("attention", [True, False])
def test_the_decoder_gives_one_logit_per_class_at_four_times_the_grid_in_chunks_or_not(attention):
    decoder = randomize(UpsamplingDecoder(dim=12, dims=[16, 16], guidance_dims=[4, 4], attention=attention))
    phi, guidance = torch.randn(2, 5, 3, 4, 12), [torch.randn(2, 4, 6, 8), torch.randn(2, 4, 12, 16)]
    with torch.no_grad():
        logits = decoder(phi, guidance)
        assert logits.shape == (2, 5, 12, 16)
        close(logits, decoder(phi, guidance, chunk=2))
        stages = decoder.stages[1](decoder.stages[0](phi.permute(0, 1, 4, 2, 3), guidance[0]), guidance[1])
        close(logits[:, 3], decoder.head(stages[:, 3])[:, 0])


def test_nearest_guidance_repeats_the_projected_features():
    projection = GuidanceProjection(channels=3, dim=4)
    features = torch.randn(1, 3, 2, 2)
    projected = F.relu(projection.conv(features))
    close(projection(features, (4, 4)), projected.repeat_interleave(2, 2).repeat_interleave(2, 3))


def test_guidance_by_transposed_convolution_is_upsampled_before_it_is_projected():
    projection = GuidanceProjection(channels=3, dim=4, upsample="deconv", scale=2, middle=5)
    features = torch.randn(1, 3, 2, 2)
    close(projection(features, (4, 4)), F.relu(projection.conv(projection.upsample(features))))


# ------------------------------------------------------------- back-projection


def test_back_projection_concatenates_classes_at_each_patch():
    module = randomize(SemanticBackProjection(classes=3, dim=4, hidden=[6, 6], target_dim=5))
    phi = torch.randn(2, 3, 2, 2, 4)
    for b, y, x in itertools.product(range(2), range(2), range(2)):
        h = torch.cat([phi[b, n, y, x] for n in range(3)])
        for layer in (module.mlp[0], module.mlp[2]):
            h = F.gelu(layer(h))
        close(module(phi)[b, y, x], module.mlp[4](h))
    with pytest.raises(ValueError, match="built for 3 training classes"):
        module(torch.randn(2, 4, 2, 2, 4))


def test_back_projection_of_another_class_list_leaves_the_rest_loadable():
    source = torch.nn.ModuleDict(
        {"back": SemanticBackProjection(classes=3, dim=4, hidden=[6], target_dim=5), "x": torch.nn.Linear(2, 2)}
    )
    target = torch.nn.ModuleDict(
        {"back": SemanticBackProjection(classes=7, dim=4, hidden=[6], target_dim=5), "x": torch.nn.Linear(2, 2)}
    )
    before = target["back"].mlp[0].weight.clone()
    target.load_state_dict(source.state_dict())
    close(target["x"].weight, source["x"].weight)
    close(target["back"].mlp[0].weight, before)


def test_map_classes_cuts_only_where_no_gradient_is_wanted():
    sizes = []

    def double(part):
        sizes.append(part.shape[1])
        return part * 2

    x = torch.randn(1, 5, 2)
    with torch.no_grad():
        close(map_classes(double, x, 2), x * 2)
    close(map_classes(double, x, 2), x * 2)
    assert sizes == [2, 2, 1, 5]


@pytest.mark.parametrize(("classes", "chunk", "parts"), [(9, 4, [3, 3, 3]), (21, 20, [11, 10]), (20, 20, [20]), (5, 0, [5])])
def test_map_classes_leaves_no_small_rest(classes, chunk, parts):
    sizes = []
    with torch.no_grad():
        map_classes(lambda part: (sizes.append(part.shape[1]), part)[1], torch.zeros(1, classes), chunk)
    assert sizes == parts


def test_sums_over_classes_stay_in_single_precision_under_autocast():
    block = randomize(ClassRefinement(dim=16, text_dim=6, heads=2, padding=256))
    phi, text = torch.randn(1, 5, 2, 2, 16), torch.randn(1, 5, 6)
    with torch.no_grad():
        exact = block(phi, text)
        for dtype in (torch.bfloat16, torch.float16):
            with torch.autocast("cpu", dtype=dtype):
                context, total = block._gather(phi, text[:, :, None, None], 251, 0)
                half = block(phi, text)
            assert context.dtype == total.dtype == torch.float32
            assert (half - exact).abs().max() < 0.02 * exact.abs().max()


def test_resizing_averages_where_either_axis_is_coarser():
    x = torch.arange(8.0).view(1, 1, 2, 4)
    close(resize_nearest(x, (2, 2)), torch.tensor([[[[0.5, 2.5], [4.5, 6.5]]]]))
    close(resize_nearest(x, (4, 4)), x.repeat_interleave(2, 2))
