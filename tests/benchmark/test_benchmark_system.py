"""A system in the process that measures it: every mode and form, and that stages are the whole."""

import sys
from pathlib import Path

import pytest
import torch

from ovrs.benchmark import system
from ovrs.benchmark.settings import Setting
from ovrs.modeling.complexity import Operations

sys.path.append(str(Path(__file__).parents[1] / "modeling"))
from described_parts import tiny_tsmnet
from parts import tiny_aeroseg, tiny_mafn


@pytest.fixture
def measured(monkeypatch):
    """The system of a setting, tiny whatever its configuration says."""

    def build(model, **setting):
        monkeypatch.setattr(system, "build_model", lambda cfg: model)
        config = Path(__file__).parents[2] / "configs" / "mini" / "aeroseg.yaml"
        return system.MeasuredSystem(Setting(str(config), 32, 3, **setting))

    return build


def whole(seconds):
    return sum(taken for stage, taken in seconds.items() if stage != "whole")


def test_a_pass_reads_words_before_it_and_its_stages_are_the_whole(measured):
    one = measured(tiny_aeroseg(), batch=2)
    rounds = [one.run(), one.run()]
    assert all(turn["whole"] == pytest.approx(whole(turn)) and not turn["text"] for turn in rounds)
    assert all(turn[stage] > 0 for turn in rounds for stage in ("image_encoder", "guidance", "class", "decoder", "rest"))
    size = one.size()
    assert one.text_once > 0 and size.text_once == one.text_once and size.peak_gib > 0.1 and size.peak_gpu_gib is None
    assert isinstance(size.work, Operations) and one.model.vision_language.text_tower.calls == 1
    single = measured(tiny_aeroseg(), batch=1).size().work.products
    assert size.work.products["image_encoder"] == 2 * single["image_encoder"]


def test_words_are_read_in_every_run_of_their_mode(measured):
    one = measured(tiny_aeroseg(), mode="text")
    turns = [one.run(), one.run()]
    assert one.model.vision_language.text_tower.calls == 2 and one.text_once is None
    assert all(turn["text"] and not turn["image_encoder"] for turn in turns)
    assert one.size().work.products["text"] == 3 * 4 * 16 * 24  # classes, prompts, a projection


@pytest.mark.parametrize("build", [tiny_aeroseg, tiny_mafn, tiny_tsmnet])
def test_a_training_step_goes_forwards_and_backwards(measured, build):
    one = measured(build(), mode="training", batch=2)
    seconds = one.run()
    assert one.model.training and seconds["whole"] == pytest.approx(whole(seconds))
    assert min(seconds[stage] for stage in ("text", "image_encoder", "backward")) > 0
    assert all(parameter.grad is None for parameter in one.model.parameters())
    products = one.size().work.products
    assert products["backward"] > sum(products.values()) - products["backward"] - products["image_encoder"] > 0


def test_sar_and_what_is_said_of_the_scene_are_read_by_who_reads_them(measured):
    one = measured(tiny_tsmnet())
    assert one.run()["spatial"] > 0 and one.images.shape[1] == 4 and one.vocabulary.description


def test_the_plain_form_is_the_same_system_and_computes_more(measured):
    fast, plain = (measured(tiny_aeroseg(), form=form) for form in ("fast", "plain"))
    with torch.no_grad():
        ours, theirs = (one.model.scores(fast.images, fast.vocabulary) for one in (fast, plain))
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)
    few, many = (one.size().work.products for one in (fast, plain))
    assert many["class"] > 2 * few["class"] and many["image_encoder"] == few["image_encoder"]
