"""SAR partners and descriptions on the demo's page: shown where the model reads them, taken from uploads alone."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import rasterio

pytest.importorskip("gradio")
sys.path.append(str(Path(__file__).parents[1] / "inference"))

from pair_model import PLACE, Pairs, decibels, pair, write

from ovrs.browser.beside import GUESSED, Beside
from ovrs.browser.events import Events
from ovrs.browser.examples import Gallery
from ovrs.browser.guests import Guests, Limits
from ovrs.browser.messages import plain_words
from ovrs.browser.page import build_page
from ovrs.data.scenes import draw_scene
from ovrs.errors import InputError, OvrsError
from ovrs.inference import drawing
from ovrs.inference.segmenter import Segmenter
from ovrs.vocabulary import Vocabulary

WORDS = Vocabulary.parse("water, land")


@pytest.fixture
def guests(tmp_path: Path) -> Guests:
    return Guests(Segmenter(Pairs()), tmp_path / "uploads", tmp_path / "uploads" / "results")


def test_an_upload_and_its_partner_become_a_map(guests: Guests) -> None:
    image, sar = pair(guests.uploads / "ab12")
    result = guests.segment("guest", image, WORDS, beside=Beside(sar, GUESSED, description="a river town"))
    with rasterio.open(result.raster) as file:
        assert (file.read(1)[:, :80] == 0).all() and file.tags()["DESCRIPTION"] == "a river town"
    assert not result.read
    alone = guests.segment("guest", image, WORDS)
    assert alone.read == "read without SAR and a description"
    flood = guests.segment("guest", image, WORDS, beside=Beside(description="a flood"))
    assert flood.screen.shares["water"] == 1 and flood.read == "read without SAR"


def test_a_partner_is_an_upload_within_the_limits(guests: Guests, tmp_path: Path) -> None:
    image, sar = pair(guests.uploads / "ab12")
    elsewhere = write(tmp_path / "sar.tif", decibels())
    with pytest.raises(InputError, match="was not uploaded here"):
        guests.segment("guest", image, WORDS, beside=Beside(elsewhere))
    large = write(guests.uploads / "ab12" / "large.tif", decibels(400, 400))
    small = replace(guests, limits=Limits(pixels=96 * 160))
    with pytest.raises(InputError, match=r"large.tif: 400 x 400 pixels are more than the 15,360 allowed"):
        small.segment("guest", image, WORDS, beside=Beside(large))
    assert small.segment("guest", image, WORDS, beside=Beside(sar)).screen.shares["water"] == pytest.approx(0.5)


def test_what_does_not_fit_is_said_with_the_pages_controls(guests: Guests) -> None:
    image, _ = pair(guests.uploads / "ab12")
    moved = write(guests.uploads / "cd34" / "moved.tif", decibels(), transform=PLACE @ PLACE.translation(4, 0))
    power = write(guests.uploads / "cd34" / "power.tif", np.full((1, 96, 160), 0.2, np.float32))
    for sar, says in ((moved, "tick Lay SAR onto the image's grid"), (power, "choose which under SAR values")):
        with pytest.raises(OvrsError) as caught:
            guests.segment("guest", image, WORDS, beside=Beside(sar))
        text = plain_words(caught.value, guests.uploads)
        assert says in text and "--" not in text and str(guests.uploads) not in text and "gdalwarp" not in text, text
    guests.segment("guest", image, WORDS, beside=Beside(moved, resample=True))
    guests.segment("guest", image, WORDS, beside=Beside(power, "intensity"))


@pytest.mark.parametrize("reads", [True, False])
def test_a_pair_is_an_example_where_the_model_reads_sar(guests: Guests, monkeypatch: pytest.MonkeyPatch, reads: bool) -> None:
    monkeypatch.setattr(drawing, "_SIZE", 96)
    model: Any = guests.segmenter.model
    model.reads_sar = reads
    does = Events(guests, Gallery(guests.segmenter, guests.uploads))
    examples = does.gallery.examples
    assert [example.name for example in examples if example.pair] == (["clouds"] if reads else [])
    for index, example in enumerate(examples):
        image, words, sentence, sar, scale, resample, description = does.choose_example(SimpleNamespace(index=index))  # type: ignore[arg-type]
        assert words == example.words and not sentence and scale == GUESSED and not resample
        assert (sar is not None) == bool(description) == example.pair
    if reads:
        assert sar is not None and description == draw_scene(22, size=96).summary
        result = guests.segment("guest", image, WORDS, beside=Beside(sar, scale, resample, description))
        assert not result.read, "nothing lacks"
        Path(sar).unlink()
        assert does.choose_example(SimpleNamespace(index=index))[3] == sar and Path(sar).exists()  # type: ignore[arg-type]


@pytest.mark.parametrize("reads", [True, False])
def test_controls_are_shown_where_the_model_reads_them(guests: Guests, reads: bool) -> None:
    model: Any = guests.segmenter.model
    model.reads_sar = model.reads_descriptions = reads
    page = build_page(guests, "model", 8)
    parts = {part["props"].get("elem_id"): part["props"] for part in page.config["components"]}
    assert {name: parts[name]["visible"] for name in ("sar", "scale", "resample", "description", "words")} == {
        "sar": reads,
        "scale": reads,
        "resample": reads,
        "description": reads,
        "words": True,
    }
