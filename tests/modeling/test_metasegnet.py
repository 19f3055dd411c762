"""MetaSegNet on tiny encoders: what it makes of prompts and of names, and what trains."""

import logging
from dataclasses import replace

import pytest
import torch
from block_checks import close
from described_parts import placed, tiny_metasegnet
from parts import HashedTokens, picture

from ovrs.climate.bank import NEUTRAL
from ovrs.errors import ConfigError
from ovrs.modeling.complexity import count_parameters
from ovrs.modeling.metasegnet import Objective
from ovrs.modeling.softmax_losses import class_dice, cross_entropy, pixel_dice
from ovrs.modeling.windows import resize
from ovrs.vocabulary import Vocabulary

SEVEN = Vocabulary.from_names([f"thing {i}" for i in range(7)])


@pytest.fixture(scope="module", params=[False, True], ids=["Swin", "tower"])
def model(request):
    return tiny_metasegnet(tower=request.param).eval()


def shares(model, entry, vocabulary=None, **changes):
    """The answer to one input, [N, h, w]."""
    asked = {**entry, **changes, **({"vocabulary": vocabulary} if vocabulary else {})}
    return model([{key: value for key, value in asked.items() if value is not None}])[0]["sem_seg"]


# ------------------------------------------------------------------------- names


def test_shares_are_those_of_all_names_and_have_the_size_of_the_image(model):
    found = shares(model, placed(1, size=96)[0])
    assert found.shape == (3, 96, 96) and found.std() > 0
    close(found.sum(dim=0), torch.ones(96, 96))


def test_an_image_that_is_no_square_is_answered_in_the_size_that_is_asked_for(model):
    (entry,) = placed(1)
    entry["image"] = picture(96, 128)
    found = shares(model, entry)
    assert found.shape == (3, 96, 128) and found.std() > 0
    asked = shares(model, entry, height=50, width=170)
    assert asked.shape == (3, 50, 170)
    close(asked.sum(dim=0), torch.ones(50, 170), 1e-4)
    # Both are enlarged from the same scores, and so differ a little from one enlarged out of the other.
    assert (asked - resize(found[None], (50, 170))[0]).abs().mean() < 0.2 * found.std()


def test_scores_are_a_quarter_of_the_side_of_the_image_or_that_of_the_finest_level(model):
    image = placed(1)[0]["image"].float()[None]
    with torch.no_grad():
        found = model.scores(image, SEVEN)
    finest = model.image_encoder.strides[0]
    assert found.shape == (1, 7, 64 // finest, 64 // finest)
    assert model.scores_per_patch * finest == model.size_divisor


def test_permuted_names_permute_the_maps(model):
    image, order = placed(1)[0]["image"].float()[None], [3, 0, 4, 1, 6, 2, 5]
    with torch.no_grad():
        maps = model.scores(image, SEVEN)
        close(model.scores(image, Vocabulary.from_names([SEVEN.names[i] for i in order])), maps[:, order])
    assert not torch.allclose(maps[:, 0], maps[:, 1], atol=1e-3)


def test_a_name_with_synonyms_is_its_best_word_and_shares_with_no_other_of_them(model):
    image, together = placed(1)[0]["image"].float()[None], Vocabulary.parse("thing 0|thing 1,thing 2")
    with torch.no_grad():
        found = model.scores(image, together).sigmoid()
        words = model._classified(image, model.text_of(together))[0]
    close(found.sum(dim=1), torch.ones_like(found[:, 0]))
    close(found[:, 0], torch.sigmoid(words[:, :2].amax(dim=1) - words[:, 2]))


def test_a_model_closed_to_three_classes_refuses_others():
    model = tiny_metasegnet(closed=3).eval()
    (entry,) = placed(1)
    known = shares(model, entry)
    assert known.shape == (3, 64, 64)
    close(shares(model, entry, Vocabulary.parse("ship|vessel,bridge,water|sea|river")), known)
    with pytest.raises(ConfigError, match="head is bound to the 3 classes.*'thing 0' is none of them; another takes any"):
        shares(model, entry, SEVEN)


# ----------------------------------------------------------------------- prompts


def test_the_prompt_and_each_of_its_words_change_the_answer(model):
    (entry,) = placed(1)
    known = shares(model, entry)
    for other in ("roofs are steep and red", entry["description"].replace("flat", "steep")):
        assert (shares(model, entry, description=other) - known).abs().max() > 1e-4
    close(shares(model, entry, entry["vocabulary"].with_description(entry["description"]), description=None), known, 0.0)


def test_without_a_prompt_the_neutral_one_is_read_and_that_is_said_once(caplog):
    model = tiny_metasegnet().eval()
    (entry,) = placed(1)
    with caplog.at_level(logging.WARNING):
        neutral = shares(model, entry, description=NEUTRAL)
        assert not caplog.messages
        for nothing in (None, ""):
            close(shares(model, entry, description=nothing), neutral, 0.0)
    assert NEUTRAL == "It is a remote sensing image."
    assert caplog.messages == [f'nothing is said of the image: the neutral prompt is read, "{NEUTRAL}"']
    assert not torch.allclose(neutral, shares(model, entry), atol=1e-4)


def test_words_alone_are_read_with_the_neutral_prompt(model):
    image = placed(1)[0]["image"].float()[None]
    with torch.no_grad():
        found = model.scores_of(image, model.text_features(SEVEN.rows), SEVEN)
        close(found, model.scores(image, SEVEN.with_description(NEUTRAL)))


def test_images_of_a_batch_read_each_its_own_prompt_and_padding_of_the_other_is_none_of_it():
    model = tiny_metasegnet().eval()
    entries = placed(2)
    images = torch.stack([entry["image"].float() for entry in entries])
    with torch.no_grad():
        together = model.logits(images, model.training_text(entries[0]["vocabulary"], entries))
        for number, entry in enumerate(entries):
            alone = model.logits(images[number : number + 1], model.training_text(entry["vocabulary"], [entry]))
            close(together[number : number + 1], alone)


def test_a_frozen_encoder_reads_each_prompt_once_in_training_and_the_neutral_one_once_for_all_names():
    model = tiny_metasegnet(tower=True).train()
    model(placed(4))
    calls = model.text_encoder.words.calls
    model(placed(2))
    assert calls == 3 and model.text_encoder.words.calls == calls  # two prompts, and the neutral one beside the names
    model.eval()
    image = placed(1)[0]["image"].float()[None]
    with torch.no_grad():
        for vocabulary in (SEVEN, Vocabulary.parse("ship"), Vocabulary.parse("road,tree")):
            model.scores(image, vocabulary)
    assert model.text_encoder.words.calls == calls + 1


def test_a_prompt_is_read_once_and_names_once_a_vocabulary():
    model = tiny_metasegnet().eval()
    (entry,) = placed(1)
    shares(model, entry)
    calls = model.text_encoder.words.calls
    shares(model, entry)
    assert model.text_encoder.words.calls == calls
    shares(model, entry, description="something new is said")
    assert model.text_encoder.words.calls == calls + 1
    with torch.no_grad():
        model.text_encoder.words.projection.weight.neg_()
    shares(model, entry)
    assert model.text_encoder.words.calls > calls + 1


def test_a_model_without_alignment_reads_no_prompt():
    model = tiny_metasegnet(text=False).eval()
    (entry,) = placed(1)
    assert not model.reads_descriptions and not model.reads_places
    close(shares(model, entry), shares(model, entry, description="something else"), 0.0)
    assert tiny_metasegnet().reads_places
    seeing = tiny_metasegnet(text=False, closed=3, text_encoder=None).eval()
    assert shares(seeing, entry).shape == (3, 64, 64)
    assert count_parameters(seeing).text == 0


def test_without_the_prior_the_text_comes_by_attention_alone():
    model = tiny_metasegnet(prior=None).eval()
    (entry,) = placed(1)
    assert not torch.allclose(shares(model, entry), shares(model, entry, description="red"), atol=1e-5)


def test_a_model_counts_tokens_as_its_encoder_does():
    model = tiny_metasegnet()
    assert (model.count_tokens("flat and pale"), model.most_tokens) == (3, 64)


# ------------------------------------------------------------------------- losses


def test_a_training_step_has_three_losses_and_a_loss_without_weight_is_not_computed():
    entries = placed(4)
    losses = tiny_metasegnet().train()(entries)
    assert losses.keys() == {"loss_ce", "loss_dice", "loss_matching"} and all(loss > 0 for loss in losses.values())
    changed = tiny_metasegnet(objective=Objective(ce=0.5, dice=0.0), matching=None).train()(entries)
    assert changed.keys() == {"loss_ce"}
    close(changed["loss_ce"], 0.5 * losses["loss_ce"])
    literal = tiny_metasegnet(objective=Objective(smoothing=0.0, pixel_dice=True)).train()(entries)
    assert not torch.allclose(literal["loss_ce"], losses["loss_ce"])
    assert not torch.allclose(literal["loss_dice"], losses["loss_dice"])


def test_one_prompt_gives_no_matching_loss_and_that_is_said_once_when_the_queue_holds_no_other(caplog):
    model = tiny_metasegnet(queue=4).train()
    entries = [{**entry, "description": "one prompt"} for entry in placed(2)]
    with caplog.at_level(logging.WARNING):
        for step in range(5):
            assert model(entries)["loss_matching"] == 0
            assert bool(caplog.messages) == (step >= 2)
    (said,) = caplog.messages
    assert said.startswith("the last 6 pairs have the same prompt") and "matching loss is 0" in said
    silent = tiny_metasegnet(queue=4).train()
    caplog.clear()
    for number in range(4):
        silent([{**entry, "description": f"prompt {number % 2}"} for entry in placed(2)])
    assert not caplog.messages


def test_images_without_a_prompt_have_the_neutral_one_and_so_the_same():
    model = tiny_metasegnet().train()
    entries = placed(2)
    for entry, said in zip(entries, ("", NEUTRAL), strict=True):
        entry["description"] = said
    assert model(entries)["loss_matching"] == 0


def test_pairs_of_the_batches_before_are_met_again_and_evaluation_adds_none():
    model = tiny_metasegnet(queue=4).train()
    model(placed(2))
    assert len(model.matching.queue) == 2
    shares(model.eval(), placed(1)[0])
    assert len(model.matching.queue) == 2
    alike = [{**entry, "description": "roofs are steep and red"} for entry in placed(2)]
    assert model.train()(alike)["loss_matching"] > 0  # the other prompt is in the queue


@pytest.mark.parametrize("tower", [False, True], ids=["Swin", "tower"])
def test_a_step_reaches_all_that_trains_and_nothing_that_is_frozen(tower):
    model = tiny_metasegnet(tower=tower).train()
    entries = placed(4)
    for _ in range(2):
        model.zero_grad()
        sum(model(entries).values()).backward()
        reached = {name for name, p in model.named_parameters() if p.grad is not None and p.grad.any()}
        trained = {name for name, p in model.named_parameters() if p.requires_grad}
        # Of one place a window, attention has nothing to choose from (the tiny Swin's last stages).
        lacking = {name for name in trained - reached if "relative_position_bias_table" not in name}
        assert lacking == set() and reached <= trained
    assert not any(name.startswith("text_encoder.") for name in trained)


def test_a_text_encoder_that_trains_is_read_with_gradients():
    model = tiny_metasegnet(text_encoder=HashedTokens(24)).train()
    sum(model(placed(2)).values()).backward()
    assert model.text_encoder.words.projection.weight.grad.any()


def test_ignored_pixels_do_not_count():
    model = tiny_metasegnet(matching=None).train()
    entries = placed(2)
    for entry in entries:
        entry["sem_seg"][:] = 255
    losses = model(entries)
    assert all(loss == 0 and loss.requires_grad for loss in losses.values())


@pytest.mark.parametrize("loss", [cross_entropy, class_dice, pixel_dice])
def test_what_is_said_where_a_label_is_ignored_does_not_change_the_loss(loss):
    torch.manual_seed(0)
    logits, target = torch.randn(2, 3, 8, 8), torch.randint(0, 3, (2, 8, 8))
    target[0, :3], target[1, :, 5:] = 255, 255
    other = torch.where((target == 255)[:, None], torch.randn(2, 3, 8, 8) * 5, logits)
    known = loss(logits, target)
    close(loss(other, target), known)
    labelled = target.clone()
    labelled[0, :3] = (labelled[1, :3] + 1) % 3
    labelled[labelled == 255] = 0
    assert (loss(logits, labelled) - known).abs() > 1e-4  # the same pixels with labels do count
    assert (loss(other, labelled) - loss(logits, labelled)).abs() > 1e-3


def test_sizes_that_do_not_fit_are_refused():
    with pytest.raises(ConfigError, match="MODEL.FIXED_SIZE is 48; MetaSegNet needs a multiple of 32, or 0"):
        tiny_metasegnet(fixed_size=48)


def test_mixed_precision_answers_as_single():
    (entry,) = placed(1)
    close(shares(tiny_metasegnet(precision="bf16").eval(), entry), shares(tiny_metasegnet().eval(), entry), 0.05)
    losses = tiny_metasegnet(precision="bf16").train()(placed(4))
    assert all(loss.isfinite() and loss.dtype == torch.float32 for loss in losses.values())


def test_text_that_is_embedded_already_is_taken_as_it_is(model):
    image = placed(1)[0]["image"].float()[None]
    text = model.text_of(SEVEN)
    with torch.no_grad():
        doubled = model.logits(image, replace(text, classes=text.classes[[0, 1, 0]], counts=()))
    close(doubled[:, 0], doubled[:, 2])


def test_a_rule_that_only_the_prompt_tells_is_learnt():
    """The same two images, labelled otherwise under each prompt: nothing but the text says which labels are right."""
    model = tiny_metasegnet(closed=3).train()
    entries = []
    for number, entry in enumerate([*placed(2), *placed(2)]):
        entry["image"] = placed(1)[0]["image"]
        entry["sem_seg"] = torch.zeros(64, 64, dtype=torch.long)
        entry["sem_seg"][:, 32:] = 1 + number % 2
        entries.append(entry)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=5e-3)
    for _ in range(60):
        losses = sum(model(entries).values())
        optimizer.zero_grad()
        losses.backward()
        optimizer.step()
    model.eval()
    for entry in entries[:2]:
        right = (shares(model, entry).argmax(dim=0) == entry["sem_seg"]).float().mean()
        assert right > 0.9


def test_two_images_are_learnt_by_heart_with_an_open_head():
    model = tiny_metasegnet(tower=True, objective=Objective(smoothing=0.0)).train()
    entries = placed(2)
    for number, entry in enumerate(entries):
        entry["sem_seg"][:] = 0
        entry["sem_seg"][16:48, 24:] = 1 + number
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=3e-3)
    course = []
    for _ in range(100):
        losses = sum(model(entries).values())
        optimizer.zero_grad()
        losses.backward()
        optimizer.step()
        course.append(losses.item())
    assert course[-1] < 0.4 * course[0]
    model.eval()
    ious = []
    for entry in entries:
        guess = shares(model, entry).argmax(dim=0)
        for number in entry["sem_seg"].unique():
            there, said = entry["sem_seg"] == number, guess == number
            ious.append(float((there & said).sum() / (there | said).sum()))
    assert sum(ious) / len(ious) > 0.8
