"""RS-ZeroSeg's training on tiny encoders: what learns, what the losses are, and that two images can be learnt."""

import numpy as np
import pytest
import torch
from parts import WORDS, batch, randomize, tiny_rs_zeroseg

from ovrs.errors import ConfigError
from ovrs.modeling import rs_zeroseg
from ovrs.modeling.blocks.multi_scale_alignment import MultiScaleAlignment

MODES = ("freeze", "attention", "full")
# What neither encoder's map depends on: the last block of the image tower attends to nothing.
UNREAD = {f"vision_language.visual.transformer.resblocks.2.attn.{part}_proj_weight" for part in "qk"}
UNREAD.add("vision_language.logit_scale")


def close(a, b, tolerance=1e-5):
    torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


def watched(module):
    """A list that fills with what ``module`` gives."""
    seen = []
    module.register_forward_hook(lambda _, __, result: seen.append(result.detach()))
    return seen


# ------------------------------------------------------------------ what learns


def expected_to_learn(name, train, remote):
    """By a parameter's name alone: whether it learns where the encoders train in these modes."""
    if name.startswith("guidance_encoder."):
        return remote == "full" or (remote == "attention" and ".attn." in name)
    if name.startswith("vision_language."):
        attention = name.endswith(("attn.q_proj_weight", "attn.v_proj_weight")) or name.startswith(
            "vision_language.text_tower.projection."
        )
        return name not in UNREAD and (train == "full" or (train == "attention" and attention))
    return True


def step_and_compare(model, train, remote):
    """One step of an optimizer over all that trains: gradients and changes are where they should be, and nowhere else."""
    before = {name: value.clone() for name, value in model.state_dict().items()}
    expected = {name for name, _ in model.named_parameters() if expected_to_learn(name, train, remote)}
    sum(model.train()(batch()).values()).backward()
    torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], 1e-3).step()
    for name, parameter in model.named_parameters():
        if name in expected:
            assert parameter.grad is not None and parameter.grad.isfinite().all() and parameter.grad.any(), name
        else:
            assert not parameter.requires_grad and parameter.grad is None, name
    assert {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])} == expected


@pytest.mark.parametrize("train", MODES)
@pytest.mark.parametrize("remote", MODES)
def test_all_nine_freezing_combinations_train_what_they_say_and_nothing_else(train, remote):
    step_and_compare(randomize(tiny_rs_zeroseg(train=train, remote=remote)), train, remote)


@pytest.mark.parametrize("head", ["carh", "cosine", "decoder"])
@pytest.mark.parametrize("align_loss", ["image", "region"])
@pytest.mark.parametrize("scales", [(), (2, 1, 0.5)])
def test_with_any_head_alignment_and_scales_every_parameter_learns(head, align_loss, scales):
    alignment = MultiScaleAlignment(dim=32, out_dim=16, heads=2, scales=scales)
    model = tiny_rs_zeroseg(remote="full", head=head, align_loss=align_loss, multi_scale=alignment)
    step_and_compare(randomize(model), "full", "full")


# ------------------------------------------------------------------ losses


def partly_labelled():
    """A batch whose first image has no label in its upper half and no class 2, and whose second holds class 1 alone."""
    entries = batch()
    first, second = (entry["sem_seg"] for entry in entries)
    first[first == 2] = 0
    first[:16], second[:] = 255, 1
    second[3, 5] = 255
    return entries


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def words_of(model):
    """The unit-length mean over templates of unit-length embeddings."""
    with torch.no_grad():
        prompts = model.text_features(WORDS.rows).numpy().astype(np.float64)
    return unit(unit(prompts).mean(axis=1))


def projected(model, x):
    layer = model.text_projection
    return x @ layer.weight.detach().numpy().T.astype(np.float64) + layer.bias.detach().numpy()


def test_the_first_loss_is_the_binary_cross_entropy_over_labelled_pixels_and_classes_by_loops():
    model, entries = randomize(tiny_rs_zeroseg()).train(), partly_labelled()
    logits = watched(model.head)
    found = model(entries)["loss_bce"].item()
    large = torch.nn.functional.interpolate(logits[0], size=(32, 32), mode="bilinear").double().numpy()
    target, terms = np.stack([entry["sem_seg"].numpy() for entry in entries]), []
    for b, y, x in zip(*np.nonzero(target != 255), strict=True):
        for k in range(3):
            score = 1 / (1 + np.exp(-large[b, k, y, x]))
            terms.append(-np.log(score if target[b, y, x] == k else 1 - score))
    assert len(terms) == 3 * (512 + 1023) and found == pytest.approx(np.mean(terms), rel=1e-5)


@pytest.mark.parametrize("weight", [0.2, 0.4])
def test_the_second_loss_is_lambda_times_the_distance_of_the_mean_feature_and_the_mean_word_present(weight):
    model, entries = randomize(tiny_rs_zeroseg(align_loss_weight=weight)).train(), partly_labelled()
    features, words = watched(model.multi_scale), words_of(model)
    found = model(entries)["loss_align"].item()
    labelled = np.stack([entry["sem_seg"].numpy() != 255 for entry in entries]).reshape(2, 1, 16, 2, 16, 2).mean(axis=(3, 5))
    means = projected(model, (features[0].double().numpy() * labelled).sum(axis=(2, 3)) / labelled.sum(axis=(2, 3)))
    wanted = unit(np.stack([(words[0] + words[1]) / 2, words[1]]))
    assert found == pytest.approx(weight * np.mean(1 - (unit(means) * wanted).sum(axis=1)), rel=1e-4)


def test_or_lambda_times_the_contrast_of_each_region_present_with_the_words_by_loops():
    model, entries = randomize(tiny_rs_zeroseg(align_loss="region")).train(), partly_labelled()
    features, words = watched(model.multi_scale), words_of(model)
    found, terms = model(entries)["loss_align"].item(), []
    for feature, entry in zip(features[0].double().numpy(), entries, strict=True):
        labels = entry["sem_seg"].numpy().reshape(16, 2, 16, 2)  # a place of the features is four pixels
        for n in range(3):
            share = (labels == n).mean(axis=(1, 3))
            if share.any():
                scores = words @ unit(projected(model, (feature * share).sum(axis=(1, 2)) / share.sum())) / 0.07
                terms.append(np.log(np.exp(scores).sum()) - scores[n])
    assert len(terms) == 3 and found == pytest.approx(0.2 * np.mean(terms), rel=1e-4)


def test_a_lambda_of_zero_leaves_the_alignment_out_of_the_parameters_and_of_the_graph(monkeypatch):
    def never(*_):
        raise AssertionError("computed all the same")

    monkeypatch.setattr(rs_zeroseg, "image_alignment_loss", never)
    model, usual = tiny_rs_zeroseg(text_projection=None, align_loss_weight=0.0), tiny_rs_zeroseg()
    assert model.train()(batch()).keys() == {"loss_bce"}
    left_out = usual.state_dict().keys() - model.state_dict().keys()
    assert left_out == {"text_projection.weight", "text_projection.bias"}


def test_a_weight_without_a_projection_and_an_unknown_alignment_are_refused():
    for changes in ({"align_loss_weight": 0.0}, {"text_projection": None}):
        with pytest.raises(ConfigError, match="needed exactly where"):
            tiny_rs_zeroseg(**changes)
    with pytest.raises(ConfigError, match="choose image or region"):
        tiny_rs_zeroseg(align_loss="pixel")


@pytest.mark.parametrize("head", ["carh", "cosine", "decoder"])
@pytest.mark.parametrize("ignored", ["mask", "negative"])
def test_what_is_predicted_where_labels_are_masked_does_not_change_the_loss(monkeypatch, head, ignored):
    model = tiny_rs_zeroseg(ignored=ignored, head=head).train()
    entries = batch()
    for entry in entries:
        entry["sem_seg"][:, 16:] = 255
    before = model(entries)["loss_bce"].item()
    undisturbed = model.head.forward
    beyond = 50.0 * (torch.arange(16) > 8)  # scores, two pixels each, that only ignored pixels are interpolated from
    monkeypatch.setattr(model.head, "forward", lambda features, text: undisturbed(features, text) + beyond)
    assert (model(entries)["loss_bce"].item() == pytest.approx(before, rel=1e-6)) == (ignored == "mask")


@pytest.mark.parametrize("alignment", ["image", "region"])
def test_what_is_aligned_is_pooled_from_labelled_pixels_alone(alignment):
    model = tiny_rs_zeroseg(align_loss=alignment).train()
    entries = batch()
    for entry in entries:
        entry["sem_seg"][:, 16:] = 255
    before = model(entries)["loss_align"].item()
    beyond = 50.0 * (torch.arange(16) > 7)
    model.multi_scale.register_forward_hook(lambda _, __, features: features + beyond)
    assert model(entries)["loss_align"].item() == pytest.approx(before, rel=1e-6)


@pytest.mark.parametrize("alignment", ["image", "region"])
def test_a_batch_without_labels_costs_nothing(alignment):
    entries = batch()
    for entry in entries:
        entry["sem_seg"][:] = 255
    losses = tiny_rs_zeroseg(align_loss=alignment).train()(entries)
    assert {name: value.item() for name, value in losses.items()} == {"loss_bce": 0, "loss_align": 0}


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
@pytest.mark.parametrize("alignment", ["image", "region"])
def test_losses_in_half_precision_stay_near_those_in_single(alignment, precision):
    single, half = (
        randomize(tiny_rs_zeroseg(align_loss=alignment, precision=kind)).train()(batch()) for kind in ("fp32", precision)
    )
    for name, value in half.items():
        assert value.dtype == torch.float32 and value.item() == pytest.approx(single[name].item(), rel=0.02), name


# ------------------------------------------------------------------ learning


@pytest.mark.parametrize(("head", "alignment"), [("carh", "image"), ("cosine", "region"), ("decoder", "image")])
def test_two_images_can_be_learnt_by_heart(head, alignment):
    model = tiny_rs_zeroseg(head=head, align_loss=alignment).train()
    pair = batch()
    for index, entry in enumerate(pair):
        entry["image"] = torch.zeros(3, 32, 32, dtype=torch.uint8)
        entry["image"][index, 8:24, :16] = 220
        entry["sem_seg"] = torch.full((32, 32), 2)
        entry["sem_seg"][8:24, :16] = index
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], 2e-3)
    seen: list[float] = []
    while len(seen) < 150 and not (seen and seen[-1] < 0.05 * seen[0]):
        loss = sum(model(pair).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        seen.append(loss.item())
    maps = [answer["sem_seg"].argmax(0) for answer in model.eval()(pair)]
    for index, (found, entry) in enumerate(zip(maps, pair, strict=True)):
        wanted = entry["sem_seg"]
        for label in (index, 2):
            overlap = ((found == label) & (wanted == label)).sum() / ((found == label) | (wanted == label)).sum()
            assert overlap > 0.8, (label, overlap)
    assert seen[-1] < 0.4 * seen[0], seen
