"""Where an image was taken, on the demo's page: a field where the model reads that, and what it was told beside the result."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import rasterio

pytest.importorskip("gradio")
sys.path.append(str(Path(__file__).parents[1] / "inference"))

from PIL import Image
from place_model import DEGREES, WORDS, PlaceReader, write_image

import ovrs.climate.lookup
from ovrs.browser.beside import Beside
from ovrs.browser.events import Events
from ovrs.browser.examples import Gallery
from ovrs.browser.guests import Guests
from ovrs.browser.messages import plain_words
from ovrs.browser.page import build_page
from ovrs.climate.bank import NEUTRAL
from ovrs.climate.zones import zone_named
from ovrs.errors import InputError
from ovrs.inference import drawing
from ovrs.inference.segmenter import Segmenter
from ovrs.vocabulary import Vocabulary

VOCABULARY = Vocabulary.parse(WORDS)


@pytest.fixture
def guests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Guests:
    """All the world is a desert."""
    monkeypatch.setattr(ovrs.climate.lookup, "zone_at", lambda *_: zone_named("BWh"))
    monkeypatch.setattr(drawing, "_SIZE", 96)
    return Guests(Segmenter(PlaceReader()), tmp_path / "uploads", tmp_path / "uploads" / "results")


@pytest.mark.parametrize("reads", [True, False])
def test_the_field_is_there_where_the_model_reads_places(guests: Guests, reads: bool) -> None:
    model: Any = guests.segmenter.model
    model.reads_places = reads
    page = build_page(guests, "model", 8)
    (field,) = [part["props"] for part in page.config["components"] if part["props"].get("elem_id") == "where"]
    assert field["visible"] == reads and field["label"] == "Where (place, zone or coordinates)"


def test_it_is_filled_by_what_the_image_says(guests: Guests) -> None:
    does = Events(guests, Gallery(guests.segmenter, guests.uploads))
    placed = write_image(guests.uploads / "a" / "town.tif", **DEGREES)
    bare = guests.uploads / "a" / "town.png"
    Image.new("RGB", (20, 20)).save(bare)
    assert does.find_place(str(placed), "") == "25.2000, 55.3000"
    assert does.find_place(str(bare), "") == does.find_place(None, "") == does.find_place("/etc/passwd", "") == ""
    example = does.gallery[does.gallery.examples[0]].source.path
    with rasterio.open(str(example)) as file:
        assert does.find_place(str(example), "") == file.tags()["CLIMATE_ZONE"]
    model: Any = guests.segmenter.model
    model.reads_places = False
    assert does.find_place(str(placed), "") == ""


def test_what_the_model_was_told_stands_beside_the_result(guests: Guests) -> None:
    does = Events(guests, Gallery(guests.segmenter, guests.uploads))
    image = write_image(guests.uploads / "a" / "town.tif", **DEGREES)
    for where, place in (
        ("25.2000, 55.3000", "25.20 N, 55.30 E (the middle of town.tif)"),  # as it was filled in
        ("", "25.20 N, 55.30 E (the middle of town.tif)"),
        ("24, 54", "24.00 N, 54.00 E (as typed)"),
        ("dubai", "(region Dubai)"),
    ):
        result = guests.segment("guest", image, VOCABULARY, beside=Beside(where=where))
        said = does.remarks(result)
        assert place in said and "zone BWh, hot desert climate" in said and "Prompt: " in said and "--" not in said
        assert result.told[1] == f"prompt: {guests.segmenter.model.told[-1]}"  # type: ignore[attr-defined]
        with rasterio.open(result.raster) as file:
            assert file.tags()["CLIMATE_ZONE"] == "BWh"
    by_zone = guests.segment("guest", image, VOCABULARY, beside=Beside(where="cfb"))
    assert "zone Cfb" in by_zone.told[0]
    given = guests.segment("guest", image, VOCABULARY, beside=Beside(description="a town", where="cfb"))
    assert given.told[1] == "prompt (the description given): a town"


def test_a_picture_is_told_of_by_the_guest_or_neutrally(guests: Guests) -> None:
    bare = guests.uploads / "a" / "town.png"
    bare.parent.mkdir(parents=True)
    Image.new("RGB", (40, 40), (99, 99, 99)).save(bare)
    does = Events(guests, Gallery(guests.segmenter, guests.uploads))
    result = guests.segment("guest", bare, VOCABULARY)
    said = does.remarks(result)
    assert NEUTRAL in result.told[1] and "name one under Where" in said and "Read without a place." in said and "--" not in said
    assert "zone BWh" in guests.segment("guest", bare, VOCABULARY, beside=Beside(where="BWh")).told[0]
    for wrong in ("nowhere at all", "25.2"):
        with pytest.raises(InputError) as caught:
            guests.segment("guest", bare, VOCABULARY, beside=Beside(where=wrong))
        assert "--" not in plain_words(caught.value, guests.uploads)


def test_another_model_is_told_of_no_place(guests: Guests) -> None:
    model: Any = guests.segmenter.model
    model.reads_places = model.reads_descriptions = False
    image = write_image(guests.uploads / "a" / "town.tif", **DEGREES)
    result = guests.segment("guest", image, VOCABULARY, beside=Beside(where="no place at all"))
    assert result.told == () and not result.read
