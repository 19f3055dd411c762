"""Stages of a system: what a meter shows is shared among them without rest or overlap, and every system names its own."""

import itertools

import pytest
import torch
from described_parts import tiny_metasegnet, tiny_tsmnet
from parts import batch, picture, tiny_aeroseg, tiny_mafn, tiny_rs_zeroseg

from ovrs.errors import ConfigError
from ovrs.modeling.aeroseg import AerOSeg
from ovrs.modeling.stages import STAGES, StageMeter
from ovrs.vocabulary import Vocabulary

IMAGE = picture(32, 32)[None].float()
WORDS = Vocabulary.from_names("abc")


def ticks():
    """A meter that moves by one whenever it is read."""
    count = itertools.count()
    return lambda: float(next(count))


def measured(model, meter=None):
    with torch.no_grad(), StageMeter(model, meter or ticks()) as parts:
        model.scores(IMAGE, WORDS)
    return parts


OF_AEROSEG = ["text", "image_encoder", "guidance", "cost_volume", "spatial", "class", "decoder", "rest"]


@pytest.mark.parametrize(
    ("build", "stages"),
    [
        (tiny_aeroseg, OF_AEROSEG),
        (lambda: tiny_aeroseg(guidance="clip"), [name for name in OF_AEROSEG if name != "guidance"]),
        (tiny_rs_zeroseg, ["text", "image_encoder", "guidance", "spatial", "decoder", "rest"]),
        (tiny_mafn, ["text", "image_encoder", "spatial", "decoder", "rest"]),
        (tiny_metasegnet, ["text", "image_encoder", "spatial", "class", "decoder", "rest"]),
        (tiny_tsmnet, ["text", "image_encoder", "cost_volume", "spatial", "class", "decoder", "rest"]),
    ],
    ids=["aeroseg", "own guidance", "rs_zeroseg", "mafn", "metasegnet", "tsmnet"],
)
def test_every_stage_of_a_system_is_met_and_is_left_as_it_was(build, stages):
    model = build().eval()
    methods = {name: {*vars(module)} for name, module in model.named_modules()}
    parts = measured(model)
    silent = {"spatial"} if build is tiny_tsmnet else set()  # nothing is said of the scene
    assert [*parts.amounts] == stages and {name for name, ticked in parts.amounts.items() if not ticked} == silent
    assert {name: {*vars(module)} for name, module in model.named_modules()} == methods
    assert "text" not in {name for name, ticked in measured(model).amounts.items() if ticked}  # read once


def test_stages_add_up_to_the_whole():
    shown = ticks()
    first = shown()
    parts = measured(tiny_aeroseg().eval(), shown)
    # Between the first and the last reading by the meter, one tick each; opening it is the first.
    assert parts.whole == sum(parts.amounts.values()) == shown() - first - 3


def test_what_a_stage_calls_of_another_is_the_others():
    model, spent = tiny_aeroseg(), [0.0]

    def spend(amount, then=lambda: None):
        def run(*args, **kwargs):
            spent[0] += amount
            then()
            spent[0] += amount

        return run

    model.decoder.forward = spend(10)
    model.cost_embedding.forward = spend(1, then=model.decoder)
    with StageMeter(model, lambda: spent[0]) as parts:
        spent[0] += 100
        model.cost_embedding()
        with parts.during("backward"):
            spent[0] += 1000
    amounts = {name: amount for name, amount in parts.amounts.items() if amount}
    assert amounts == {"cost_volume": 2, "decoder": 20, "rest": 100, "backward": 1000} and parts.whole == 1122
    assert model.decoder.forward.__name__ == "run"  # what was there before is there again


def test_an_error_leaves_the_system_as_it_was():
    model = tiny_aeroseg()
    with pytest.raises(RuntimeError), StageMeter(model, ticks()):
        raise RuntimeError
    assert "forward" not in vars(model.decoder) and "encode_text" not in vars(model)


@pytest.mark.parametrize(
    ("stages", "said"),
    [
        ({"decoding": ("decoder.forward",)}, "'decoding'.*decoder"),
        ({"decoder": ("decoders.forward",)}, "no part 'decoders'"),
        ({"decoder": ("decoder.front",)}, "'decoder.front' is no method"),
    ],
)
def test_a_stage_that_is_not_there_is_named(monkeypatch, stages, said):
    monkeypatch.setattr(AerOSeg, "stages", stages)
    with pytest.raises(ConfigError, match=said):
        StageMeter(tiny_aeroseg(), ticks())


def test_training_reads_words_in_every_pass():
    model = tiny_aeroseg().train()
    with StageMeter(model, ticks()) as parts:
        losses = model(batch())
        with parts.during("backward"):
            sum(losses.values()).backward()
    assert parts.amounts["text"] and parts.amounts["backward"] and {*parts.amounts} <= {*STAGES, "rest"}
