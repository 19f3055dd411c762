"""What turns the stages of MAFN into a mask: cross-scale interaction, rotated and multi-scale convolutions, the decoder."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from block_checks import close, dead_parameters, with_statistics
from parts import randomize

from ovrs.errors import ConfigError
from ovrs.modeling.blocks.cross_scale import CrossScaleAttention, CrossScaleInteraction
from ovrs.modeling.blocks.multi_scale_refinement import MultiScaleRefinement, PlainRefinement, TopDownDecoder
from ovrs.modeling.blocks.rotated_convolution import RotatedConv, rotation_matrices

DIMS = (8, 16, 32)


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def stages(batch=2, sizes=((13, 18), (7, 9), (4, 5))):
    """A pyramid whose sides are no multiples of each other."""
    return [torch.randn(batch, dim, *size) for dim, size in zip(DIMS, sizes, strict=True)]


# ------------------------------------------------------------ kernels that turn


def turned(kernel, degrees):
    matrix = rotation_matrices(torch.tensor(np.deg2rad(degrees), dtype=torch.float64))
    return (matrix @ kernel.double().flatten()).view(3, 3)


@pytest.mark.parametrize("quarters", [-2, -1, 0, 1, 2, 3])
def test_quarter_turns_are_exact_and_counter_clockwise(quarters):
    kernel = torch.randn(3, 3)
    close(turned(kernel, 90 * quarters), np.rot90(kernel.double().numpy(), quarters).copy(), 1e-9)


def test_every_row_is_an_average():
    matrices = rotation_matrices(torch.linspace(-4, 4, 41, dtype=torch.float64))
    close(matrices.sum(-1), torch.ones(41, 9, dtype=torch.float64), 1e-12)
    assert matrices.min() >= 0


def test_between_them_taps_are_read_bilinearly_where_they_came_from():
    kernel, angle = torch.randn(3, 3), np.deg2rad(25)
    at = {(x, y): kernel[1 - y, x + 1].item() for x in (-1, 0, 1) for y in (-1, 0, 1)}
    found = turned(kernel, 25)
    assert found[1, 1].item() == pytest.approx(at[0, 0])
    # The tap on the right came from below the right: (cos, -sin).
    cos, sin = np.cos(angle), np.sin(angle)
    right = cos * (1 - sin) * at[1, 0] + cos * sin * at[1, -1] + (1 - cos) * (1 - sin) * at[0, 0] + (1 - cos) * sin * at[0, -1]
    assert found[1, 2].item() == pytest.approx(right, abs=1e-6)
    # The upper left corner came from above the upper edge, and is read on it: between the corner and the middle.
    share = cos - sin
    assert found[0, 0].item() == pytest.approx(share * at[-1, 1] + (1 - share) * at[0, 1], abs=1e-6)


def rotated_conv(kernels=3, max_angle=40.0):
    block = RotatedConv(dim=6, kernels=kernels, max_angle=max_angle).eval()
    with torch.no_grad():
        block.router.angle.weight.normal_(0, 2)
        block.router.weight.weight.normal_(0, 2)
    return block


def test_one_grouped_convolution_is_a_loop_over_images_and_kernels():
    block = rotated_conv()
    x = torch.randn(4, 6, 5, 7)
    angles, weights = block.router(x)
    assert angles.unique().numel() == 12 and angles.abs().max() < np.deg2rad(40)
    found = block(x)
    for b in range(4):
        expected = torch.zeros(1, 6, 5, 7)
        for i in range(3):
            matrix = rotation_matrices(angles[b, i])
            kernel = torch.stack([torch.stack([(matrix @ tap.flatten()).view(3, 3) for tap in row]) for row in block.weight[i]])
            expected += weights[b, i] * F.conv2d(x[b : b + 1], kernel, padding=1)
        close(found[b : b + 1], expected, 1e-4)
        close(block(x[b : b + 1]), found[b : b + 1], 1e-4)


def test_kernels_that_do_not_turn_are_a_plain_convolution():
    block = rotated_conv(kernels=1, max_angle=0.0)
    x = torch.randn(2, 6, 5, 7)
    _, weights = block.router(x)
    close(block(x), weights[:, :, None, None] * F.conv2d(x, block.weight[0], padding=1), 1e-4)
    with pytest.raises(ConfigError, match="needs a kernel to rotate, got 0"):
        RotatedConv(dim=6, kernels=0)


@pytest.mark.parametrize("kernels", [1, 2])
def test_angles_and_weights_learn(kernels):
    assert dead_parameters(RotatedConv(dim=6, kernels=kernels), lambda block: [block(torch.randn(2, 6, 5, 7).double())]) == []


# ------------------------------------------------------------ MSRC


def test_refinement_is_eq_17_layer_by_layer():
    state = with_statistics(randomize(MultiScaleRefinement(dim=6, kernels=(1, 3, 5)))).eval()
    conv = MultiScaleRefinement(dim=6, kernels=(1, 3, 5), summed="conv").eval()
    conv.load_state_dict(state.state_dict())
    x = torch.randn(2, 6, 5, 7)
    v0 = state.expand(x)
    one, three, five = state.convs
    v1 = one(v0) + state.rotated(v0)
    v2 = three(v1) + state.rotated(v1)
    v3 = five(v2) + state.rotated(v2)
    close(state(x), x + state.project(v1 + v2 + v3), 1e-4)
    close(conv(x), x + conv.project(one(v0) + three(v1) + five(v2)), 1e-4)


@pytest.mark.parametrize("summed", ["state", "conv"])
@pytest.mark.parametrize("kernels", [(1,), (1, 3), (1, 3, 5), (1, 3, 5, 7)])
def test_nothing_in_a_refinement_is_dead(summed, kernels):
    block = MultiScaleRefinement(dim=6, kernels=kernels, summed=summed)
    assert (block.rotated is None) == (summed == "conv" and kernels == (1,))
    assert dead_parameters(block, lambda block: [block(torch.randn(2, 6, 9, 8).double())]) == []


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"kernels": ()}, r"needs odd kernels, got \[\]"),
        ({"kernels": (1, 4)}, r"needs odd kernels, got \[1, 4\]"),
        ({"summed": "both"}, "sums 'both'; choose conv or state"),
    ],
)
def test_refinements_that_cannot_work_are_refused(given, message):
    with pytest.raises(ConfigError, match=message):
        MultiScaleRefinement(dim=6, **given)


# ------------------------------------------------------------ the decoder


@pytest.mark.parametrize("refine", [lambda dim: MultiScaleRefinement(dim=dim), PlainRefinement], ids=["refined", "plain"])
def test_the_decoder_answers_on_the_finest_grid_and_all_of_it_learns(refine):
    decoder = TopDownDecoder(dims=DIMS, dim=6, refine=refine)

    def run(decoder):
        logits = decoder([stage.double() for stage in stages()])
        assert logits.shape == (2, 1, 13, 18)
        return [logits]

    assert dead_parameters(decoder, run) == []


def test_the_decoder_goes_from_the_coarsest_stage_to_the_finest():
    decoder = with_statistics(TopDownDecoder(dims=DIMS, dim=6, refine=lambda dim: MultiScaleRefinement(dim=dim))).eval()
    fine, middle, coarse = stages()
    first, second = decoder.steps

    def enlarged(x, size):
        return F.interpolate(x, size=size, mode="bilinear", align_corners=True)

    x = first(torch.cat([enlarged(coarse, (7, 9)), middle], dim=1))
    x = second(torch.cat([enlarged(x, (13, 18)), fine], dim=1))
    close(decoder([fine, middle, coarse]), decoder.head(x))


# ------------------------------------------------------------ cross-scale interaction


@pytest.mark.parametrize("grid", [(5, 5), (3, 7)])
def test_stages_of_any_size_meet_on_one_grid_and_all_of_it_learns(grid):
    block = CrossScaleInteraction(dims=DIMS, grid=grid, heads=2, head_dim=4)

    def run(block):
        given = [stage.double() for stage in stages()]
        found = block(given)
        assert [stage.shape for stage in found] == [stage.shape for stage in given]
        return found

    assert dead_parameters(block, run) == []


def test_every_stage_reads_every_other_and_no_other_image():
    block = with_statistics(randomize(CrossScaleInteraction(dims=DIMS, grid=(5, 4), heads=2, head_dim=4))).eval()
    given = stages()
    before = block(given)
    for i in range(3):
        changed = [stage.clone() for stage in given]
        changed[i][0, :, 0, 0] += 5
        for one, other in zip(block(changed), before, strict=True):
            assert (one[0] - other[0]).abs().max() > 1e-4
            close(one[1], other[1])


def test_attention_across_scales_is_the_softmax_of_scaled_products():
    block = with_statistics(CrossScaleAttention(dim=6, grid=(5, 4), heads=2, head_dim=4)).eval()
    x = torch.randn(1, 6, 5, 4)
    normal = block.norm(x)
    tokens = torch.cat([y.flatten(2) for y in (normal, block.coarse(normal), block.coarser(normal))], dim=2)[0].T
    assert tokens.shape == (20 + 3 * 2 + 2 * 2, 6)
    qkv = block.qkv_norm(block.qkv(tokens))
    read, values = [], []
    for head in range(2):
        query, key, value = qkv[:, 16 * head : 16 * (head + 1)].split([4, 4, 8], dim=1)
        read.append((query @ key.T / 2).softmax(dim=1) @ value)
        values.append(value[:20].T.reshape(8, 5, 4))
    nearby = block.local(F.hardswish(torch.cat(values)[None]))[0].flatten(1)
    mixed = block.out((block.places(torch.cat(read, dim=1).T) + nearby).T).T.reshape(1, 6, 5, 4)
    close(block(x), block.proj(F.hardswish(block.out_norm(mixed))), 1e-4)


def test_channels_that_cannot_be_cut_in_four_are_refused():
    with pytest.raises(ConfigError, match=r"multiples of 4, got \[4, 6\]"):
        CrossScaleInteraction(dims=(4, 6))


@pytest.mark.parametrize("training", [True, False])
def test_mixed_precision_answers_as_single(training):
    def refine(dim):
        return MultiScaleRefinement(dim=dim, dropout=0.0)

    cim = CrossScaleInteraction(dims=DIMS, grid=(5, 4), heads=2, head_dim=4).train(training)
    decoder = TopDownDecoder(dims=DIMS, dim=16, refine=refine).train(training)
    given = stages()
    expected = decoder(cim(given))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = decoder(cim(given))
    close(found.float(), expected, 0.1)
    found.float().square().sum().backward()
    assert all(p.grad.isfinite().all() for module in (cim, decoder) for p in module.parameters())
