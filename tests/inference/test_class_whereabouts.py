"""A model that reads a sentence on each class is told those of the place where an image was taken."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from numpy.typing import NDArray
from torch import Tensor

from ovrs.climate.bank import PromptBank, Sentence
from ovrs.inference.climate_options import ClimateOptions
from ovrs.inference.prompt_policy import PromptPolicy
from ovrs.inference.segmenter import Segmenter
from ovrs.inference.tile_models import SystemTiles
from ovrs.inference.tiles import Tiling
from ovrs.vocabulary import Vocabulary
from tests.modeling.parts import tiny_aeroseg

WORDS = "tree, road, ship"


class Listener:
    """A model that finds the first class everywhere, and notes what it was asked."""

    reads_class_descriptions = True
    tiling = Tiling(32, 0.5, 8, 4)
    batch = 1

    def __init__(self) -> None:
        self.asked: list[Vocabulary] = []

    def score(self, tiles: Tensor, vocabulary: Vocabulary) -> Tensor:
        self.asked.append(vocabulary)
        scores = torch.zeros(len(tiles), len(vocabulary), tiles.shape[2] // 2, tiles.shape[3] // 2)
        scores[:, 0] = 1
        return scores


@pytest.fixture
def bank(tmp_path: Path) -> Path:
    said = {"BWh": ("Date palms.", "Sandy roads."), "Dfc": ("Spruces.", "Snowy roads.")}
    sentences = {
        zone: dict(zip(("tree", "road"), (Sentence(t, "hand") for t in texts), strict=True)) for zone, texts in said.items()
    }
    PromptBank("test", {"tree": (), "road": ()}, sentences).save(tmp_path / "bank.json")
    return tmp_path / "bank.json"


def test_the_sentences_of_the_zone_reach_the_model_and_the_tags(
    bank: Path, quadrants: NDArray[np.uint8], write_tiff: Callable[..., Path], tmp_path: Path
) -> None:
    model = Listener()
    image = write_tiff(quadrants.transpose(2, 0, 1))
    climate = ClimateOptions(zone="BWh", bank=bank)
    result = Segmenter(model).segment(image, WORDS, climate=climate, output=tmp_path / "map.tif")
    assert {vocabulary.class_descriptions for vocabulary in model.asked} == {("Date palms.", "Sandy roads.", "")}
    assert {vocabulary.description for vocabulary in model.asked} == {""}
    assert result.whereabouts is not None
    assert "zone BWh" in result.whereabouts.lines[0]
    assert result.whereabouts.lines[1:] == ("of its classes: Date palms. Sandy roads.", "nothing is said of: ship")
    with rasterio.open(tmp_path / "map.tif") as file:
        tags = file.tags()
    assert tags["CLIMATE_ZONE"] == "BWh" and tags["CLASS_DESCRIPTIONS"] == "Date palms. Sandy roads."
    assert tags["PROMPT_BANK"] == "bank test (bank.json)"
    assert "DESCRIPTION" not in tags and "LACKED" not in tags


def test_sentences_come_from_where_they_came_in_training(bank: Path, quadrants: NDArray[np.uint8]) -> None:
    model: Any = Listener()
    policies = (PromptPolicy(bank=bank, classes=("road",)), PromptPolicy("neutral", bank=bank), PromptPolicy("template"))
    for model.prompt_policy in policies:
        Segmenter(model).segment(quadrants, "tree", climate=ClimateOptions(zone="BWh"))
    said = [vocabulary.class_descriptions[0] for vocabulary in model.asked]
    assert list(dict.fromkeys(said)) == [
        "Date palms.",
        "The image may show tree in a place with " + said[-1].split(" with ", 1)[1],
    ]


def test_without_a_place_classes_go_by_their_names_and_a_hint_says_so(
    bank: Path, quadrants: NDArray[np.uint8], caplog: pytest.LogCaptureFixture
) -> None:
    model = Listener()
    with caplog.at_level(logging.WARNING):
        result = Segmenter(model).segment(quadrants, WORDS, climate=ClimateOptions(bank=bank))
    assert {vocabulary.class_descriptions for vocabulary in model.asked} == {()}
    assert "reads a sentence on each class where an image was taken" in caplog.text
    assert result.whereabouts is not None
    assert result.whereabouts.lines[1] == "of its classes: their names alone, for lack of a place"


def test_sentences_of_the_users_own_stand(bank: Path, quadrants: NDArray[np.uint8]) -> None:
    model = Listener()
    vocabulary = Vocabulary.parse(WORDS).with_class_descriptions(("", "Red roads.", ""))
    result = Segmenter(model).segment(quadrants, vocabulary, climate=ClimateOptions(zone="BWh", bank=bank))
    assert model.asked[0].class_descriptions == ("", "Red roads.", "")
    assert result.whereabouts is not None
    assert result.whereabouts.lines[1] == "of its classes (the sentences given): Red roads."


def test_a_model_that_reads_none_is_told_none(bank: Path, quadrants: NDArray[np.uint8]) -> None:
    model: Any = Listener()
    model.reads_class_descriptions = False
    result = Segmenter(model).segment(quadrants, WORDS, climate=ClimateOptions(zone="BWh", bank=bank))
    assert result.whereabouts is None and model.asked[0].class_descriptions == ()


def test_the_map_of_a_system_depends_on_the_zone(bank: Path, quadrants: NDArray[np.uint8]) -> None:
    tiles = SystemTiles(tiny_aeroseg(reads_class_descriptions=True).eval())
    segmenter = Segmenter(tiles)
    assert tiles.reads_class_descriptions and segmenter.reads_places
    confidence = [
        np.asarray(segmenter.segment(quadrants, WORDS, climate=climate).confidence)
        for climate in (ClimateOptions(zone="BWh", bank=bank), ClimateOptions(zone="Dfc", bank=bank), ClimateOptions(bank=bank))
    ]
    assert not any(np.array_equal(confidence[a], confidence[b]) for a, b in ((0, 1), (0, 2), (1, 2)))
    assert not SystemTiles(tiny_aeroseg().eval()).reads_class_descriptions
