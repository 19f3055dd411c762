"""The public Python interface, over a model that sees colours only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from numpy.typing import NDArray
from PIL import Image

from ovrs.errors import ConfigError, InputError, OutputError, VocabularyError, WeightsError
from ovrs.inference.devices import choose_device
from ovrs.inference.named_weights import find_weights
from ovrs.inference.rasters import ImageInput
from ovrs.inference.segmenter import Segmenter
from ovrs.inference.tiles import Tiling
from ovrs.vocabulary import Background, Vocabulary, VocabularyClass


class ColorModel:
    """The score of a class is its channel's value / 255."""

    tiling = Tiling(tile=32, overlap=0.25, patch=8, per_patch=8)
    batch = 2

    def score(self, tiles: torch.Tensor, vocabulary: Vocabulary) -> torch.Tensor:
        assert tiles.dtype == torch.uint8 and tiles.shape[1] == 3
        cells = tiles.float() / 255
        words = len(vocabulary.row_classes)
        return torch.cat([cells, torch.zeros(len(cells), max(words - 3, 0), *cells.shape[2:])], dim=1)[:, :words]


def test_segments_arrays_and_files_alike(tmp_path: Path, quadrants: NDArray[np.uint8]) -> None:
    Image.fromarray(quadrants).save(tmp_path / "a.png")
    segmenter, calls = Segmenter(ColorModel()), []
    first = segmenter.segment(quadrants, "red,green,blue", progress=lambda *step: calls.append(step))
    second = segmenter.segment(tmp_path / "a.png", Vocabulary.parse("red,green,blue"))
    assert first.labels.dtype == np.uint8 and calls[-1] == (6, 6)
    assert first.labels[0, 0] == 0 and first.labels[0, -1] == 1 and first.labels[-1, 0] == 2
    assert np.array_equal(first.labels, second.labels)
    assert first.confidence[0, 0] == pytest.approx(200 / 255)
    assert dict(first.provenance)["SOFTWARE"].startswith("ovrs ")


def hints(log: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in log.records if record.message.startswith("hint: ")]


def test_a_description_that_the_model_does_not_read_changes_nothing_and_is_hinted_at_once(
    quadrants: NDArray[np.uint8], caplog: pytest.LogCaptureFixture
) -> None:
    segmenter, words = Segmenter(ColorModel()), Vocabulary.parse("red,green,blue")
    plain = segmenter.segment(quadrants, words)
    assert not hints(caplog)
    told = [segmenter.segment(quadrants, words.with_description(text)) for text in ("a town", "a town", "a wood")]
    assert all(np.array_equal(result.labels, plain.labels) and result.provenance == plain.provenance for result in told)
    assert len(hints(caplog)) == 1 and "the description" in hints(caplog)[0]


def test_a_model_that_reads_descriptions_is_given_them_and_the_map_says_so(
    quadrants: NDArray[np.uint8], caplog: pytest.LogCaptureFixture
) -> None:
    class Reader(ColorModel):
        reads_descriptions = True

        def score(self, tiles: torch.Tensor, vocabulary: Vocabulary) -> torch.Tensor:
            scores = super().score(tiles, vocabulary)
            return scores.flip(1) if vocabulary.description == "a town" else scores

    segmenter, words = Segmenter(Reader()), Vocabulary.parse("red,green,blue")
    plain, told = (segmenter.segment(quadrants, words.with_description(text)) for text in ("", "a town"))
    assert (plain.labels[0, 0], told.labels[0, 0]) == (0, 2)
    assert dict(told.provenance)["DESCRIPTION"] == "a town" and "DESCRIPTION" not in dict(plain.provenance)
    assert dict(plain.provenance)["LACKED"] == "a description" and "LACKED" not in dict(told.provenance)
    assert len(hints(caplog)) == 1 and "nothing was said" in hints(caplog)[0]


def test_nodata_has_no_class_and_no_confidence(tmp_path: Path, quadrants: NDArray[np.uint8]) -> None:
    quadrants[:20, :20] = 0
    Image.fromarray(quadrants).save(tmp_path / "a.png")
    result = Segmenter(ColorModel()).segment(tmp_path / "a.png", "red,green,blue")
    assert (result.labels[:20, :20] == 255).all() and np.isnan(result.confidence[:20, :20]).all()
    assert result.labels[20:].max() == 2 and sum(result.pixels().values()) == 48 * 64 - 400


def test_an_image_of_nodata_only_is_mapped_without_the_model() -> None:
    empty = ImageInput.from_array(np.zeros((30, 30, 3), np.uint8), np.zeros((30, 30), dtype=bool))
    model = ColorModel()
    model.score = lambda *_: pytest.fail("scored")  # type: ignore[method-assign]
    result = Segmenter(model).segment(empty, "red")
    assert (result.labels == 255).all() and result.shares() == {"red": 0.0}


def test_confidence_threshold_gives_the_background(quadrants: NDArray[np.uint8]) -> None:
    vocabulary = Vocabulary.parse("red,green,blue").with_background(Background("words", ("other",)))
    result = Segmenter(ColorModel()).segment(quadrants, vocabulary, confidence_threshold=0.5)
    assert (result.labels[24:, 32:] == 3).all() and result.labels[:24].max() == 1
    with pytest.raises(InputError, match="needs a background"):
        Segmenter(ColorModel()).segment(quadrants, "red", confidence_threshold=0.5)


def test_bad_words_and_arrays_are_refused(quadrants: NDArray[np.uint8]) -> None:
    with pytest.raises(VocabularyError):
        Segmenter(ColorModel()).segment(quadrants, "red,Red")
    with pytest.raises(InputError):
        Segmenter(ColorModel()).segment(quadrants[..., 0], "red")


def test_tags_say_what_decided(tmp_path: Path, quadrants: NDArray[np.uint8]) -> None:
    classes = (VocabularyClass("red", ("crimson",), threshold=0.2), VocabularyClass("green"))
    vocabulary = Vocabulary(classes, background=Background("words", ("blue",)), synonyms="mean")
    model = ColorModel()
    model.score = lambda tiles, vocabulary: tiles.float() / 255  # type: ignore[method-assign]
    Segmenter(model).segment(quadrants, vocabulary, confidence_threshold=0.3, output=tmp_path / "map.tif")
    with rasterio.open(tmp_path / "map.tif") as file:
        tags = file.tags()
    assert (tags["CONFIDENCE_THRESHOLD"], tags["SYNONYMS"], tags["THRESHOLDS"]) == ("0.3", "mean", '{"red": 0.2}')


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan")])
def test_a_threshold_is_a_share(quadrants: NDArray[np.uint8], threshold: float) -> None:
    vocabulary = Vocabulary.parse("red").with_background(Background("words", ("green",)))
    with pytest.raises(InputError, match=r"outside 0\.\.1"):
        Segmenter(ColorModel()).segment(quadrants, vocabulary, confidence_threshold=threshold)


def test_two_thresholds_for_the_background_are_refused(quadrants: NDArray[np.uint8]) -> None:
    vocabulary = Vocabulary.parse("red,green").with_background(Background("threshold", threshold=0.5))
    with pytest.raises(InputError, match="threshold of its own, 0.5"):
        Segmenter(ColorModel()).segment(quadrants, vocabulary, confidence_threshold=0.8)


@pytest.mark.parametrize("image", [None, [[0]], b"image.tif"])
def test_other_than_images_are_refused(image: Any) -> None:
    with pytest.raises(InputError, match="an image is a file, an array"):
        Segmenter(ColorModel()).segment(image, "red")


def test_polygons_without_a_place_are_refused_before_the_model_is_asked(tmp_path: Path, quadrants: NDArray[np.uint8]) -> None:
    model = ColorModel()
    model.score = lambda *_: pytest.fail("scored")  # type: ignore[method-assign]
    with pytest.raises(InputError, match="no coordinate reference system"):
        Segmenter(model).segment(quadrants, "red", output=tmp_path / "map.tif", vectors="gpkg")


@pytest.mark.parametrize("suffix", ["tif", "png"])
def test_an_image_is_never_overwritten_by_its_map(tmp_path: Path, quadrants: NDArray[np.uint8], suffix: str) -> None:
    for name in (f"a.{suffix}", f"map.confidence.{suffix}", "map.overlay.png"):
        path = tmp_path / name
        Image.fromarray(quadrants).save(path)
        before = path.read_bytes()
        output = tmp_path / (name if name.startswith("a.") else f"map.{suffix}")
        with pytest.raises(OutputError, match="is an input and would be overwritten"):
            Segmenter(ColorModel()).segment(path, "red,green", output=output, overlay=True)
        assert path.read_bytes() == before


def test_weights_must_be_named_and_exist(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="names no file, and encoders alone"):
        find_weights("")
    with pytest.raises(WeightsError, match="absent.safetensors"):
        find_weights("absent.safetensors")
    (tmp_path / "w.safetensors").touch()
    assert find_weights(str(tmp_path / "w.safetensors")) == str(tmp_path / "w.safetensors")


def test_device_is_the_wanted_one_or_one_that_works() -> None:
    assert choose_device("cpu", "cuda") == "cpu"
    assert torch.zeros(1, device=choose_device(None, "no such device")).numel() == 1
    with pytest.raises(ConfigError, match="'abacus'"):
        choose_device("abacus")
