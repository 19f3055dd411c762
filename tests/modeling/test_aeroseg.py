"""The whole system on tiny encoders: what it promises about vocabularies, sizes, gradients and memory of weights."""

import pytest
import torch
from parts import PATCH, randomize, tiny_aeroseg, tiny_sam, tiny_vision_language

from ovrs.errors import ConfigError
from ovrs.modeling.blocks.back_projection import SemanticBackProjection
from ovrs.modeling.blocks.text_gate import TextGate
from ovrs.modeling.losses import LossSettings, segmentation_loss
from ovrs.modeling.segmentation_model import LEFT_OUT
from ovrs.modeling.windows import InferenceSettings, resize
from ovrs.vocabulary import Background, Vocabulary

WORDS = Vocabulary.parse("ship,bridge,water")


def close(a, b, tolerance=1e-5):
    torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


def picture(height=32, width=32, seed=0):
    return torch.randint(0, 256, (3, height, width), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def batch(count=2, vocabulary=WORDS, size=32):
    def target(seed):
        return torch.randint(0, vocabulary.num_classes, (size, size), generator=torch.Generator().manual_seed(seed))

    return [{"image": picture(size, size, i), "sem_seg": target(i), "vocabulary": vocabulary} for i in range(count)]


@pytest.fixture(scope="module")
def model():
    return randomize(tiny_aeroseg()).eval()


# ------------------------------------------------------------------ vocabularies


def test_ten_training_names_then_seventeen_test_names_give_seventeen_maps():
    ten = Vocabulary.from_names([f"class {i}" for i in range(10)])
    seventeen = Vocabulary.from_names([f"class {i}" for i in range(17)])
    model = tiny_aeroseg(back_projection=SemanticBackProjection(classes=10, dim=32, hidden=[8], target_dim=16))
    assert set(model.train()(batch(vocabulary=ten))) == {"loss_bce", "loss_sem"}
    (answer,) = model.eval()([{"image": picture(), "vocabulary": seventeen}])
    assert answer["sem_seg"].shape == (17, 32, 32)
    assert set(model.train()(batch(vocabulary=ten))) == {"loss_bce", "loss_sem"}
    assert model.eval()([{"image": picture(), "vocabulary": WORDS}])[0]["sem_seg"].shape == (3, 32, 32)


def test_permuted_classes_permute_the_maps(model):
    names = ["ship", "bridge", "water", "road", "tree"]
    order = [3, 0, 4, 1, 2]
    with torch.no_grad():
        maps = model.scores(picture()[None], Vocabulary.from_names(names))
        close(model.scores(picture()[None], Vocabulary.from_names([names[i] for i in order])), maps[:, order])


def test_the_score_of_a_class_is_that_of_its_best_word(model):
    with torch.no_grad():
        words = model.scores(picture()[None], Vocabulary.parse("ship,boat,vessel,bridge"))
        merged = model.scores(picture()[None], Vocabulary.parse("ship|boat|vessel,bridge"))
    close(merged, torch.stack([words[:, :3].amax(1), words[:, 3]], dim=1))


def test_background_words_compete_and_a_threshold_is_a_constant(model):
    with torch.no_grad():
        three = model.scores(picture()[None], WORDS)
        words = Vocabulary.parse("ship,bridge").with_background(Background("words", ("water",)))
        close(model.scores(picture()[None], words), three)
    threshold = WORDS.with_background(Background("threshold", threshold=0.6))
    scores = model([{"image": picture(), "vocabulary": threshold}])[0]["sem_seg"]
    close(scores[3], torch.full((32, 32), 0.6))
    assert torch.equal(scores.argmax(0) == 3, scores[:3].amax(0) < 0.6)


def test_text_is_read_once_per_vocabulary_and_again_when_its_weights_change():
    model = tiny_aeroseg().eval()
    tower = model.vision_language.text_tower
    with torch.no_grad():
        first = model.scores(picture()[None], WORDS)
        model.scores(picture(seed=1)[None], WORDS)
        assert tower.calls == 1
        model.scores(picture()[None], Vocabulary.parse("road"))
        model.scores(picture()[None], WORDS)
        assert tower.calls == 2
        tower.projection.weight.mul_(-1.5)
        changed = model.scores(picture()[None], WORDS)
    assert tower.calls == 3 and not torch.allclose(first, changed)
    model.train()
    torch.optim.SGD(model.parameters(), 0.1).zero_grad()
    sum(model(batch()).values()).backward()
    torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], 0.1).step()
    with torch.no_grad():
        assert not torch.allclose(model.eval().scores(picture()[None], WORDS), changed)


def test_above_the_limit_only_the_best_matching_rows_of_each_image_are_aggregated():
    model = randomize(tiny_aeroseg(max_classes=4)).eval()
    names = Vocabulary.from_names([f"thing {i}" for i in range(9)])
    images = torch.stack([picture(seed=1), picture(seed=2)])
    with torch.no_grad():
        maps = model.scores(images, names)
        left_out = (maps == LEFT_OUT).flatten(2).all(-1)
        assert left_out.sum(1).tolist() == [5, 5] and not (maps == LEFT_OUT)[~left_out].any()
        kept = [names.names[i] for i in range(9) if not left_out[0, i]]
        close(model.scores(images[:1], Vocabulary.from_names(kept))[0], maps[0][~left_out[0]])
        order = torch.randperm(9)
        close(model.scores(images, Vocabulary.from_names([names.names[i] for i in order])), maps[:, order])


@pytest.mark.parametrize("chunk", [0, 1, 3])
def test_class_chunks_change_nothing(model, chunk):
    names = Vocabulary.from_names([f"thing {i}" for i in range(7)])
    expected = tiny_scores(model, names)
    model.class_chunk, before = chunk, model.class_chunk
    close(tiny_scores(model, names), expected)
    model.class_chunk = before


def tiny_scores(model, names):
    with torch.no_grad():
        return model.scores(picture()[None], names)


# ------------------------------------------------------------------ sizes


@pytest.mark.parametrize("size", [(32, 32), (40, 24), (37, 51), (9, 70), (5, 5)])
@pytest.mark.parametrize("mode", ["whole", "sliding"])
def test_any_size_and_aspect_comes_back_at_its_own_size(model, size, mode):
    model.inference, before = InferenceSettings(mode=mode, tile=32, overlap=0.5), model.inference
    answer = model([{"image": picture(*size), "vocabulary": WORDS}])[0]["sem_seg"]
    model.inference = before
    assert answer.shape == (3, *size) and answer.min() >= 0 and answer.max() <= 1


def test_an_image_that_fills_whole_patches_is_not_moved_by_the_padding_of_a_larger_one(model):
    """The padded rows are cut off exactly: an edge repeated by hand gives the same scores inside."""
    model.inference, before = InferenceSettings(mode="whole"), model.inference
    image = picture(30, 27)
    by_hand = torch.nn.functional.pad(image[None].float(), (0, 5, 0, 2), mode="replicate")[0]
    small, large = (model([{"image": x, "vocabulary": WORDS}])[0]["sem_seg"] for x in (image, by_hand))
    model.inference = before
    close(small, large[:, :30, :27])


def test_a_batch_is_its_images_one_by_one(model):
    entries = [{"image": picture(32, 40, i), "vocabulary": WORDS} for i in range(3)]
    together = model(entries)
    for entry, answer in zip(entries, together, strict=True):
        close(model([entry])[0]["sem_seg"], answer["sem_seg"])
    images = torch.stack([entry["image"] for entry in entries])
    with torch.no_grad():
        close(model.scores(images, WORDS)[1], model.scores(images[1:2], WORDS)[0])


def test_the_answer_has_the_height_and_width_asked_for(model):
    answer = model([{"image": picture(), "vocabulary": WORDS, "height": 50, "width": 20}])
    assert answer[0]["sem_seg"].shape == (3, 50, 20)


def test_a_constant_model_gives_a_constant_map_under_windows(model, monkeypatch):
    def constant(images, text):
        size = [side // PATCH * 4 for side in images.shape[-2:]]
        return torch.arange(len(text)).float().view(1, -1, 1, 1).expand(len(images), -1, *size).clone()

    monkeypatch.setattr(model, "logits", constant)
    for settings in (InferenceSettings("sliding", 32, 0.3), InferenceSettings("sliding", 32, 0.5, True)):
        monkeypatch.setattr(model, "inference", settings)
        scores = model.score_map(picture(75, 130), WORDS)
        close(scores, torch.arange(3).float().sigmoid().view(3, 1, 1).expand_as(scores), 1e-6)


def test_cat_seg_s_protocol_is_four_windows_and_a_global_view(model, monkeypatch):
    seen = []
    monkeypatch.setattr(model, "inference", InferenceSettings("catseg"))
    monkeypatch.setattr(
        model, "scores", lambda views, vocabulary: seen.append(views.shape) or views.mean(1, keepdim=True) / 100
    )
    image = picture(300, 500)
    answer = model([{"image": image, "vocabulary": Vocabulary.parse("ship")}])[0]["sem_seg"]
    assert seen == [(1, 3, 384, 384)] * 5 and answer.shape == (1, 300, 500)


# ------------------------------------------------------------------ training


@pytest.mark.parametrize("guidance", ["sam", "clip"])
@pytest.mark.parametrize("train", ["freeze", "attention", "full"])
def test_every_trainable_parameter_gets_a_gradient_and_no_frozen_one(guidance, train):
    changes = {"loss": LossSettings(alignment_weight=1.0)}
    if guidance == "clip":
        changes["back_projection"] = SemanticBackProjection(classes=3, dim=32, hidden=[8], target_dim=24)
    model = randomize(tiny_aeroseg(guidance=guidance, train=train, **changes)).train()
    sum(model(batch()).values()).backward()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name
        else:
            assert parameter.grad is None, name
    frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    if train == "full":
        outside = {f"vision_language.{name}" for name in model.vision_language.outside_dense_path()}
        assert {name for name in frozen if not name.startswith("guidance_encoder.")} == outside
    if guidance == "sam":
        assert {name for name in frozen if name.startswith("guidance_encoder.")} == {
            name for name, _ in model.named_parameters() if name.startswith("guidance_encoder.")
        }


def test_guidance_can_be_fine_tuned():
    model = randomize(tiny_aeroseg(guidance_encoder=tiny_sam(train="full"))).train()
    sum(model(batch()).values()).backward()
    missing = [n for n, p in model.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())]
    # The logit scale and what lies outside the dense path are frozen; SAM's neck is on no path to layer 3.
    assert missing == []


def test_two_images_overfit():
    model = tiny_aeroseg(loss=LossSettings(ignored="mask"), seed=1).train()
    pair = batch(2)
    for entry, rows in zip(pair, ((0, 1), (2, 0)), strict=True):
        entry["sem_seg"] = torch.cat([torch.full((16, 32), rows[0]), torch.full((16, 32), rows[1])])
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], 3e-3)
    for _ in range(60):
        losses = model(pair)
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
    maps = [answer["sem_seg"].argmax(0) for answer in model.eval()(pair)]
    right = [(a == entry["sem_seg"]).float().mean().item() for a, entry in zip(maps, pair, strict=True)]
    assert min(right) > 0.95, right


@pytest.mark.parametrize(("target", "dim"), [("rgb", 3), ("clip", 24), ("guidance", 16)])
def test_back_projection_reproduces_what_it_is_told_to_in_training_only(target, dim):
    back = SemanticBackProjection(classes=3, dim=32, hidden=[8], target_dim=dim)
    model = tiny_aeroseg(back_target=target, back_projection=back, loss=LossSettings(semantic_weight=2.0))
    called = []
    back.register_forward_hook(lambda *_: called.append(1))
    losses = model.train()(batch())
    assert losses["loss_sem"] > 0 and called == [1]
    model.eval()([{"image": picture(), "vocabulary": WORDS}])
    assert called == [1]


def test_a_training_batch_shares_one_vocabulary():
    entries = [*batch(1), *batch(1, Vocabulary.parse("ship,bridge,road"))]
    with pytest.raises(ValueError, match="share their vocabulary"):
        tiny_aeroseg().train()(entries)


def test_what_is_squeezed_to_a_fixed_size_trains_on_its_own_pixels_alone():
    model = tiny_aeroseg(fixed_size=32).train()
    entries = batch(size=36)  # no whole patches, so that padding it would make 40
    with torch.no_grad():
        images = torch.stack([resize(entry["image"][None].float(), (32, 32))[0] for entry in entries])
        logits = model.logits(images, model.text_features(WORDS.rows))
        expected = segmentation_loss(logits, torch.stack([entry["sem_seg"] for entry in entries]))
        close(model(entries)["loss_bce"], expected)


# ------------------------------------------------------------------ precision


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_stays_near_single(precision):
    single, half = randomize(tiny_aeroseg()).eval(), randomize(tiny_aeroseg(precision=precision)).eval()
    with torch.no_grad():
        a, b = (model.scores(picture()[None], WORDS) for model in (single, half))
    assert b.dtype == torch.float32
    assert (a.sigmoid() - b.sigmoid()).abs().max() < 0.1
    losses = half.train()(batch())
    sum(losses.values()).backward()
    assert all(torch.isfinite(value) for value in losses.values())


def test_taps_of_the_vision_language_encoder_are_those_of_the_unrotated_image():
    model = randomize(tiny_aeroseg(guidance="clip")).eval()
    image = picture()[None].float()
    normal = model.vision_normalization(image)
    alone = tiny_vision_language(taps=(1, 2))
    alone.load_state_dict(model.vision_language.state_dict())
    with torch.no_grad():
        refined, _ = model._refine(image, model.text_features(WORDS.rows))
        close(refined.guidance, alone.image(normal).dense)
        early = model.decoder_guidance[0](alone.image(normal).taps[0], (8, 8))
        close(refined.decoder_guidance[0], early)


def test_guidance_covers_the_same_frame_where_patches_differ():
    """40 pixels are five patches of 8 but not whole patches of SAM's 16: its input is stretched, not padded."""
    model = tiny_aeroseg().eval()
    seen = []
    model.guidance_encoder.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    image = torch.arange(40.0).expand(1, 3, 40, 40)
    with torch.no_grad():
        model.scores(image, WORDS)
        model.scores(image[..., :32, :32], WORDS)
    stretched, kept = seen
    assert stretched.shape[-2:] == (48, 48) and kept.shape[-2:] == (32, 32)
    close(stretched[..., -1], torch.full_like(stretched[..., -1], float((39.0 - 110) / 50)))


@pytest.mark.parametrize("fused", [True, False])
def test_text_follows_weights_whatever_steps_them(fused):
    model = tiny_aeroseg()
    before = model.eval().text_features(("ship",)).clone()
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, 0.1, fused=fused)
    sum(model.train()(batch()).values()).backward()
    optimizer.step()
    with torch.no_grad():
        assert not torch.allclose(model.eval().text_features(("ship",)), before)


def test_training_on_another_number_of_classes_names_the_way_out():
    with pytest.raises(ConfigError, match="POOL_CLASSES"):
        tiny_aeroseg().train()(batch(vocabulary=Vocabulary.parse("ship,bridge")))
    with pytest.raises(ConfigError, match="MAX_CLASSES"):
        tiny_aeroseg(max_classes=2).train()(batch())


def test_a_text_gate_is_one_more_refinement_that_learns_and_knows_no_order_of_classes():
    gate = TextGate(text_dim=16, feature_dim=16, dim=8)
    model = randomize(tiny_aeroseg(text_gate=gate)).train()
    sum(model(batch()).values()).backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in gate.parameters())
    order = [2, 0, 1]
    text = model.eval().text_features(WORDS.rows)
    image = picture()[None].float()
    with torch.no_grad():
        refined = model._refine(image, text)[0].phi
        close(model.logits(image, text[order]), model.logits(image, text)[:, order])
        gate.scale.zero_()
        gate.bias.fill_(50.0)  # wide open
        opened = model._refine(image, text)[0].phi
        model.text_gate = None
        close(model._refine(image, text)[0].phi, opened)
    assert not torch.allclose(refined, opened)


def test_guidance_layers_may_be_listed_in_any_order_and_twice():
    model = tiny_aeroseg(guidance_encoder=tiny_sam(layers=(3, 1, 1))).eval()
    assert model([{"image": picture(), "vocabulary": WORDS}])[0]["sem_seg"].shape == (3, 32, 32)


@pytest.mark.parametrize("size", [(32, 32), (24, 40)])
def test_a_turned_image_turns_the_cost_volume_and_shifts_its_rotation_axis(model, size):
    """With the vision transformer itself, whose position embeddings do not turn: the ensemble is what makes it so."""
    image = picture(*size)[None].float()
    text = model.text_features(WORDS.rows)
    with torch.no_grad():
        upright, turned = (
            model._refine(view, text)[0].cost.unflatten(1, (4, 4)) for view in (image, torch.rot90(image, 1, (2, 3)))
        )
    close(turned, torch.rot90(upright.roll(-1, dims=1), 1, (-2, -1)))
