"""The blocks in which MetaSegNet's image and text meet, and its losses, against NumPy references of their equations."""

import math

import numpy as np
import pytest
import torch
from block_checks import close, dead_parameters
from numpy_references import array, attention, gelu, layer_norm, linear
from parts import randomize

from ovrs.errors import ConfigError
from ovrs.modeling.blocks.channel_prior import ChannelPrior
from ovrs.modeling.blocks.crossmodal_fusion import CrossmodalFusion, SequenceProjections, grid_sines, sines
from ovrs.modeling.blocks.feature_pyramid import FeaturePyramid
from ovrs.modeling.blocks.token_mean import token_mean
from ovrs.modeling.softmax_losses import class_dice, cross_entropy, pixel_dice


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def lively(module):
    """The module with random values so large that every part of it shows in the result; in double precision."""
    with torch.no_grad():
        for parameter in randomize(module).parameters():
            parameter.mul_(3)
    return module.double()


def randn(*shape):
    return torch.randn(shape, dtype=torch.float64)


def perceptron(block, x):
    return linear(block[3], gelu(linear(block[1], layer_norm(block[0], x))))


def scene(length=6):
    """An image [2, 8, 3, 4] and two texts, the first of three tokens."""
    mask = torch.ones(2, length, dtype=torch.bool)
    mask[0, 3:] = False
    return randn(2, 8, 3, 4), randn(2, length, 8), mask


# ------------------------------------------------------------------- eqs. 4 to 7


def waves(place, dim):
    """sin and cos of a place at dim / 2 wave lengths."""
    angles = [place / 10_000 ** (i / (dim // 2)) for i in range(dim // 2)]
    return [math.sin(a) for a in angles] + [math.cos(a) for a in angles]


def fused(block, image, words):
    """[C, H, W] and [L, C] -> both again, by the equations."""
    _, height, width = image.shape
    seen = image.reshape(len(image), -1).T
    reads = block.image
    seen = seen + attention(reads.attn, layer_norm(reads.norm, seen), layer_norm(reads.context_norm, words))  # eq. 5
    seen = seen + perceptron(reads.mlp, seen)  # eq. 4
    reads = block.text
    words = words + attention(reads.attn, layer_norm(reads.norm, words), layer_norm(reads.context_norm, seen))  # eq. 7
    words = words + perceptron(reads.mlp, words)  # eq. 6
    modality = array(block.modality_embed)
    seen = seen + modality[0] + np.array([waves(i, 4) + waves(j, 4) for i in range(height) for j in range(width)])
    words = words + modality[1] + np.array([waves(i, 8) for i in range(len(words))])
    both = np.concatenate([seen, words])
    for layer in block.layers:
        normal = layer_norm(layer.norm, both)
        both = both + attention(layer.attn, normal, normal)
        both = both + perceptron(layer.mlp, both)
    both = layer_norm(block.norm, both)
    return both[: height * width].T.reshape(image.shape), both[height * width :]


@pytest.mark.parametrize("layers", [0, 2])
def test_crossmodal_fusion_is_eqs_4_to_7_and_a_joint_encoder_step_by_step(layers):
    block = lively(CrossmodalFusion(dim=8, heads=2, layers=layers))
    image, text, mask = scene()
    seen, said = block(image, text, mask)
    assert seen.shape == image.shape and said.shape == text.shape
    for b in range(2):
        expected_seen, expected_said = fused(block, array(image[b]), array(text[b, mask[b]]))
        close(seen[b], expected_seen)
        close(said[b, mask[b]], expected_said)


def test_the_text_reads_the_image_that_has_read_it():
    block = lively(CrossmodalFusion(dim=8, heads=2, layers=0))
    image, text, mask = scene()
    before = block(image, text, mask)[1]
    with torch.no_grad():
        block.image.mlp[3].weight.neg_()
    assert not torch.allclose(block(image, text, mask)[1], before, atol=1e-3)


def test_padding_changes_nothing_in_crossmodal_fusion():
    block = lively(CrossmodalFusion(dim=8, heads=2))
    image, text, mask = scene()
    seen, said = block(image, text, mask)
    filled = torch.where(mask[:, :, None], text, 50.0)
    longer = torch.cat([filled, randn(2, 3, 8)], dim=1), torch.cat([mask, torch.zeros(2, 3, dtype=torch.bool)], dim=1)
    for other in (block(image, filled, mask), block(image, *longer)):
        close(other[0], seen)
        close(other[1][:, :6][mask], said[mask])
    alone = block(image[:1], text[:1, :3], mask[:1, :3])
    close(alone[0], seen[:1])


def test_places_and_modalities_are_told_apart():
    block = lively(CrossmodalFusion(dim=8, heads=2))
    image, text, mask = randn(1, 8, 1, 1).expand(-1, -1, 2, 3), randn(1, 1, 8).expand(-1, 4, -1), torch.ones(1, 4).bool()
    seen, said = block(image, text, mask)
    rows = torch.cat([seen[0].flatten(1).T, said[0]])
    apart = torch.cdist(rows, rows) + torch.eye(len(rows))
    assert apart.min() > 1e-2
    like = torch.zeros(1, 8)
    assert torch.equal(
        grid_sines(2, 3, like)[4], torch.cat([sines(torch.tensor([1.0]), like, 4), sines(torch.tensor([1.0]), like, 4)], 1)[0]
    )


def test_nothing_in_crossmodal_fusion_is_dead():
    image, text, mask = scene()
    assert not dead_parameters(CrossmodalFusion(dim=8, heads=2), lambda block: [*block(image, text, mask)])


def test_channels_that_cannot_be_cut_are_refused():
    with pytest.raises(ConfigError, match="6 channels: sines of rows and of columns take a multiple of 4"):
        CrossmodalFusion(dim=6, heads=2)
    with pytest.raises(ConfigError, match="8 channels cannot be cut into 3 heads"):
        CrossmodalFusion(dim=8, heads=3)


def test_fusion_in_mixed_precision_answers_as_in_single():
    block = CrossmodalFusion(dim=8, heads=2)
    image, text, mask = (x.float() if x.is_floating_point() else x for x in scene())
    expected = block(image, text, mask)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = block(image, text, mask)
    for one, other in zip(found, expected, strict=True):
        close(one.float()[..., :3, :], other[..., :3, :], 0.1)


def test_sequences_have_one_width_behind_a_norm_of_their_own():
    block = lively(SequenceProjections(image_dim=5, text_dim=7, dim=8))
    image, text, mask = randn(2, 5, 3, 4), randn(2, 6, 7), torch.ones(2, 6, dtype=torch.bool)
    mask[0, 2:] = False
    seen, said = block(image, text, mask)
    close(seen[1, :, 2, 1], linear(block.image[1], layer_norm(block.image[0], array(image[1, :, 2, 1])[None]))[0])
    close(said[1], linear(block.text[1], layer_norm(block.text[0], array(text[1]))))
    assert torch.equal(block(image, text.masked_fill(~mask[:, :, None], torch.nan), mask)[1], said)


# -------------------------------------------------------------------------- prior


def test_the_prior_is_the_mean_over_tokens_of_a_linear_map_and_weighs_channels():
    block = lively(ChannelPrior(text_dim=7, dim=8))
    image, text, mask = randn(2, 8, 3, 4), randn(2, 6, 7), torch.ones(2, 6, dtype=torch.bool)
    mask[0, 2:] = False
    found = block(image, text, mask)
    for b in range(2):
        prior = linear(block.proj, array(text[b, mask[b]])).mean(axis=0)
        for c, h, w in np.ndindex(8, 3, 4):
            assert found[b, c, h, w].item() == pytest.approx(image[b, c, h, w].item() * prior[c] + image[b, c, h, w].item())
    close(block(image, text.masked_fill(~mask[:, :, None], 1e6), mask), found)


def test_the_mean_of_a_text_without_a_token_is_0():
    tokens, mask = torch.randn(2, 3, 4), torch.tensor([[True, True, False], [False] * 3])
    found = token_mean(tokens.masked_fill(~mask[:, :, None], torch.nan), mask)
    close(found[0], (tokens[0, 0] + tokens[0, 1]) / 2)
    assert not found[1].any()


def test_a_pyramid_of_its_finest_level_alone_has_what_that_needs():
    dims, levels = [4, 5, 6], [torch.randn(2, c, 16 // s, 12 // s) for c, s in ((4, 1), (5, 2), (6, 4))]
    torch.manual_seed(1)
    one = FeaturePyramid(dims=dims, dim=8, finest=1)
    assert len(one.smooth) == 1 and not dead_parameters(one, lambda block: block([x.double() for x in levels]))
    every = FeaturePyramid(dims=dims, dim=8).double()
    every.load_state_dict(one.state_dict(), strict=False)
    (finest,) = one([x.double() for x in levels])
    close(finest, every([x.double() for x in levels])[0])


# ------------------------------------------------------------------------- losses


def labelled():
    """Logits [2, 4, 5, 6] and labels of the classes 0 to 2, some ignored; nothing is of class 3."""
    target = torch.randint(0, 3, (2, 5, 6))
    target[0, :2] = 255
    return torch.randn(2, 4, 5, 6), target


def test_cross_entropy_gives_a_share_of_each_label_to_all_classes():
    logits, target = labelled()
    terms = []
    for b, i, j in (target != 255).nonzero().tolist():
        wanted = np.full(4, 0.05 / 4)
        wanted[target[b, i, j]] += 0.95
        terms.append(-(wanted * array(logits[b, :, i, j].log_softmax(dim=0))).sum())
    assert cross_entropy(logits, target, smoothing=0.05).item() == pytest.approx(np.mean(terms), rel=1e-5)
    assert cross_entropy(logits, target, smoothing=0.05) != cross_entropy(logits, target)


def test_class_dice_is_that_of_a_loop_over_classes():
    logits, target = labelled()
    shares, terms = array(logits.softmax(dim=1)), []
    for k in range(4):
        together = said = held = 0.0
        for b, i, j in (target != 255).nonzero().tolist():
            there = float(target[b, i, j] == k)
            together, said, held = together + shares[b, k, i, j] * there, said + shares[b, k, i, j], held + there
        terms.append(1 - (2 * together + 0.05) / (said + held + 0.05) if held else 0.0)
    assert terms[3] == 0 < terms[0]
    assert class_dice(logits, target).item() == pytest.approx(np.mean(terms), rel=1e-5)


def test_pixel_dice_is_eq_2_as_it_is_written():
    logits, target = labelled()
    shares, terms = array(logits.softmax(dim=1)), []
    for b, i, j in (target != 255).nonzero().tolist():
        wanted = np.eye(4)[int(target[b, i, j])]
        terms.append(sum(shares[b, k, i, j] * wanted[k] / (shares[b, k, i, j] + wanted[k] + 1e-12) for k in range(4)))
    assert pixel_dice(logits, target).item() == pytest.approx(1 - 2 * np.mean(terms), rel=1e-5)


@pytest.mark.parametrize("loss", [class_dice, pixel_dice])
def test_dice_is_0_of_the_right_answer_and_of_nothing_and_never_nan(loss):
    _, target = labelled()
    there = (target[:, None] == torch.arange(4)[:, None, None]).float()
    sure = (1000 * there).requires_grad_()  # shares of exactly 0 and 1
    assert loss(sure, target).item() == pytest.approx(0, abs=1e-6)
    wrong = (1000 * there.roll(1, 1)).requires_grad_()
    assert loss(wrong, target).item() == pytest.approx(
        0.75 if loss is class_dice else 1, abs=1e-2
    )  # of four classes one is absent
    nothing = loss(sure, torch.full_like(target, 255))
    (nothing + loss(wrong, target)).backward()
    assert nothing == 0 and sure.grad.isfinite().all() and wrong.grad.isfinite().all()
