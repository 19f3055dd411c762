"""The plain form, which benchmarks measure against, computes what the systems compute."""

import copy

import open_clip
import pytest
import torch
from parts import batch, tiny_aeroseg, tiny_vision_language

from ovrs.engine.plain_form import as_plain_form
from ovrs.errors import ConfigError
from ovrs.modeling.encoders.text import ClipText
from ovrs.vocabulary import Vocabulary

WORDS = Vocabulary.parse("ship,bridge,water,tree,road")


def pair(**changes):
    """A system whose every parameter counts, and its plain form."""
    model = tiny_aeroseg(**changes).eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.05 * torch.randn(parameter.shape, generator=generator)
    plain = copy.deepcopy(model)
    as_plain_form(plain)
    return model, plain


@pytest.mark.parametrize("guidance", ["sam", "clip"])
@pytest.mark.parametrize("pooling, size, images", [(1, 40, 1), (2, 40, 1), (1, 32, 2)])
def test_the_plain_form_gives_the_same_scores(guidance, pooling, size, images):
    model, plain = pair(guidance=guidance, pooling=(1, pooling))
    image = torch.rand(images, 3, size, size) * 255
    with torch.no_grad():
        ours, theirs = model.scores(image, WORDS), plain.scores(image, WORDS)
    assert ours.std() > 1e-3
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


def test_the_plain_form_trains_the_same():
    model, plain = pair()
    for system in (model, plain):
        system.train()
        sum(system(batch()).values()).backward()
    for (name, ours), theirs in zip(model.named_parameters(), plain.parameters(), strict=True):
        assert (ours.grad is None) == (theirs.grad is None), name
        if ours.grad is not None:
            error = (ours.grad - theirs.grad).abs().max() / theirs.grad.abs().max().clamp(min=1e-6)
            assert error < 1e-2, f"{name}: {error:.1e}"


def test_every_part_that_takes_a_way_round_has_its_plain_form():
    model, plain = pair()
    changed = {type(module).__name__ for module in plain.modules()} - {type(module).__name__ for module in model.modules()}
    # Of the eight, words are read by a stand-in here: the next test.
    assert len(changed) == 7 and all(name.startswith("Plain") for name in changed)
    assert plain.state_dict().keys() == model.state_dict().keys()


def test_words_are_read_with_all_their_padding():
    clip = open_clip.CLIP(
        embed_dim=16,
        vision_cfg={"layers": 1, "width": 16, "head_width": 8, "patch_size": 8, "image_size": 16},
        text_cfg={"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 2},
    )
    ours = ClipText(clip, open_clip.get_tokenizer("ViT-B-32")).eval()
    plain = tiny_aeroseg()
    plain.vision_language.text_tower = copy.deepcopy(ours)
    as_plain_form(plain)
    seen = []
    block = plain.vision_language.text_tower.transformer.resblocks[0].ln_1
    block.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0].shape))
    with torch.no_grad():
        theirs = plain.vision_language.text_tower(["a ship", "a photo of a bridge"])
        torch.testing.assert_close(ours(["a ship", "a photo of a bridge"]), theirs, atol=1e-5, rtol=1e-5)
    assert seen == [(2, 77, 16)]


def test_another_system_has_none():
    with pytest.raises(ConfigError, match="no plain form of VisionLanguageEncoder"):
        as_plain_form(tiny_vision_language())
