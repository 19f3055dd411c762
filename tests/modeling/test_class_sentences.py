"""What is said of each class at a place (``MODEL.PROMPTS: climate``): how it is averaged, kept, and trained with."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from described_parts import tiny_tsmnet
from numpy.typing import NDArray
from parts import WORDS, batch, picture, randomize, tiny_aeroseg, tiny_rs_zeroseg
from torch import Tensor

from ovrs.inference.fixed_vocabulary import FixedVocabulary
from ovrs.modeling.blocks.cost_volume import cost_volume
from ovrs.modeling.blocks.prompts import average_prompts, with_sentence
from ovrs.modeling.vision_language_model import VisionLanguageModel
from ovrs.vocabulary import Background, Vocabulary

DESERT = WORDS.with_class_descriptions(("dhows of pale wood", "", "turquoise over pale sand"))
TUNDRA = WORDS.with_class_descriptions(("red hulls among ice", "steel over dark rock", ""))
READS = {"reads_class_descriptions": True}
SYSTEMS = pytest.mark.parametrize("tiny", [tiny_aeroseg, tiny_rs_zeroseg])


def unit(x: NDArray[Any]) -> NDArray[Any]:
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def close(a: Tensor, b: Tensor, tolerance: float = 1e-5) -> None:
    torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


def told(*places: Vocabulary) -> list[dict[str, Any]]:
    """A batch with an image of each place."""
    return [{**entry, "vocabulary": place} for entry, place in zip(batch(len(places)), places, strict=True)]


def calls(model: VisionLanguageModel) -> int:
    """How often the text tower has read."""
    return int(model.text_tower.calls)  # type: ignore[arg-type]


# -------------------------------------------------------------------- average


@pytest.mark.parametrize("prompts", [1, 4])
def test_a_sentence_is_averaged_with_the_prompts_as_one_more_of_them(prompts: int) -> None:
    random = np.random.default_rng(prompts)
    # Templates of one name are close to each other.
    text, sentence = random.normal(size=(3, 1, 8)) + 0.2 * random.normal(size=(3, prompts, 8)), random.normal(size=(2, 3, 8))
    said = np.array([[True, False, True], [False, True, True]])
    expected = np.empty((2, 3, prompts, 8))
    for place, name, prompt in np.ndindex(2, 3, prompts):
        among = [unit(text[name, prompt])] * prompts + [unit(sentence[place, name])]
        expected[place, name, prompt] = unit(np.mean(among, axis=0)) if said[place, name] else text[name, prompt]
    mixed = with_sentence(*map(torch.from_numpy, (text, sentence, said)))
    np.testing.assert_allclose(mixed, expected, rtol=1e-12)
    # As the systems average prompts: near the mean of all P + 1, and that mean itself where there is one template.
    whole = unit(
        np.concatenate([np.broadcast_to(unit(text), (2, *text.shape)), unit(sentence)[:, :, None]], axis=2).mean(axis=2)
    )
    ours = average_prompts(mixed).numpy()
    np.testing.assert_allclose(np.linalg.norm(ours, axis=-1), 1.0)
    assert ((ours * whole).sum(axis=-1)[said] > (0.9999 if prompts > 1 else 1 - 1e-12)).all()


def test_words_of_each_image_make_its_own_part_of_the_cost_volume() -> None:
    dense, text = torch.randn(2, 4, 8, 3, 5), torch.randn(2, 6, 3, 8)
    both = cost_volume(dense, text)
    for image in range(2):
        close(both[image], cost_volume(dense[image : image + 1], text[image])[0])


# ----------------------------------------------------------------------- text


@SYSTEMS
def test_another_place_gives_another_text_and_other_scores(tiny: Any) -> None:
    model = randomize(tiny(**READS)).eval()
    with torch.no_grad():
        texts = [model.text_of(vocabulary) for vocabulary in (WORDS, DESERT, TUNDRA)]
        scores = [model.scores(picture()[None], vocabulary) for vocabulary in (WORDS, DESERT, TUNDRA)]
    assert all(text.shape == texts[0].shape for text in texts)
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert not torch.allclose(texts[a], texts[b], atol=1e-3)
        assert not torch.allclose(scores[a], scores[b], atol=1e-4)


def test_a_class_of_which_nothing_is_said_is_read_by_its_templates_alone() -> None:
    model = randomize(tiny_rs_zeroseg(**READS)).eval()  # where a class's map depends on its own words alone
    with torch.no_grad():
        plain, desert = (model.text_of(vocabulary) for vocabulary in (WORDS, DESERT))
        assert torch.equal(desert[1], plain[1])
        assert not torch.allclose(desert[0], plain[0], atol=1e-3) and not torch.allclose(desert[2], plain[2], atol=1e-3)
        without, scores = (model.scores(picture()[None], vocabulary) for vocabulary in (WORDS, DESERT))
    close(scores[:, 1], without[:, 1])
    assert not torch.allclose(scores[:, 0], without[:, 0], atol=1e-4)


def test_all_words_of_a_class_have_its_sentence_and_those_of_the_background_none() -> None:
    model = tiny_aeroseg(**READS).eval()
    vocabulary = Vocabulary.parse("ship|boat,bridge").with_background(Background("words", ("clutter",)))
    with torch.no_grad():
        plain, text = model.text_of(vocabulary), model.text_of(vocabulary.with_class_descriptions(("grey hulls", "")))
        sentence = model.vision_language.text([["grey hulls"]])[:, 0]
        close(text[:2], with_sentence(plain[:2], sentence.expand(2, -1), torch.ones(2, dtype=torch.bool)))
    assert torch.equal(text[2:], plain[2:])


def test_aeroseg_with_other_prompts_answers_as_if_nothing_were_said() -> None:
    model = randomize(tiny_aeroseg()).eval()
    assert not model.reads_class_descriptions and tiny_aeroseg(**READS).reads_class_descriptions
    with torch.no_grad():
        close(model.scores(picture()[None], DESERT), model.scores(picture()[None], WORDS), 0.0)
    one, other = (model.train()(told(*places)) for places in ((DESERT, TUNDRA), (WORDS, WORDS)))
    close(one["loss_bce"], other["loss_bce"])


def test_a_system_that_reads_no_sentences_of_classes_trains_where_they_differ() -> None:
    model = tiny_tsmnet().train()
    assert not model.reads_class_descriptions
    with torch.no_grad():
        told_losses, plain = (
            [float(loss) for loss in model(told(*places)).values()] for places in ((DESERT, TUNDRA), [WORDS] * 2)
        )
    assert told_losses == pytest.approx(plain, rel=1e-4)


# ---------------------------------------------------------------------- cache


def test_text_is_embedded_once_for_words_and_sentences() -> None:
    model = tiny_aeroseg(train="freeze", **READS).eval()
    with torch.no_grad():
        first = model.text_of(DESERT)
        before = calls(model)
        assert model.text_of(DESERT) is first and calls(model) == before
        model.text_of(TUNDRA)
        assert calls(model) == before + 1  # its sentences; the templates are known
        model.text_tower.projection.weight.mul_(-1)  # type: ignore[union-attr, operator]
        close(model.text_of(DESERT), -first)


def test_a_step_with_a_frozen_text_tower_reads_no_sentence_again() -> None:
    model = tiny_aeroseg(train="freeze", **READS).train()
    model(told(DESERT, TUNDRA))
    before = calls(model)
    for places in ((TUNDRA, DESERT), (DESERT, DESERT), (WORDS, TUNDRA)):
        model(told(*places))
    assert calls(model) == before
    other = WORDS.with_class_descriptions(("dhows of pale wood", "a plank", ""))
    model(told(other, TUNDRA))
    assert calls(model) == before + 1


# ------------------------------------------------------------------- training


@SYSTEMS
@pytest.mark.parametrize("train", ["freeze", "full"])
def test_a_batch_of_two_places_is_two_batches_of_one(tiny: Any, train: str) -> None:
    model = randomize(tiny(train=train, **READS)).train()
    model.zero_grad()
    entries = told(DESERT, TUNDRA)
    together = model(entries)
    sum(together.values()).backward()
    gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    alone = [model([entry]) for entry in entries]
    (sum(sum(losses.values()) for losses in alone) / 2).backward()
    for name, loss in together.items():
        close(loss, torch.stack([losses[name] for losses in alone]).mean(), 1e-4)
    assert gradients and any(name.startswith("vision_language.text_tower") for name in gradients) == (train == "full")
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            close(gradients[name], parameter.grad, 2e-3)


@SYSTEMS
def test_a_batch_of_one_place_trains_as_its_text_does(tiny: Any) -> None:
    model = randomize(tiny(train="freeze", **READS)).train()
    shared = model(told(DESERT, DESERT))
    text = model.training_text(WORDS, told(DESERT, DESERT))
    assert text.shape == (3, 4, 24)
    entries = told(DESERT, DESERT)
    images = torch.stack([entry["image"].float() for entry in entries])
    targets = torch.stack([entry["sem_seg"] for entry in entries])
    stacked = model.losses(images, text.expand(2, -1, -1, -1), targets)
    for name, loss in shared.items():
        close(stacked[name], loss, 1e-4)


def test_images_of_a_batch_still_share_their_words() -> None:
    entries = told(DESERT, Vocabulary.parse("ship,bridge,road").with_class_descriptions(DESERT.class_descriptions))
    with pytest.raises(ValueError, match="share their vocabulary"):
        tiny_aeroseg(**READS).train()(entries)


# --------------------------------------------------------------------- export


@SYSTEMS
def test_an_export_keeps_what_was_said_of_each_class(tiny: Any) -> None:
    model = randomize(tiny(**READS)).eval()
    image = picture()[None]
    with torch.no_grad():
        expected = model.scores(image, DESERT).sigmoid()
        close(FixedVocabulary(model, DESERT)(image), expected)
        assert not torch.allclose(FixedVocabulary(model, WORDS).text, FixedVocabulary(model, DESERT).text, atol=1e-3)
