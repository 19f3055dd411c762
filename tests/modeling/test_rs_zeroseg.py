"""RS-ZeroSeg on tiny encoders: vocabularies, sizes, freezing combinations, losses, and learning."""

import copy

import pytest
import torch
from parts import PATCH, randomize, tiny_rs_zeroseg, tiny_sam

from ovrs.errors import ConfigError
from ovrs.modeling.blocks.category_head import CosineHead, GatedDecoderHead
from ovrs.modeling.blocks.multi_scale_alignment import MultiScaleAlignment
from ovrs.modeling.blocks.text_gate import TextGate
from ovrs.modeling.windows import InferenceSettings
from ovrs.vocabulary import Vocabulary

WORDS = Vocabulary.parse("ship,bridge,water")
MODES = ("freeze", "attention", "full")


def close(a, b, tolerance=1e-5):
    torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


def picture(height=32, width=32, seed=0):
    return torch.randint(0, 256, (3, height, width), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def batch(count=2, vocabulary=WORDS, size=32):
    def target(seed):
        return torch.randint(0, vocabulary.num_classes, (size, size), generator=torch.Generator().manual_seed(seed))

    return [{"image": picture(size, size, i), "sem_seg": target(i), "vocabulary": vocabulary} for i in range(count)]


def gate():
    return TextGate(text_dim=24, feature_dim=16, dim=16)


def other_heads():
    torch.manual_seed(0)
    decoder = GatedDecoderHead.build(gate=gate(), dim=16, kernel=3, dims=[16, 16], guidance_dims=[8, 8], attention=True)
    return {"cosine": CosineHead(gate=gate()), "decoder": decoder}


@pytest.fixture(scope="module")
def model():
    return randomize(tiny_rs_zeroseg()).eval()


# ------------------------------------------------------------------ vocabularies


def test_permuted_classes_permute_the_maps_and_doubled_names_have_equal_ones(model):
    names = ["ship", "bridge", "water", "road", "tree"]
    order = [3, 0, 4, 1, 2]
    text = model.text_features(names)
    with torch.no_grad():
        maps = model.logits(picture()[None].float(), text)
        close(model.logits(picture()[None].float(), text[order]), maps[:, order])
        doubled = model.logits(picture()[None].float(), text[[0, 1, 0]])
    assert not torch.allclose(maps[:, 0], maps[:, 1])
    close(doubled[:, 0], doubled[:, 2])


def test_a_class_scores_the_same_whatever_other_classes_are_asked_for(model):
    with torch.no_grad():
        many = model.scores(picture()[None], Vocabulary.from_names([f"thing {i}" for i in range(7)]))
        close(model.scores(picture()[None], Vocabulary.parse("thing 4")), many[:, 4:5])


@pytest.mark.parametrize("chunk", [0, 1, 3])
def test_class_chunks_change_nothing(model, chunk):
    names = Vocabulary.from_names([f"thing {i}" for i in range(7)])
    with torch.no_grad():
        expected = model.scores(picture()[None], names)
        model.class_chunk, before = chunk, model.class_chunk
        close(model.scores(picture()[None], names), expected, 1e-6)
    model.class_chunk = before


@pytest.mark.parametrize("alignment", ["image", "region"])
def test_after_training_on_one_vocabulary_another_is_read_without_rebuilding(alignment):
    model = tiny_rs_zeroseg(alignment_of=alignment)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], 1e-3)
    for names in (WORDS, Vocabulary.parse("road,tree,field,roof,car")):
        sum(model.train()(batch(vocabulary=names)).values()).backward()
        optimizer.step()
    seventeen = Vocabulary.from_names([f"class {i}" for i in range(17)])
    assert model.eval()([{"image": picture(), "vocabulary": seventeen}])[0]["sem_seg"].shape == (17, 32, 32)


# ------------------------------------------------------------------ sizes


@pytest.mark.parametrize("size", [(32, 32), (40, 24), (37, 51), (9, 70), (5, 5)])
@pytest.mark.parametrize("mode", ["whole", "sliding"])
def test_any_size_and_aspect_comes_back_at_its_own_size(model, size, mode):
    model.inference, before = InferenceSettings(mode=mode, tile=32, overlap=0.5), model.inference
    answer = model([{"image": picture(*size), "vocabulary": WORDS}])[0]["sem_seg"]
    model.inference = before
    assert answer.shape == (3, *size) and answer.min() >= 0 and answer.max() <= 1


def test_a_patch_becomes_four_by_four_scores_and_a_batch_is_its_images_one_by_one(model):
    images = torch.stack([picture(40, 24, i) for i in range(2)])
    with torch.no_grad():
        scores = model.scores(images, WORDS)
        assert scores.shape == (2, 3, 40 // PATCH * 4, 24 // PATCH * 4)
        close(model.scores(images[1:], WORDS), scores[1:])


@pytest.mark.parametrize("patch", ["finer", "coarser"])
def test_the_streams_may_have_grids_of_their_own(patch):
    changes = {} if patch == "finer" else {"guidance_encoder": tiny_sam(layers=(3,))}  # patches of 4 and of 16, beside 8
    model = tiny_rs_zeroseg(**changes).eval()
    seen = []
    model.fusion.register_forward_hook(lambda _, __, streams: seen.append(streams))
    assert model([{"image": picture(40, 40), "vocabulary": WORDS}])[0]["sem_seg"].shape == (3, 40, 40)
    assert seen[0].fused.shape[-2:] == (4, 4) and seen[0].remote.shape[-2:] == ((8, 8) if patch == "finer" else (2, 2))


# ------------------------------------------------------------------ training


def expected_to_learn(name, train, remote):
    """By a parameter's name alone: whether it learns where the encoders train in these modes."""
    if name.startswith("guidance_encoder."):
        return remote == "full" or (remote == "attention" and ".attn." in name)
    if name.startswith("vision_language."):
        attention = name.endswith(("attn.q_proj_weight", "attn.v_proj_weight")) or name.startswith(
            "vision_language.text_tower.projection."
        )
        return train == "full" or (train == "attention" and attention)
    return True


@pytest.mark.parametrize("train", MODES)
@pytest.mark.parametrize("remote", MODES)
def test_all_nine_freezing_combinations_train_what_they_say_and_nothing_else(train, remote):
    model = randomize(tiny_rs_zeroseg(train=train, remote=remote)).train()
    outside = {f"vision_language.{name}" for name in model.vision_language.outside_dense_path()}
    outside.add("vision_language.logit_scale")
    before = copy.deepcopy(model.state_dict())
    sum(model(batch()).values()).backward()
    torch.optim.SGD([p for p in model.parameters() if p.requires_grad], 0.1).step()
    for name, parameter in model.named_parameters():
        if expected_to_learn(name, train, remote) and name not in outside:
            assert parameter.requires_grad and parameter.grad.isfinite().all() and parameter.grad.any(), name
        else:
            assert not parameter.requires_grad and parameter.grad is None, name
            assert torch.equal(parameter, before[name]), name


@pytest.mark.parametrize("name", ["cosine", "decoder"])
@pytest.mark.parametrize("scales", [(), (2, 1, 0.5)])
def test_with_any_head_and_without_alignment_every_parameter_learns(name, scales):
    alignment = MultiScaleAlignment(dim=32, out_dim=16, heads=2, scales=scales)
    model = randomize(tiny_rs_zeroseg(head=other_heads()[name], alignment=alignment, alignment_of="region")).train()
    sum(model(batch()).values()).backward()
    for name, parameter in model.named_parameters():
        assert (parameter.grad is not None and parameter.grad.any()) == parameter.requires_grad, name


def test_a_lambda_of_zero_leaves_the_alignment_out_and_other_values_scale_it():
    assert set(tiny_rs_zeroseg(text_projection=None, alignment_weight=0.0).train()(batch())) == {"loss_bce"}
    one, two = (tiny_rs_zeroseg(alignment_weight=weight).train()(batch()) for weight in (0.2, 0.4))
    close(2 * one["loss_align"], two["loss_align"])
    close(one["loss_bce"], two["loss_bce"])
    with pytest.raises(ConfigError, match="want each other"):
        tiny_rs_zeroseg(alignment_weight=0.0)
    with pytest.raises(ConfigError, match="choose image or region"):
        tiny_rs_zeroseg(alignment_of="pixel")


@pytest.mark.parametrize("ignored", ["mask", "negative"])
def test_what_is_predicted_where_labels_are_masked_does_not_change_the_loss(monkeypatch, ignored):
    model = tiny_rs_zeroseg(ignored=ignored).train()
    entries = batch()
    for entry in entries:
        entry["sem_seg"][:, 16:] = 255
    before = model(entries)["loss_bce"].item()
    undisturbed = model.head.forward
    beyond = 50.0 * (torch.arange(16) > 8)  # scores, two pixels each, that only ignored pixels are interpolated from
    monkeypatch.setattr(model.head, "forward", lambda features, text: undisturbed(features, text) + beyond)
    assert (model(entries)["loss_bce"].item() == pytest.approx(before, rel=1e-6)) == (ignored == "mask")


@pytest.mark.parametrize("alignment", ["image", "region"])
def test_a_batch_without_labels_costs_nothing(alignment):
    entries = batch()
    for entry in entries:
        entry["sem_seg"][:] = 255
    losses = tiny_rs_zeroseg(alignment_of=alignment).train()(entries)
    assert {name: value.item() for name, value in losses.items()} == {"loss_bce": 0, "loss_align": 0}


@pytest.mark.parametrize("head", ["carh", "cosine", "decoder"])
def test_two_images_can_be_learnt_by_heart(head):
    changes = {} if head == "carh" else {"head": other_heads()[head]}
    model = tiny_rs_zeroseg(**changes).train()
    pair = batch()
    for index, entry in enumerate(pair):
        entry["image"] = torch.zeros(3, 32, 32, dtype=torch.uint8)
        entry["image"][index, 8:24, :16] = 220
        entry["sem_seg"] = torch.full((32, 32), 2)
        entry["sem_seg"][8:24, :16] = index
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], 3e-3)
    seen = []
    for _ in range(150):
        losses = model(pair)
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
        seen.append(sum(losses.values()).item())
    maps = [answer["sem_seg"].argmax(0) for answer in model.eval()(pair)]
    for index, (found, entry) in enumerate(zip(maps, pair, strict=True)):
        wanted = entry["sem_seg"]
        for label in (index, 2):
            overlap = ((found == label) & (wanted == label)).sum() / ((found == label) | (wanted == label)).sum()
            assert overlap > 0.8, (label, overlap)
    assert seen[-1] < 0.4 * seen[0], seen


def test_weights_come_back_from_a_state_dict_under_another_seed(model):
    other = tiny_rs_zeroseg(seed=7).eval()
    other.load_state_dict(model.state_dict())
    with torch.no_grad():
        close(other.scores(picture()[None], WORDS), model.scores(picture()[None], WORDS), 0)


def test_the_remote_sensing_stream_is_read_and_the_gate_opens_by_the_words():
    model = randomize(tiny_rs_zeroseg()).eval()
    with torch.no_grad():
        before = model.scores(picture()[None], WORDS)
        model.guidance_encoder.encoder.patch_embed.proj.weight.mul_(-1)
        assert not torch.allclose(model.scores(picture()[None], WORDS), before)
        gates = model.head.gate(model._features(picture()[None].float()), torch.randn(1, 5, 24))
    assert gates.shape == (1, 5, 16, 16) and 0 < gates.min() < gates.max() < 1
