"""Presets that leave out work: what they lower, what they leave alone, and what is said of them."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ovrs.config import load_config
from ovrs.errors import ConfigError
from ovrs.inference import loading
from ovrs.inference.command_line import add_model_arguments, load_segmenter
from ovrs.inference.quality import LIMITS, QUALITIES, lowered
from ovrs.inference.segmenter import Segmenter
from ovrs.modeling.windows import InferenceSettings

sys.path.append(str(Path(__file__).parents[1] / "modeling"))

from parts import randomize, tiny_aeroseg

WORDS = "ship, bridge, water"
FAST = LIMITS["fast"]


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The configurations that were built, each as a tiny AerOSeg with its keys."""
    asked: list[Any] = []

    def build(cfg: Any) -> Any:
        asked.append(cfg)
        read = InferenceSettings("sliding", 32, cfg.TEST.OVERLAP)
        return randomize(tiny_aeroseg(read_rotations=cfg.TEST.ROTATIONS, max_classes=cfg.MODEL.MAX_CLASSES, inference=read))

    monkeypatch.setattr(loading, "build_model", build)
    return asked


def test_the_faster_a_preset_the_more_it_lowers() -> None:
    assert (*LIMITS, "best") == QUALITIES
    fast, balanced = lowered(load_config("mini"), "fast"), lowered(load_config("mini"), "balanced")
    assert set(fast) == set(balanced) == {"TEST.ROTATIONS", "TEST.OVERLAP", "MODEL.MAX_CLASSES"}
    assert fast["TEST.ROTATIONS"] == [0] and balanced["TEST.ROTATIONS"] == [0, 1]
    assert fast["TEST.OVERLAP"] < balanced["TEST.OVERLAP"] < load_config("mini").TEST.OVERLAP
    assert fast["MODEL.MAX_CLASSES"] < balanced["MODEL.MAX_CLASSES"] < load_config("mini").MODEL.MAX_CLASSES
    assert lowered(load_config("mini"), "best") == {}


def test_what_is_below_a_preset_already_is_not_raised() -> None:
    small = ["TEST.ROTATIONS", "[0]", "TEST.OVERLAP", "0.0", "MODEL.MAX_CLASSES", "5"]
    assert all(lowered(load_config("mini", small), quality) == {} for quality in QUALITIES)
    assert lowered(load_config("mini", ["MODEL.MAX_CLASSES", "0"]), "fast")["MODEL.MAX_CLASSES"] == FAST.classes  # 0: no limit


@pytest.mark.parametrize("config", ["mini/rs_zeroseg", "mini/tsmnet", "mini/metasegnet", "mini/mafn"])
def test_systems_that_turn_no_images_are_read_with_fewer_tiles_alone(config: str) -> None:
    assert set(lowered(load_config(config), "fast")) == {"TEST.OVERLAP"}


def test_another_word_is_refused_with_the_choices(built: list[Any]) -> None:
    with pytest.raises(ConfigError, match="'draft': choose fast, balanced, best"):
        Segmenter.from_config("mini", "random", quality="draft")  # type: ignore[arg-type]
    assert not built


def test_a_preset_reaches_the_model_and_the_tags_of_its_maps(built: list[Any]) -> None:
    pixels = np.random.default_rng(0).integers(1, 256, (70, 90, 3), dtype=np.uint8)
    results = {}
    for quality in QUALITIES:
        segmenter = Segmenter.from_config("mini", "random", device="cpu", quality=quality)
        results[quality] = segmenter.segment(pixels, WORDS, probabilities=True)
    fast, _, best = built
    assert (list(fast.TEST.ROTATIONS), fast.TEST.OVERLAP, fast.MODEL.MAX_CLASSES) == ([0], FAST.overlap, FAST.classes)
    assert best.TEST == load_config("mini").TEST and best.MODEL.MAX_CLASSES == load_config("mini").MODEL.MAX_CLASSES
    tags = {quality: dict(result.provenance)["QUALITY"] for quality, result in results.items()}
    assert tags["best"] == "best" and tags["fast"].startswith("fast (") and "TEST.ROTATIONS [0]" in tags["fast"]
    assert not np.array_equal(results["fast"].probabilities, results["best"].probabilities)


def test_keys_of_ones_own_win_over_a_preset(built: list[Any]) -> None:
    options = ["TEST.ROTATIONS", "[0, 2]", "TEST.OVERLAP", "0.25"]
    segmenter = Segmenter.from_config("mini", "random", options, device="cpu", quality="fast")
    assert (built[0].TEST.ROTATIONS, built[0].TEST.OVERLAP) == ([0, 2], 0.25)
    assert dict(segmenter.provenance)["QUALITY"] == f"fast (MODEL.MAX_CLASSES {FAST.classes})"


def test_a_preset_of_which_nothing_applies_says_so(built: list[Any], caplog: pytest.LogCaptureFixture) -> None:
    options = ["TEST.ROTATIONS", "[0]", "TEST.OVERLAP", "0.0", "MODEL.MAX_CLASSES", "3"]
    segmenter = Segmenter.from_config("mini", "random", options, device="cpu", quality="fast")
    assert caplog.text.count("quality fast leaves out nothing") == 1 and dict(segmenter.provenance)["QUALITY"] == "fast"
    caplog.clear()
    Segmenter.from_config("mini", "random", options, device="cpu")
    Segmenter.from_config("mini", "random", device="cpu", quality="fast")
    assert not caplog.text


def test_work_that_was_begun_with_other_settings_is_not_gone_on_with(built: list[Any]) -> None:
    one, same, other, fast = (
        Segmenter.from_config("mini", "random", options, device="cpu", quality=quality).identity
        for options, quality in (((), "best"), ((), "best"), (["TEST.ROTATIONS", "[0]"], "best"), ((), "fast"))
    )
    assert one == same and len({one, other, fast}) == 3


def test_the_command_line_hands_its_quality_on(monkeypatch: pytest.MonkeyPatch) -> None:
    parser = argparse.ArgumentParser()
    add_model_arguments(parser)
    monkeypatch.setattr(Segmenter, "from_config", lambda *given: given)
    assert load_segmenter(parser.parse_args([]))[-1] == "best"  # type: ignore[index]
    assert load_segmenter(parser.parse_args(["--quality", "fast"]))[-1] == "fast"  # type: ignore[index]
    with pytest.raises(SystemExit):
        parser.parse_args(["--quality", "draft"])
