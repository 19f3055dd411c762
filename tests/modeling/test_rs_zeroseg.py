"""RS-ZeroSeg on tiny encoders: what it promises about vocabularies, sizes, and what its maps are made of."""

import pytest
import torch
from parts import PATCH, WORDS, picture, randomize, tiny_rs_zeroseg, tiny_sam

from ovrs.modeling.windows import InferenceSettings
from ovrs.vocabulary import Vocabulary

SEVEN = Vocabulary.from_names([f"thing {i}" for i in range(7)])


def close(a, b, tolerance=1e-5):
    torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


def built(**changes):
    """A model with random weights, in which classes differ by as much as they may at first."""
    model = randomize(tiny_rs_zeroseg(**changes)).eval()
    with torch.no_grad():
        model.head.gate.scale.fill_(5.0)
    return model


@pytest.fixture(scope="module", params=["carh", "cosine", "decoder"])
def model(request):
    return built(head=request.param)


# ------------------------------------------------------------------ vocabularies


def test_permuted_names_permute_the_maps_and_doubled_ones_have_equal_ones(model):
    order = [3, 0, 4, 1, 6, 2, 5]
    with torch.no_grad():
        maps = model.scores(picture()[None], SEVEN)
        close(model.scores(picture()[None], Vocabulary.from_names([SEVEN.names[i] for i in order])), maps[:, order])
        text = model.text_features(SEVEN.rows)
        doubled = model.logits(picture()[None].float(), text[[0, 1, 0]])
    assert not torch.allclose(maps[:, 0], maps[:, 1], atol=1e-3)
    close(doubled[:, 0], doubled[:, 2])


def test_a_class_scores_the_same_whatever_other_classes_are_asked_for():
    for head in ("carh", "cosine"):  # the decoder's attention averages over classes
        model = built(head=head)
        with torch.no_grad():
            many = model.scores(picture()[None], SEVEN)
            close(model.scores(picture()[None], Vocabulary.parse("thing 4")), many[:, 4:5])


@pytest.mark.parametrize("chunk", [1, 2, 3, 7])
def test_class_chunks_change_nothing_and_bound_what_is_computed_at_a_time(model, chunk, monkeypatch):
    last = model.head.proj if hasattr(model.head, "proj") else None  # of the head whose features are one map a class
    seen = []
    hook = last.register_forward_pre_hook(lambda _, args: seen.append(len(args[0]))) if last else None
    with torch.no_grad():
        monkeypatch.setattr(model, "class_chunk", 0)
        expected = model.scores(picture()[None], SEVEN)
        monkeypatch.setattr(model, "class_chunk", chunk)
        close(model.scores(picture()[None], SEVEN), expected, 1e-6)
    if hook:
        hook.remove()
        assert seen == [7] + [min(chunk, 7 - start) for start in range(0, 7, chunk)]


@pytest.mark.parametrize("changes", [{"align_loss": "image"}, {"align_loss": "region"}, {"head": "decoder"}])
def test_after_training_on_one_vocabulary_another_is_read_without_rebuilding(changes):
    model = tiny_rs_zeroseg(**changes)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], 1e-3)
    image = {"image": picture(), "sem_seg": torch.zeros(32, 32, dtype=torch.long)}
    for names in (WORDS, Vocabulary.parse("road,tree,field,roof,car")):
        sum(model.train()([{**image, "vocabulary": names}]).values()).backward()
        optimizer.step()
    seventeen = Vocabulary.from_names([f"class {i}" for i in range(17)])
    assert model.eval()([{**image, "vocabulary": seventeen}])[0]["sem_seg"].shape == (17, 32, 32)


# ------------------------------------------------------------------ sizes


@pytest.mark.parametrize("size", [(32, 32), (40, 24), (37, 51), (9, 70), (5, 5)])
@pytest.mark.parametrize("mode", ["whole", "sliding"])
def test_any_size_and_aspect_comes_back_at_its_own_size(model, size, mode, monkeypatch):
    monkeypatch.setattr(model, "inference", InferenceSettings(mode=mode, tile=32, overlap=0.5))
    answer = model([{"image": picture(*size), "vocabulary": WORDS}])[0]["sem_seg"]
    assert answer.shape == (3, *size) and answer.min() >= 0 and answer.max() <= 1


def test_a_patch_becomes_four_by_four_scores_and_a_batch_is_its_images_one_by_one(model):
    images = torch.stack([picture(40, 24, i) for i in range(2)])
    with torch.no_grad():
        scores = model.scores(images, WORDS)
        assert scores.shape == (2, 3, 40 // PATCH * 4, 24 // PATCH * 4)
        close(torch.cat([model.scores(image[None], WORDS) for image in images]), scores)
    entries = [{"image": picture(*size, seed=3), "vocabulary": WORDS} for size in ((40, 24), (32, 56))]
    for entry, answer in zip(entries, model(entries), strict=True):
        close(model([entry])[0]["sem_seg"], answer["sem_seg"])


@pytest.mark.parametrize("patch", ["finer", "coarser"])
def test_the_streams_may_have_grids_of_their_own(patch):
    changes = {} if patch == "finer" else {"guidance_encoder": tiny_sam(layers=(3,))}  # patches of 4 and of 16, beside 8
    model = tiny_rs_zeroseg(**changes).eval()
    seen = []
    model.fusion.register_forward_hook(lambda _, __, streams: seen.append(streams))
    assert model([{"image": picture(40, 40), "vocabulary": WORDS}])[0]["sem_seg"].shape == (3, 40, 40)
    assert seen[0].fused.shape[-2:] == (4, 4) and seen[0].remote.shape[-2:] == ((8, 8) if patch == "finer" else (2, 2))


# ------------------------------------------------------------------ what the maps are made of


def test_weights_come_back_from_a_state_dict_under_another_seed(model):
    head = {"CategoryAdaptiveHead": "carh", "CosineHead": "cosine"}.get(type(model.head).__name__, "decoder")
    other = tiny_rs_zeroseg(head=head, seed=7).eval()
    other.load_state_dict(model.state_dict())
    with torch.no_grad():
        assert torch.equal(other.scores(picture()[None], WORDS), model.scores(picture()[None], WORDS))


def test_the_gate_of_each_class_and_image_lies_between_0_and_1_and_follows_words_and_features():
    model = built()
    images = torch.stack([picture(40, 24, i) for i in range(2)]).float()
    with torch.no_grad():
        gates = model.head.gate(model._features(images), torch.randn(1, 5, 24).expand(2, -1, -1))
    assert gates.shape == (2, 5, 20, 12) and 0 < gates.min() < gates.max() < 1
    assert gates.std(dim=(2, 3)).min() > 1e-3 and gates.std(dim=1).min() > 1e-3 and (gates[0] - gates[1]).abs().max() > 1e-3


def test_each_stream_is_read_through_its_own_pixel_statistics():
    model = built()
    given = {}
    model.vision_language.visual.register_forward_pre_hook(lambda _, args: given.update(vision=args[0]))
    model.guidance_encoder.register_forward_pre_hook(lambda _, args: given.update(remote=args[0]))
    with torch.no_grad():
        before = model.scores(picture()[None], WORDS)
        close(given["vision"], (picture()[None].float() - 120) / 60)
        close(given["remote"], (picture()[None].float() - 110) / 50)
        model.guidance_encoder.encoder.patch_embed.proj.weight.mul_(-1)
        assert not torch.allclose(model.scores(picture()[None], WORDS), before)


def test_the_other_stream_reads_the_image_at_a_size_of_its_own():
    model = tiny_rs_zeroseg(guidance_size=48, fixed_size=32).eval()
    given = []
    model.guidance_encoder.register_forward_pre_hook(lambda _, args: given.append(args[0].shape))
    assert model([{"image": picture(40, 24), "vocabulary": WORDS}])[0]["sem_seg"].shape == (3, 40, 24)
    assert given == [(1, 3, 48, 48)]


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_stays_near_single(model, precision, monkeypatch):
    with torch.no_grad():
        single = model.scores(picture()[None], WORDS)
        monkeypatch.setattr(model, "precision", precision)
        half = model.scores(picture()[None], WORDS)
    assert half.dtype == torch.float32 and 0 < (single.sigmoid() - half.sigmoid()).abs().max() < 0.1
