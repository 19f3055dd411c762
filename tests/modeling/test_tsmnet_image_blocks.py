"""The blocks that make one pyramid of optical and SAR features, against NumPy references of their equations."""

import numpy as np
import pytest
import torch
from block_checks import close, dead_parameters, with_statistics
from parts import randomize
from torch import nn

from ovrs.errors import ConfigError
from ovrs.modeling.blocks.feature_pyramid import FeaturePyramid, PyramidHead
from ovrs.modeling.blocks.level_adapters import LevelAdapters
from ovrs.modeling.blocks.modality_fusion import ModalityFusion
from ovrs.modeling.blocks.rectification import FeatureRectification


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def array(x):
    return x.detach().numpy().astype(np.float64)


def linear(layer, x):
    """[..., C] through a linear map or a 1x1 convolution, by hand."""
    weight = array(layer.weight)
    return x @ weight.reshape(len(weight), -1).T + (0 if layer.bias is None else array(layer.bias))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def relu(x):
    return np.maximum(x, 0)


def softmax(x, axis):
    weights = np.exp(x - x.max(axis, keepdims=True))
    return weights / weights.sum(axis, keepdims=True)


def layer_norm(norm, x):
    normal = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
    return normal * array(norm.weight) + array(norm.bias)


def pair(size=(3, 5), dim=6):
    return torch.randn(2, dim, *size), torch.randn(2, dim, *size)


# ------------------------------------------------------------------- MFRM


def rectified(block, x, y, sequential):
    """One image, places last: [L, C] and [L, C], each place by itself."""
    dim = x.shape[1]
    both = np.concatenate([x, y], axis=1)
    weights = np.concatenate([both.mean(0), both.max(0)])
    weights = sigmoid(linear(block.by_channel[2], relu(linear(block.by_channel[0], weights))))
    to_y, to_x = 0.5 * weights[:dim] * x, 0.5 * weights[dim:] * y
    result = x + to_x, y + to_y
    for place in range(len(x)):
        read = np.concatenate([result[0][place], result[1][place]]) if sequential else both[place]
        of_x, of_y = sigmoid(linear(block.by_place[2], relu(linear(block.by_place[0], read))))
        result[0][place] += 0.5 * of_y * y[place]
        result[1][place] += 0.5 * of_x * x[place]
    return result


@pytest.mark.parametrize("order", ["sequential", "parallel"])
def test_rectification_adds_what_channels_and_places_let_through_of_the_other(order):
    block = randomize(FeatureRectification(dim=6, order=order))
    x, y = pair()
    found = block(x, y)
    for b in range(2):
        expected = rectified(block, *(array(z[b].flatten(1).T) for z in (x, y)), order == "sequential")
        for one, other in zip(found, expected, strict=True):
            assert one.shape == x.shape
            close(one[b].flatten(1).T.double(), other)


def test_the_orders_of_rectification_differ():
    one, other = (FeatureRectification(dim=6, order=order) for order in ("sequential", "parallel"))
    other.load_state_dict(randomize(one).state_dict())
    x, y = pair()
    assert not torch.allclose(one(x, y)[0], other(x, y)[0], atol=1e-4)


@pytest.mark.parametrize("order", ["sequential", "parallel"])
def test_a_modality_of_zeros_leaves_the_other_as_it_is(order):
    block = randomize(FeatureRectification(dim=6, order=order))
    x, _ = pair()
    nothing = torch.zeros_like(x)
    assert torch.equal(block(x, nothing)[0], x)
    assert torch.equal(block(nothing, x)[1], x)


def test_an_unknown_order_is_refused():
    with pytest.raises(ConfigError, match="order of rectification is 'both'; choose sequential or parallel"):
        FeatureRectification(dim=6, order="both")


@pytest.mark.parametrize("order", ["sequential", "parallel"])
def test_nothing_in_rectification_is_dead(order):
    block = FeatureRectification(dim=6, order=order)
    assert not dead_parameters(block, lambda block: list(block(*(x.double() for x in pair()))))


# ------------------------------------------------------------------- MFFM


def fused(block, x, y, heads):
    """One image: [L, C] and [L, C] -> [L, C], one head at a time."""
    dim = x.shape[1]
    maps, kept, asked, contexts = (x, y), [], [], []
    for path, z in zip(block.paths, maps, strict=True):
        halves = relu(linear(path.halves, z))
        kept.append(halves[:, :dim])
        asked.append(halves[:, dim:])
        kv = linear(path.kv, asked[-1])
        parts = [slice(head * dim // heads, (head + 1) * dim // heads) for head in range(heads)]
        alike = [kv[:, :dim][:, part].T @ kv[:, dim:][:, part] / np.sqrt(dim / heads) for part in parts]
        contexts.append([softmax(scores, 0) for scores in alike])
    result = []
    for number, path in enumerate(block.paths):
        read = [asked[number][:, part] @ contexts[1 - number][head] for head, part in enumerate(parts)]
        beside = np.concatenate([kept[number], *read], axis=1)
        result.append(layer_norm(path.norm, maps[number] + linear(path.out, beside)))
    return linear(block.merge, np.concatenate(result, axis=1))


@pytest.mark.parametrize("heads", [1, 2])
def test_fusion_lets_each_modality_read_the_channels_of_the_other(heads):
    block = randomize(ModalityFusion(dim=6, heads=heads))
    x, y = pair()
    found = block(x, y)
    assert found.shape == x.shape
    for b in range(2):
        expected = fused(block, *(array(z[b].flatten(1).T) for z in (x, y)), heads)
        close(found[b].flatten(1).T.double(), expected)


def test_fusion_without_exchange_is_a_point_wise_convolution_of_both():
    block = randomize(ModalityFusion(dim=6, exchange=False))
    x, y = pair()
    assert [name for name, _ in block.named_parameters()] == ["merge.weight"]
    close(block(x, y), nn.functional.conv2d(torch.cat([x, y], dim=1), block.merge.weight))


def test_fusion_follows_its_places_and_reads_the_whole_of_the_other_map():
    block = randomize(ModalityFusion(dim=6))
    x, y = pair()
    found = block(x, y)
    close(block(x.flip(3), y.flip(3)), found.flip(3))
    changed = y.clone()
    changed[..., 0, 0] += 3
    assert not torch.allclose(block(x, changed)[..., 2, 4], found[..., 2, 4], atol=1e-4)


def test_heads_must_divide_the_channels_of_fusion():
    with pytest.raises(ConfigError, match="fusion of 10 channels cannot be cut into 4 heads"):
        ModalityFusion(dim=10, heads=4)


@pytest.mark.parametrize("exchange", [True, False])
def test_nothing_in_fusion_is_dead(exchange):
    block = ModalityFusion(dim=8, heads=2, exchange=exchange)
    assert not dead_parameters(block, lambda block: [block(*(x.double() for x in pair(dim=8)))])


def test_fusion_in_mixed_precision_answers_as_in_single():
    rectify, fuse = FeatureRectification(dim=16), ModalityFusion(dim=16)
    x, y = pair(size=(8, 12), dim=16)
    expected = fuse(*rectify(x, y))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = fuse(*rectify(x, y))
    close(found.float(), expected, 0.05)


# ------------------------------------------------------------------- levels


def plain_adapters(dim, patch):
    """Of four blocks of one vision transformer."""
    return LevelAdapters(channels=[dim] * 4, from_strides=[patch] * 4, dim=dim)


@pytest.mark.parametrize("patch", [8, 16, 32])
@pytest.mark.parametrize("grid", [(4, 6), (3, 5), (1, 2)])
def test_adapters_bring_every_level_to_its_stride(patch, grid):
    block = plain_adapters(4, patch).eval()
    levels = block([torch.randn(2, 4, *grid) for _ in range(4)])
    expected = [(2, 4, *(-(-side * patch // stride) for side in grid)) for stride in (4, 8, 16, 32)]
    assert [tuple(level.shape) for level in levels] == expected


def test_adapters_are_norms_then_transposed_convolutions_or_a_maximum():
    block = with_statistics(randomize(plain_adapters(4, 16))).eval()
    taps = [3 * torch.randn(2, 4, 3, 5) + 1 for _ in range(4)]
    normal = []
    for level, tap in zip(block.levels, taps, strict=True):
        over = (1, 2, 3)
        whole = (tap - tap.mean(over, keepdim=True)) / (tap.var(over, keepdim=True, unbiased=False) + 1e-5).sqrt()
        normal.append(whole * level[0].weight[:, None, None] + level[0].bias[:, None, None])
    found = block(taps)

    def doubled(layer, x):
        result = torch.zeros(2, 4, 2 * x.shape[2], 2 * x.shape[3])
        for row in range(2):
            for column in range(2):
                result[..., row::2, column::2] = torch.einsum("bihw,io->bohw", x, layer.weight[..., row, column])
        return result if layer.bias is None else result + layer.bias[:, None, None]

    first = block.levels[0]
    close(found[0], doubled(first[4], nn.functional.gelu(first[2](doubled(first[1], normal[0])))), 1e-4)
    close(found[1], doubled(block.levels[1][1], normal[1]))
    close(found[2], normal[2])
    corners = [normal[3][..., i : i + 2, j : j + 2].amax((2, 3)) for i in (0, 2) for j in (0, 2, 4)]
    close(found[3], torch.stack(corners, dim=-1).view(2, 4, 2, 3))


def test_adapters_change_channels_behind_the_norm():
    block = LevelAdapters(channels=[3, 8, 4], from_strides=[4, 8, 8], dim=4, strides=[4, 4, 16]).eval()
    taps = [torch.randn(2, 3, 6, 10), torch.randn(2, 8, 3, 5), torch.randn(2, 4, 3, 5)]
    assert [tuple(level.shape) for level in block(taps)] == [(2, 4, 6, 10), (2, 4, 6, 10), (2, 4, 2, 3)]
    norm, projection = block.levels[0]
    expected = linear(projection, array(norm(taps[0])).transpose(0, 2, 3, 1))
    close(block(taps)[0].permute(0, 2, 3, 1), torch.from_numpy(expected).float())


@pytest.mark.parametrize(("patch", "stride"), [(14, 4), (16, 0), (16, 12)])
def test_a_stride_out_of_reach_is_refused(patch, stride):
    with pytest.raises(ConfigError, match=f"a stride of {patch} pixels cannot be brought to one of {stride}"):
        LevelAdapters(channels=[4], from_strides=[patch], dim=4, strides=[stride])


@pytest.mark.parametrize("patch", [4, 16, 64])
def test_nothing_in_adapters_is_dead(patch):
    block = plain_adapters(4, patch)
    assert not dead_parameters(block, lambda block: block([torch.randn(2, 4, 8, 9).double() for _ in range(4)]))


# ------------------------------------------------------------------- the pyramid


def levels_of(dims, finest=(8, 12)):
    return [torch.randn(2, dim, -(-finest[0] // 2**i), -(-finest[1] // 2**i)) for i, dim in enumerate(dims)]


def test_pyramid_adds_every_coarser_level_to_a_finer_one():
    block = randomize(FeaturePyramid(dims=[4, 5, 9, 4], dim=6))
    levels = levels_of([4, 5, 9, 4])
    found = block(levels)
    above = 0.0
    for number in (3, 2, 1, 0):
        lateral = linear(block.laterals[number], array(levels[number]).transpose(0, 2, 3, 1))
        if number < 3:  # every place beside its parent, 2 x 2 of which share one
            above = above.repeat(2, axis=1).repeat(2, axis=2)[:, : lateral.shape[1], : lateral.shape[2]]
        above = above + lateral
        expected = nn.functional.conv2d(
            torch.from_numpy(above.transpose(0, 3, 1, 2)).float(),
            block.smooth[number].weight,
            block.smooth[number].bias,
            padding=1,
        )
        close(found[number], expected, 1e-4)


def test_head_convolves_before_every_doubling_and_adds_the_levels():
    block = with_statistics(randomize(PyramidHead(dim=6, out_dim=5, levels=4))).eval()
    pyramid = levels_of([6] * 4, finest=(16, 24))
    expected = block.levels[0].convs[0](pyramid[0])
    for number in (1, 2, 3):
        x = pyramid[number]
        assert len(block.levels[number].convs) == number
        for conv in block.levels[number].convs:
            x = nn.functional.interpolate(conv(x), scale_factor=2, mode="bilinear", align_corners=False)
        expected = expected + x
    assert expected.shape == (2, 5, 16, 24)
    close(block(pyramid), expected)


@pytest.mark.parametrize("finest", [(8, 12), (7, 9), (1, 3)])
@pytest.mark.parametrize("count", [1, 2, 4])
def test_pyramid_and_head_take_any_size_and_number_of_levels(finest, count):
    dims = [4, 5, 6, 7][:count]
    pyramid = FeaturePyramid(dims=dims, dim=8)(levels_of(dims, finest))
    assert [x.shape[1] for x in pyramid] == [8] * count
    assert PyramidHead(dim=8, out_dim=6, levels=count)(pyramid).shape == (2, 6, *finest)


def test_head_drops_whole_channels_in_training_alone():
    block = PyramidHead(dim=6, out_dim=64, levels=1, dropout=0.5)
    x = [torch.randn(2, 6, 4, 5)]
    dropped = (block(x) == 0).all(dim=3).all(dim=2)
    assert 20 < dropped.sum() < 108
    assert torch.equal(block.eval()(x), block(x))


def test_nothing_in_pyramid_and_head_is_dead():
    block = nn.Sequential(FeaturePyramid(dims=[4, 5, 6, 7], dim=8), PyramidHead(dim=8, out_dim=6, dropout=0.0))
    assert not dead_parameters(block, lambda block: [block([x.double() for x in levels_of([4, 5, 6, 7])])])


def test_image_blocks_have_the_published_size():
    with torch.device("meta"):
        blocks = (FeatureRectification(dim=768), ModalityFusion(dim=768), plain_adapters(768, 16))
        levels = blocks[2]([torch.empty(2, 768, 16, 16)] * 4)
        fused = [blocks[1](*blocks[0](x, x)) for x in levels]
    assert [x.shape[1:] for x in fused] == [(768, 64, 64), (768, 32, 32), (768, 16, 16), (768, 8, 8)]
    size = [sum(p.numel() for p in block.parameters()) for block in blocks]
    # Linear 3072 -> 3072 -> 1536 and 1536 -> 768 -> 2; twice 768 -> 1536 three times and a norm, then 1536 -> 768.
    assert size[0] == 3072 * 3073 + 1536 * 3073 + 768 * 1537 + 2 * 769
    assert size[1] == 2 * (1536 * 769 + 1536 * 768 + 768 * 1537 + 1536) + 768 * 1536
    assert size[2] == 4 * 1536 + 3 * 4 * 768**2 + 1536 + 2 * 768
