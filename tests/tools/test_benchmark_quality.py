"""tools/benchmark_quality.py: settings side by side over a data set."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from ovrs.benchmark import quality
from ovrs.config import load_config
from ovrs.errors import WeightsError
from ovrs.vocabulary import Vocabulary, VocabularyClass

path = Path(__file__).parents[2] / "tools" / "benchmark_quality.py"
spec = importlib.util.spec_from_file_location("benchmark_quality", path)
assert spec is not None and spec.loader is not None
tool = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tool)

SEEN = Vocabulary(tuple(VocabularyClass(name, seen=name != "ship") for name in ("water", "road", "ship")))
SMALL = ["DATASETS.SCENES.VAL_SIZE", "9", "DATASETS.SCENES.IMAGE_SIZE", "64"]


class Answers:
    """A segmenter that knows the truth, and gets the first ``wrong`` rows of each image wrong."""

    def __init__(self, options: list[str], quality: str) -> None:
        self.wrong = {"best": 0, "balanced": 1, "fast": 2}[quality] + (4 if "TEST.ROTATIONS" in options else 0)
        self.words: list[int] = []

    def segment(self, image: Any, vocabulary: Vocabulary, options: Any) -> Any:
        self.words.append(len(vocabulary))
        labels = truth().numpy().copy()
        labels[: self.wrong] = 99
        return SimpleNamespace(labels=labels)


def truth() -> torch.Tensor:
    """Ten rows: five of water, three of road, two of ship."""
    return torch.tensor([0] * 5 + [1] * 3 + [2] * 2)[:, None].repeat(1, 4)


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[Answers]:
    """The segmenters that were asked for; images are blank and their labels those of :func:`truth`."""
    found: list[Answers] = []

    def load(config: str, weights: str | None, options: list[str], quality: str) -> Answers:
        found.append(Answers(options, quality))
        return found[-1]

    sample = {"image": torch.zeros(3, 10, 4, dtype=torch.uint8), "sem_seg": truth(), "vocabulary": SEEN}
    monkeypatch.setattr(quality.Segmenter, "from_config", load)
    monkeypatch.setattr(quality, "SegmentationMapper", lambda cfg, is_train: lambda entry: sample)
    return found


def test_each_setting_has_its_figures_and_is_compared_with_the_first(
    loaded: list[Answers], capsys: pytest.CaptureFixture[str]
) -> None:
    assert tool.main(["--compare", "best", "fast", "TEST.ROTATIONS [0]", "--images", "3", "--opts", *SMALL]) == 0
    best, fast, own = map(json.loads, capsys.readouterr().out.splitlines())
    assert [one["setting"] for one in (best, fast, own)] == ["best", "fast", "TEST.ROTATIONS [0]"]
    assert (best["s-mIoU"], best["u-mIoU"], best["h-mIoU"], best["same"], best["time"]) == (100, 100, 100, 100, 1)
    # Two, then four of the five rows of water are lost; road and ship stay whole.
    assert (fast["s-mIoU"], fast["u-mIoU"], fast["same"]) == (pytest.approx((60 + 100) / 2), 100, 80)
    assert own["s-mIoU"] == pytest.approx((20 + 100) / 2) and own["h-mIoU"] == pytest.approx(2 * 60 * 100 / 160)
    assert all(one["images"] == 3 and one["time_middle_half"][0] <= one["time"] for one in (best, fast, own))
    assert all(len(one.words) == 4 for one in loaded), "one image to warm up"


def test_words_of_ready_vocabularies_compete_and_are_never_true(
    loaded: list[Answers], capsys: pytest.CaptureFixture[str]
) -> None:
    others = ["--others", "harbour", "land_cover", "--images", "1", "--markdown"]
    assert tool.main(["--compare", "best", "balanced", *others, "--opts", *SMALL]) == 0
    # Of thirteen names ship, road and water are there already.
    assert {number for one in loaded for number in one.words} == {3 + 13 - 3}
    header, _, best, balanced = capsys.readouterr().out.splitlines()
    assert header.startswith("| setting | s-mIoU | u-mIoU | h-mIoU | mIoU | same | time |")
    assert best.startswith("| best | 100.0 | 100.0 | 100.0 | 100.0 | 100.0 % | 1.00 |")
    assert balanced.startswith("| balanced | 90.0 | 100.0 |")


def test_images_are_spread_over_the_data_set(loaded: list[Answers]) -> None:
    cfg = load_config("mini", SMALL)
    assert [entry["scene_index"] for entry in quality.chosen(cfg, "scenes_val", 3)] == [0, 3, 6]
    assert len(quality.chosen(cfg, "scenes_val", 0)) == len(quality.chosen(cfg, "scenes_val", 50)) == 9


def test_a_mistake_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def missing(*_: Any, **__: Any) -> None:
        raise WeightsError("model.pth: no such weights file")

    monkeypatch.setattr(quality.Segmenter, "from_config", missing)
    assert tool.main(["--opts", *SMALL]) == 2
    assert capsys.readouterr().err == "error: model.pth: no such weights file\n"
