"""TSMNet on tiny encoders: what it makes of words, of descriptions, and of either modality that may be missing."""

import logging
import math
from dataclasses import replace

import pytest
import torch
from described_parts import tiny_tsmnet
from parts import PATCH, WORDS, pairs, picture

from ovrs.errors import ConfigError, DataError
from ovrs.modeling.blocks.contrastive import info_nce
from ovrs.modeling.paired_inputs import chosen_modalities, drop_modalities
from ovrs.modeling.scene_text import SceneText
from ovrs.modeling.segmentation_model import PixelNormalization
from ovrs.modeling.softmax_losses import LossWeights, cross_entropy, soft_dice
from ovrs.vocabulary import Vocabulary

SEVEN = Vocabulary.from_names([f"thing {i}" for i in range(7)])


def close(a, b, tolerance=1e-5):
    torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


def awake(model):
    """The model with gates wide open and no small beginnings, so that nothing is hidden behind a gamma of 1e-4."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith(("gamma", "offset", "sar_bands.weight")):
                parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return model


@pytest.fixture(scope="module")
def model():
    return awake(tiny_tsmnet()).eval()


def shares(model, entry, vocabulary=None, **changes):
    """The answer to one input, [N, h, w]."""
    asked = {**entry, **changes, **({"vocabulary": vocabulary} if vocabulary else {})}
    return model([{key: value for key, value in asked.items() if value is not None}])[0]["sem_seg"]


# ------------------------------------------------------------------------- names


def test_shares_are_those_of_all_names_and_have_the_size_of_the_image(model):
    (entry,) = pairs(1, height=96, width=128)
    found = shares(model, entry)
    assert found.shape == (3, 96, 128) and found.std() > 0
    close(found.sum(dim=0), torch.ones(96, 128))


def test_permuted_names_permute_the_maps_and_doubled_ones_have_equal_ones(model):
    (entry,), order = pairs(1), [3, 0, 4, 1, 6, 2, 5]
    image = model.image_of(entry)[None]
    with torch.no_grad():
        maps = model.scores(image, SEVEN)
        close(model.scores(image, Vocabulary.from_names([SEVEN.names[i] for i in order])), maps[:, order])
        text = model.text_of(SEVEN)
        doubled = model.logits(image, replace(text, classes=text.classes[[0, 1, 0]], counts=()))
    assert maps.shape == (1, 7, 4 * 4, 4 * 4) and not torch.allclose(maps[:, 0], maps[:, 1], atol=1e-3)
    close(doubled[:, 0], doubled[:, 2])


def test_a_name_with_synonyms_is_its_best_word_and_shares_with_no_other_of_them(model):
    image, together = model.image_of(pairs(1)[0])[None], Vocabulary.parse("thing 0|thing 1,thing 2")
    with torch.no_grad():
        found = model.scores(image, together).sigmoid()
        text = model.text_of(together)
        words = model._classified(*model._pyramid(image, text), text)
    close(found.sum(dim=1), torch.ones_like(found[:, 0]))
    close(found[:, 0], torch.sigmoid(words[:, :2].amax(dim=1) - words[:, 2]))


def test_one_name_alone_has_no_rival(model):
    found = shares(model, pairs(1)[0], Vocabulary.parse("ship"))
    assert found.shape == (1, 32, 32) and found.min() > 0.999 and found.isfinite().all()


def test_a_model_closed_to_three_classes_refuses_others():
    model = tiny_tsmnet(closed=3).eval()
    known = shares(model, pairs(1)[0])
    assert known.shape == (3, 32, 32)
    close(shares(model, pairs(1)[0], Vocabulary.parse("ship|vessel,bridge,water|sea|river")), known)
    with pytest.raises(ConfigError, match="head is bound to the 3 classes.*'thing 0' is none of them; another takes any"):
        shares(model, pairs(1)[0], SEVEN)


def test_without_gamma_words_are_what_the_text_tower_says(model):
    entries = pairs()
    text = model.text_of(WORDS).classes
    before = model.context_decoder.gamma.detach().clone()
    with torch.no_grad():
        images = torch.stack([model.image_of(entry) for entry in entries])
        moved = model._objects(model.towers(images, model.vision_language.visual), text).words
        model.context_decoder.gamma.zero_()
        plain = model._objects(model.towers(images, model.vision_language.visual), text).words
        model.context_decoder.gamma.copy_(before)
    said = model.context(model.vision_language.text_tower, WORDS.names)
    close(plain, (said / said.norm(dim=1, keepdim=True) * 24**0.5).detach().expand(2, -1, -1))
    assert not torch.allclose(moved[0], moved[1], atol=1e-3) and not torch.allclose(moved, plain, atol=1e-3)


# ------------------------------------------------------------------- descriptions


def test_the_description_and_each_of_its_words_change_the_answer(model):
    entry = pairs(1)[0]
    known = shares(model, entry)
    for other in ("a harbour with many ships", "a river town before a flood"):
        assert (shares(model, entry, description=other) - known).abs().max() > 1e-4
    close(shares(model, entry, WORDS.with_description(entry["description"]), description=None), known, 0.0)


def test_without_a_description_the_scene_has_no_part(model):
    entry = pairs(1)[0]
    mute = shares(model, entry, description=None)
    assert not torch.allclose(mute, shares(model, entry), atol=1e-4)
    close(shares(model, entry, description=""), mute, 0.0)
    kept, model.scene_fusion = model.scene_fusion, None
    close(shares(model, entry), mute, 0.0)
    model.scene_fusion = kept


def test_a_described_image_and_one_that_is_not_train_together_and_the_latter_is_in_no_contrast():
    model = awake(tiny_tsmnet()).train()
    described = model(pairs(3))
    entries = pairs(3)
    entries[2]["description"] = ""
    two = model(entries)["loss_scene"]
    assert two.isfinite() and not torch.allclose(two, described["loss_scene"])
    for entry in entries:
        entry.pop("description")
    alone = model(entries)["loss_scene"]
    assert alone == 0 and alone.requires_grad  # every process has the same graph


def test_info_nce_of_what_is_not_alike_is_log_b():
    image, text = torch.eye(8)[:4], torch.eye(8)[4:]
    assert info_nce(image, text, torch.tensor(14.0)).item() == pytest.approx(math.log(4))


# --------------------------------------------------------------------- modalities


def test_sar_has_a_part_in_the_answer_and_its_places_are_those_of_the_image(model):
    entry = pairs(1)[0]
    known = shares(model, entry)
    turned = shares(model, entry, sar=entry["sar"].flip(-1))
    assert (turned - known).abs().max() > 1e-4


def test_two_polarisations_are_read():
    model = awake(tiny_tsmnet(bands=2)).eval()
    entry = pairs(1, bands=2)[0]
    assert not torch.equal(shares(model, entry), shares(model, entry, sar=entry["sar"][[1, 0]]))
    with pytest.raises(DataError, match=r"its SAR \(1, 32, 32\); the model reads one of \(2, 32, 32\)"):
        shares(model, entry, sar=entry["sar"][:1])


def test_an_image_without_sar_or_description_is_answered_and_what_lacked_is_said_once(caplog):
    model = tiny_tsmnet().eval()
    entry = pairs(1)[0]
    with caplog.at_level(logging.WARNING):
        shares(model, entry)
        assert not caplog.messages
        for _ in range(2):
            found = shares(model, entry, sar=None, description=None)
    close(found.sum(dim=0), torch.ones(32, 32))
    assert len(caplog.messages) == 2 and "no SAR" in caplog.messages[0] and "no description" in caplog.messages[1]


@pytest.mark.parametrize("lost", ["optical", "sar"])
def test_a_modality_without_a_number_is_as_one_that_is_not_there_also_beside_images_that_have_it(model, lost):
    entries = pairs()
    images = torch.stack([model.image_of(entry) for entry in entries])
    part = slice(0, 3) if lost == "optical" else slice(3, None)
    images[0, part] = torch.nan
    text = model.text_of(WORDS)
    with torch.no_grad():
        both = model.logits(images, text)
        alone = model.logits(images[:1] if lost == "optical" else images[:1, :3], text)
        whole = model.logits(images[1:], text)
        levels = model.towers(images, model.vision_language.visual)
    assert both.isfinite().all()
    close(both, torch.cat([alone, whole]))
    assert bool((levels.optical[0] == 0).all()) == (lost == "optical")


def test_an_image_of_which_nothing_is_known_is_answered(model):
    with torch.no_grad():
        found = model.logits(torch.full((1, 4, 32, 32), torch.nan), model.text_of(WORDS))
    assert found.isfinite().all()


def test_pixels_without_a_number_are_the_mean(model):
    entry = pairs(1)[0]
    holed, filled = entry["sar"].clone(), entry["sar"].clone()
    holed[:, 4:9, 3:20], filled[:, 4:9, 3:20] = torch.nan, 100.0
    close(shares(model, entry, sar=holed), shares(model, entry, sar=filled), 0.0)


def test_each_modality_has_its_own_statistics(model):
    entry = pairs(1)[0]
    assert isinstance(model.towers.sar_normalization, PixelNormalization)
    other = tiny_tsmnet(towers={"sar_normalization": PixelNormalization([0.0], [1.0])}).eval()
    awake(other)
    close(shares(other, entry, sar=(entry["sar"] - 100) / 50), shares(model, entry))


@pytest.mark.parametrize("modalities", ["optical", "sar"])
def test_a_model_of_one_modality_does_not_see_the_other(modalities):
    model = awake(tiny_tsmnet(modalities=modalities)).eval()
    entry = pairs(1)[0]
    other = {"sar": entry["sar"] * 0} if modalities == "optical" else {"image": picture(seed=9)}
    own = {"sar": entry["sar"] * 0} if modalities == "sar" else {"image": picture(seed=9)}
    close(shares(model, {**entry, **other}), shares(model, entry), 0.0)
    assert not torch.allclose(shares(model, {**entry, **own}), shares(model, entry), atol=1e-4)


def test_a_share_of_the_images_loses_one_modality_and_none_both():
    images = torch.rand(4000, 4, 1, 1)
    images[:100, 3] = torch.nan  # these have one, and keep it
    torch.manual_seed(0)
    found = drop_modalities(images, 0.4)
    lost = torch.stack([found[:, :3].isnan().all(dim=1), found[:, 3:].isnan().all(dim=1)]).flatten(1)
    assert not lost.all(dim=0).any() and not lost[0, :100].any()
    assert lost[:, 100:].float().mean(dim=1).tolist() == pytest.approx([0.2, 0.2], abs=0.03)
    assert torch.equal(drop_modalities(images, 0.0).nan_to_num(), images.nan_to_num())
    with pytest.raises(ConfigError, match="MODALITIES is 'radar'; choose both, optical, sar"):
        chosen_modalities(images, "radar")


# ------------------------------------------------------------------------- losses


def test_ignored_pixels_do_not_count():
    model = awake(tiny_tsmnet()).train()
    entries = pairs()
    logits = torch.randn(2, 3, 8, 8)
    for entry in entries:
        entry["sem_seg"][:10] = 255
    target = torch.stack([entry["sem_seg"] for entry in entries])
    other = logits.clone()
    other[:, :, :2] += torch.randn(2, 3, 2, 8) * 5  # no other pixel is between these rows
    for loss in (cross_entropy, soft_dice):
        close(loss(other, target), loss(logits, target))
        assert loss(logits, torch.full_like(target, 255)) == 0
    assert all(loss.isfinite() for loss in model(entries).values())


def test_cross_entropy_and_dice_are_those_of_a_loop():
    torch.manual_seed(0)
    logits, target = torch.randn(2, 3, 4, 4), torch.randint(0, 3, (2, 4, 4))
    target[0][target[0] == 2] = 255
    terms, pixels = [], []
    for scores, labels in zip(logits.softmax(dim=1), target, strict=True):
        for number in labels.unique().tolist():
            if number == 255:
                continue
            seen = labels != 255
            there = labels == number
            share = scores[number]
            terms.append(1 - 2 * share[there].sum() / (share[seen].sum() + there.sum()))
            pixels += [-share[i, j].log() for i, j in there.nonzero().tolist()]
    close(soft_dice(logits, target), torch.stack(terms).mean())
    close(cross_entropy(logits, target), torch.stack(pixels).mean())


def test_a_loss_without_weight_is_not_computed():
    weights = LossWeights(object=0.4, dice=0.0)
    full, fewer = awake(tiny_tsmnet()).train(), awake(tiny_tsmnet(weights=weights, scene_contrast=None)).train()
    all_of_them, some = full(pairs()), fewer(pairs())
    assert all_of_them.keys() == {"loss_object", "loss_scene", "loss_ce", "loss_dice"}
    assert some.keys() == {"loss_object", "loss_ce"}
    close(some["loss_object"], 0.4 * all_of_them["loss_object"])


def test_words_are_read_again_when_what_is_learned_before_them_changes(model):
    entry = pairs(1)[0]
    known = shares(model, entry)
    calls = model.vision_language.text_tower.calls
    close(shares(model, entry), known, 0.0)
    assert model.vision_language.text_tower.calls == calls
    with torch.no_grad():
        model.context.offset.neg_()
    assert not torch.allclose(shares(model, entry), known, atol=1e-4)
    with torch.no_grad():
        model.context.offset.neg_()
    assert model.size_divisor == PATCH and isinstance(model.text_of(WORDS), SceneText)


def test_two_images_are_learnt_by_heart():
    model = tiny_tsmnet().train()
    entries = pairs()
    for number, entry in enumerate(entries):
        entry["sem_seg"][:] = 0
        entry["sem_seg"][8:24, 12:] = 1 + number
        entry["sem_seg"][:4, :4] = 255
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=3e-3)
    course = []
    for _ in range(100):
        losses = sum(model(entries).values())
        optimizer.zero_grad()
        losses.backward()
        optimizer.step()
        course.append(losses.item())
    assert course[-1] < 0.4 * course[0]
    ious = []
    model.eval()
    for entry in entries:
        counted, guess = entry["sem_seg"] != 255, shares(model, entry).argmax(dim=0)
        for number in entry["sem_seg"][counted].unique():
            there, said = (entry["sem_seg"] == number) & counted, (guess == number) & counted
            ious.append(float((there & said).sum() / (there | said).sum()))
    assert min(ious) > 0.8
