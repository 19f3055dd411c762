"""Tokens of prompts that are kept while the encoder does not change."""

import torch
from block_checks import close
from parts import HashedTokens

from ovrs.modeling.encoders.kept_tokens import KeptTokens

CPU = torch.device("cpu")
TEXTS = ("roofs are flat", "a river", "roofs are flat")


def frozen():
    return HashedTokens(24).requires_grad_(False)


def test_each_text_is_read_once_and_padded_to_the_longest_of_the_batch():
    encoder, kept = frozen(), KeptTokens()
    read = kept.read(encoder, TEXTS, CPU)
    expected = encoder(TEXTS)
    assert torch.equal(read.mask, expected.mask) and read.tokens.shape == (3, 3, 24)
    close(read.tokens[read.mask], expected.tokens[read.mask])
    close(read.pooled, expected.pooled)
    calls = encoder.words.calls
    alone = kept.read(encoder, ("a river",), CPU)
    assert alone.tokens.shape == (1, 2, 24) and alone.mask.all()
    kept.read(encoder, TEXTS, CPU)
    assert encoder.words.calls == calls and len(kept) == 2


def test_the_latest_texts_are_kept():
    encoder, kept = frozen(), KeptTokens(2)
    for text in ("one", "two", "one", "three"):
        kept.read(encoder, (text,), CPU)
    calls = encoder.words.calls
    kept.read(encoder, ("one", "three"), CPU)
    assert encoder.words.calls == calls
    kept.read(encoder, ("two",), CPU)
    assert encoder.words.calls == calls + 1
    assert len(kept.read(encoder, ("a", "b", "c"), CPU)) == 3 and len(kept) == 2


def test_other_weights_are_read_again():
    encoder, kept = frozen(), KeptTokens()
    before = kept.read(encoder, TEXTS, CPU)
    with torch.no_grad():
        encoder.words.projection.weight.neg_()
    close(kept.read(encoder, TEXTS, CPU).pooled, -before.pooled)


def test_an_encoder_that_trains_is_read_with_gradients_and_nothing_of_it_is_kept():
    encoder, kept = HashedTokens(24), KeptTokens()
    assert kept.read(encoder, TEXTS, CPU).tokens.requires_grad and len(kept) == 0
    with torch.no_grad():
        assert not kept.read(encoder, TEXTS, CPU).tokens.requires_grad
    assert len(kept) == 2
