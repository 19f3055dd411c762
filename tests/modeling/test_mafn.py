"""MAFN on tiny encoders: sentences, sizes, gradients, its loss, and learning to tell two sentences apart."""

import copy

import numpy as np
import pytest
import torch
from parts import tiny_mafn

from ovrs.errors import ConfigError, DataError
from ovrs.modeling.referring_loss import referring_losses
from ovrs.vocabulary import Vocabulary

SENTENCES = ["the ship on the left", "the ship on the right", "a road"]


def close(a, b, tolerance=1e-5):
    torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


def picture(height=64, width=64, seed=0):
    return torch.randint(0, 256, (3, height, width), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def batch(count=2, size=64):
    masks = [torch.zeros(size, size, dtype=torch.bool) for _ in range(count)]
    for number, mask in enumerate(masks):
        mask[8 * number : 8 * number + 24, 16:40] = True
    pairs = zip(masks, SENTENCES, strict=False)
    return [{"image": picture(size, size, i), "expression": s, "mask": m} for i, (m, s) in enumerate(pairs)]


def judged(model):
    """The model in evaluation mode, with statistics of its batch norms that let something through."""
    with torch.no_grad():
        for _ in range(3):
            model.train()(batch(3))
    return model.eval()


@pytest.fixture(scope="module")
def model():
    return judged(tiny_mafn())


# ------------------------------------------------------------------ sentences


def test_a_sentence_scores_the_same_alone_among_others_and_in_any_order(model):
    names = Vocabulary.from_names(SENTENCES)
    with torch.no_grad():
        maps = model.scores(picture()[None], names)
        close(model.scores(picture()[None], Vocabulary.from_names(SENTENCES[::-1])), maps.flip(1))
        close(model.scores(picture()[None], Vocabulary.from_names(SENTENCES[2:])), maps[:, 2:])
    assert (maps[:, 0] - maps[:, 1]).abs().max() > 1e-4


@pytest.mark.parametrize("chunk", [0, 1, 2])
def test_sentences_in_parts_are_the_sentences_together(model, chunk):
    images = torch.stack([picture(seed=1), picture(seed=2)])
    with torch.no_grad():
        expected = model.scores(images, Vocabulary.from_names(SENTENCES))
        model.class_chunk, before = chunk, model.class_chunk
        close(model.scores(images, Vocabulary.from_names(SENTENCES)), expected)
        close(model.scores(images[1:], Vocabulary.from_names(SENTENCES)), expected[1:])
    model.class_chunk = before


def test_padding_of_shorter_sentences_never_matters(model):
    text = model.text_features(SENTENCES)
    noise = torch.where(text.mask.unsqueeze(-1), text.tokens, torch.randn_like(text.tokens) * 9)
    with torch.no_grad():
        images = picture()[None].float()
        close(model.logits(images, type(text)(noise, text.mask, text.pooled)), model.logits(images, text))


def test_an_expression_is_a_vocabulary_of_one(model):
    (one,) = model([{"image": picture(), "expression": SENTENCES[0]}])
    (two,) = model([{"image": picture(), "vocabulary": Vocabulary.from_names(SENTENCES[:1])}])
    assert one["sem_seg"].shape == (1, 64, 64)
    close(one["sem_seg"], two["sem_seg"])


def test_the_blind_model_answers_every_sentence_alike():
    blind = judged(tiny_mafn(blind=True))
    with torch.no_grad():
        maps = blind.scores(picture()[None], Vocabulary.from_names(SENTENCES))
    close(maps[:, 0], maps[:, 2])


def test_a_sentence_is_read_once_and_not_in_several_prompts():
    with pytest.raises(ConfigError, match="MODEL.PROMPTS has 2 templates"):
        tiny_mafn(templates=("{}", "a photo of {}"))


# ------------------------------------------------------------------ sizes


@pytest.mark.parametrize("size", [(96, 128), (64, 32), (37, 51), (9, 70)])
def test_any_size_comes_back_at_its_own_size(model, size):
    (answer,) = model([{"image": picture(*size), "expression": SENTENCES[0]}])
    assert answer["sem_seg"].shape == (1, *size) and answer["sem_seg"].min() >= 0 and answer["sem_seg"].max() <= 1


def test_several_sentences_come_back_at_the_size_that_is_asked_for(model):
    entry = {"image": picture(96, 128), "vocabulary": Vocabulary.from_names(SENTENCES), "height": 50, "width": 31}
    assert model([entry])[0]["sem_seg"].shape == (3, 50, 31)


# ------------------------------------------------------------------ training


@pytest.mark.parametrize("decoder_input", ["fused", "lang"])
def test_every_parameter_learns(decoder_input):
    model = tiny_mafn(decoder_input=decoder_input).double().train()
    for name, parameter in model.named_parameters():
        if name.endswith("squeeze.bias"):  # four units behind a ReLU, which may all be off at first
            torch.nn.init.ones_(parameter)
    entries = [entry | {"image": entry["image"].double()} for entry in batch(3)]
    images = torch.stack([entry["image"] for entry in entries])
    target = torch.stack([entry["mask"].long() for entry in entries])
    text = model.text_encoder.float()([entry["expression"] for entry in entries])
    text = type(text)(text.tokens.double(), text.mask, text.pooled.double())
    sum(model.losses(images, text, target).values()).backward()
    largest = max(p.grad.abs().max() for p in model.parameters() if p.grad is not None)
    least = 1e-13 * largest  # in double precision, whose rounding is 1e-16
    dead = [name for name, p in model.named_parameters() if p.grad is None or p.grad.abs().max() < least]
    assert dead == []


def test_lang_builds_less_than_fused_and_nothing_that_stays_idle():
    names = {key: {name for name, _ in tiny_mafn(decoder_input=key).named_parameters()} for key in ("fused", "lang")}
    missing = names["fused"] - names["lang"]
    assert names["lang"] < names["fused"] and {name.split(".")[1] for name in missing} == {"3"}


def test_what_is_ignored_has_no_part_in_the_loss():
    logits, target = torch.randn(2, 16, 16), torch.randint(0, 2, (2, 64, 64))
    target[:, 40:] = 255
    changed = logits.clone()
    changed[:, 11:] += 5  # four pixels a score: row 39 lies between the scores of rows 9 and 10
    first, second = (referring_losses(x, target) for x in (logits, changed))
    assert first == second
    whole = referring_losses(changed, torch.where(target == 255, 0, target))
    assert not torch.allclose(whole["loss_ce"], first["loss_ce"], rtol=0.2)
    assert all(loss.isfinite() for loss in referring_losses(logits, torch.full((2, 64, 64), 255)).values())


def test_a_mask_is_learnt_where_evaluation_will_put_it():
    model, image = tiny_mafn(), picture()
    wanted = torch.randn(1, 1, 16, 16)
    model.logits = lambda images, text: 9 * wanted
    (answer,) = model.eval()([{"image": image, "expression": SENTENCES[0]}])
    mask = answer["sem_seg"][0] >= 0.5
    right = referring_losses(9 * wanted[0], mask[None].long())["loss_dice"]
    for moved in (mask.roll(1, 0), mask.roll(-1, 0), mask.roll(1, 1), mask.roll(-1, 1)):
        assert referring_losses(9 * wanted[0], moved[None].long())["loss_dice"] > 1.2 * right


def test_images_of_any_size_are_squeezed_one_by_one_and_their_masks_with_them():
    model = tiny_mafn(fixed_size=64).train()
    seen = []
    model.losses = lambda images, text, target: seen.append((images, target)) or {}
    entries = batch(3)
    entries[1]["image"], entries[1]["mask"] = picture(50, 90), torch.arange(90).expand(50, 90) >= 45
    model(entries)
    ((images, target),) = seen
    assert images.shape == (3, 3, 64, 64) and torch.equal(images[0], entries[0]["image"].float())
    assert torch.equal(target[1], (torch.arange(64) >= 32).long().expand(64, 64))  # to its last column: nothing is padded
    alone = model.eval()
    alone.scores_of = lambda images, text, vocabulary: seen.append(images) or torch.zeros(1, 1, 16, 16)
    alone([entries[1]])
    close(alone._squeeze(seen[1]), images[1:2])
    with pytest.raises(ConfigError, match="FIXED_SIZE is 100; MAFN needs a multiple of 32, or 0"):
        tiny_mafn(fixed_size=100)


def test_the_loss_is_the_published_arithmetic():
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(3, 8, 8, generator=generator)
    target = torch.randint(0, 2, (3, 8, 8), generator=generator)
    losses = referring_losses(logits, target)
    x, y = logits.double().numpy(), target.numpy()
    shares = np.stack([1 / (1 + np.exp(x)), 1 / (1 + np.exp(-x))], axis=1)  # softmax over two channels that differ by x
    weights = np.where(y == 1, 1.1, 0.9)
    entropy = -np.log(np.take_along_axis(shares, y[:, None], axis=1)[:, 0])
    dice = 0.0
    for image in range(3):
        for side in range(2):
            there = y[image] == side
            share = shares[image, side]
            dice += 1 - (2 * share[there].sum() + 1e-6) / (share.sum() + there.sum() + 1e-6)
    assert float(losses["loss_ce"]) == pytest.approx(0.9 * (weights * entropy).sum() / weights.sum(), rel=1e-5)
    assert float(losses["loss_dice"]) == pytest.approx(0.1 * dice, rel=1e-5)


def test_data_without_sentences_is_refused():
    entry = {"image": picture(), "sem_seg": torch.zeros(64, 64), "file_name": "tile.png"}
    with pytest.raises(DataError, match=r"tile.png.*DATASETS.TASK referring"):
        tiny_mafn().train()([entry])


def test_two_sentences_on_one_image_become_two_masks():
    model = tiny_mafn(stages=2).train()
    image = torch.zeros(3, 64, 64, dtype=torch.uint8)
    image[:, 16:48, 4:24], image[:, 16:48, 40:60] = 255, 255
    entries = []
    for sentence, columns in (("the ship on the left", slice(4, 24)), ("the ship on the right", slice(40, 60))):
        mask = torch.zeros(64, 64, dtype=torch.bool)
        mask[16:48, columns] = True
        entries.append({"image": image, "expression": sentence, "mask": mask})
    optimizer = torch.optim.AdamW(model.parameters(), 5e-3)
    falling = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=105)
    losses = []
    for _ in range(130):  # the last of them only settle the statistics of batch norms
        loss = sum(model(entries).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        falling.step()
        losses.append(loss.item())
    answers = [model.eval()([entry])[0]["sem_seg"][0] >= 0.5 for entry in entries]
    ious = [((a & e["mask"]).sum() / (a | e["mask"]).sum()).item() for a, e in zip(answers, entries, strict=True)]
    assert losses[-1] < 0.4 * losses[0] and min(ious) > 0.8


def test_saved_and_loaded_it_answers_the_same(model):
    other = copy.deepcopy(model)
    for parameter in other.parameters():
        torch.nn.init.normal_(parameter)
    other.load_state_dict(model.state_dict())
    entry = {"image": picture(), "expression": SENTENCES[1]}
    assert torch.equal(other.eval()([entry])[0]["sem_seg"], model([entry])[0]["sem_seg"])
