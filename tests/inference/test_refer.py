"""A sentence and its mask, over models that see colours and sides only: which side is left depends on what they are shown."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from numpy.typing import NDArray
from PIL import Image

from ovrs import Segmenter, Vocabulary
from ovrs.data.scenes import draw_scene
from ovrs.errors import InputError, VocabularyError
from ovrs.inference.grounding import Grounding, ground
from ovrs.inference.scene import Scene
from ovrs.inference.segmentation import Referred
from ovrs.inference.segmented import Place
from ovrs.inference.sentence import OTHERS, Sentence
from ovrs.inference.tile_models import SystemTiles
from ovrs.inference.tiles import Tiling
from ovrs.inference.whole_scene import WholeScene
from ovrs.modeling.windows import InferenceSettings
from ovrs.vocabulary import Background

sys.path.append(str(Path(__file__).parents[1] / "modeling"))

from parts import picture, randomize, tiny_aeroseg, tiny_mafn


class Sides:
    """Reads sentences: red things, and of what it is shown the left or the right half where the sentence says so."""

    tiling = Tiling(tile=32, overlap=0.0, patch=8, per_patch=4)
    batch, squeezes, reads_sentences = 2, True, True

    def __init__(self) -> None:
        self.asked: list[tuple[str, ...]] = []
        self.shapes: list[tuple[int, ...]] = []

    def score(self, tiles: torch.Tensor, vocabulary: Vocabulary) -> torch.Tensor:
        self.asked.append(vocabulary.rows)
        self.shapes.append(tuple(tiles.shape[1:]))
        red = torch.nn.functional.avg_pool2d((tiles[:, :1] > tiles[:, 1:2] + 50).float(), 2)
        half = (torch.arange(red.shape[-1]) < red.shape[-1] / 2).float()
        maps = []
        for sentence in vocabulary.rows:
            side = half if "left" in sentence else 1 - half if "right" in sentence else torch.ones_like(half)
            maps.append(red * side)
        return torch.cat(maps, dim=1)


def scene_with(red: list[tuple[int, int]], height: int = 96, width: int = 160) -> NDArray[np.uint8]:
    """uint8 [3, H, W], grey with red squares of 16 pixels at those rows and columns."""
    bands = np.full((3, height, width), 90, np.uint8)
    for row, column in red:
        bands[:, row : row + 16, column : column + 16] = np.array([[[220]], [[30]], [[30]]])
    return bands


def as_image(bands: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(bands.transpose(1, 2, 0))


def iou(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    return float((one & other).sum() / (one | other).sum())


# ------------------------------------------------------------------ sentences


def test_several_words_are_a_sentence_each_to_a_model_that_reads_sentences(caplog: pytest.LogCaptureFixture) -> None:
    image, segmenter = as_image(scene_with([(40, 16)])), Segmenter(Sides())
    results = [segmenter.segment(image, words) for words in ("left,right", "ship,quay,water")]
    assert [record.message[:56] for record in caplog.records] == ["hint: this model reads sentences and answers each class "]
    assert "--expression" in caplog.text and all("WORDS" in dict(result.provenance) for result in results)
    caplog.clear()
    asked = [Segmenter(Sides()).segment(image, "left"), Segmenter(Sides()).refer(image, "left, or right")]

    class OfWords(Sides):
        reads_sentences = False

    asked.append(Segmenter(OfWords()).segment(image, "left,right"))
    assert not caplog.records and not any("WORDS" in dict(result.provenance) for result in asked)


def test_two_sentences_on_one_image_give_two_masks() -> None:
    image = as_image(scene_with([(40, 16), (40, 128)]))
    left = Segmenter(Sides()).refer(image, "the red square on the left")
    right = Segmenter(Sides()).refer(image, "the red square on the right")
    truth = image[..., 0] > 200
    assert isinstance(left, Referred) and left.sentence == "the red square on the left" and left.mask.dtype == bool
    assert not (left.mask & right.mask).any()
    assert iou(left.mask[:, :80], truth[:, :80]) > 0.6 and not left.mask[:, 80:].any()
    assert iou(right.mask[:, 80:], truth[:, 80:]) > 0.6 and not right.mask[:, :80].any()
    assert left.vocabulary.names == ("the red square on the left", "background")


def test_commas_and_bars_are_part_of_a_sentence() -> None:
    model, sentence = Sides(), "the red, square thing | not the round one, please"
    result = Segmenter(model).refer(as_image(scene_with([(0, 0)])), f"  {sentence}\n")
    assert set(model.asked) == {(sentence,)} and result.sentence == sentence


@pytest.mark.parametrize(
    ("sentence", "says"), [("", "holds no word"), (" ,|", "holds no word"), ("a " * 400, "799 characters")]
)
def test_what_is_no_sentence_is_refused(sentence: str, says: str) -> None:
    with pytest.raises(VocabularyError, match=says):
        Segmenter(Sides()).refer(as_image(scene_with([])), sentence)


@pytest.mark.parametrize("wrong", [{"grounding": "tiles"}, {"threshold": 1.5}, {"others": ("",)}])
def test_wrong_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(VocabularyError):
        Segmenter(Sides()).refer(as_image(scene_with([])), "a ship", **wrong)
    with pytest.raises(InputError, match="threshold of its own"):
        Segmenter(Sides()).segment(as_image(scene_with([])), Sentence("a ship"), confidence_threshold=0.5)


def test_a_system_of_sentences_has_its_border_at_a_half_and_others_have_words_beside() -> None:
    asked = Sentence("the trees nearest the House, not the carport")
    assert asked.asked(True)[0].background == Background("threshold", threshold=0.5)
    vocabulary, least = asked.asked(False)
    assert vocabulary.background.policy == "words" and least is None
    assert vocabulary.background.words == tuple(word for word in OTHERS if word not in ("tree", "building"))
    chosen, least = Sentence("a ship", others=("water",), threshold=0.3).asked(True)
    assert chosen.background.words == ("water",) and least == 0.3
    assert Sentence("a ship", others=(), threshold=0.3).asked(False)[0].background.threshold == 0.3


def test_the_border_is_where_the_caller_says() -> None:
    image = as_image(scene_with([(40, 16)]))  # cells at the square's edges score between 0 and 1
    shares = [Segmenter(Sides()).refer(image, "red", threshold=at, grounding="windows").mask.mean() for at in (0.2, 0.5, 0.9)]
    assert shares[0] > shares[1] > shares[2] > 0


# ------------------------------------------------------------------- the rule


@pytest.mark.parametrize(
    ("sentence", "asked", "size", "squeezes", "grid"),
    [
        ("the leftmost ship", "auto", (96, 160), True, (32, 32)),
        ("a ship", "auto", (96, 160), True, None),
        ("a ship", "auto", (40, 64), True, (32, 32)),
        ("a ship", "whole", (96, 160), True, (32, 32)),
        ("the leftmost ship", "windows", (96, 160), True, None),
        ("the leftmost ship", "whole", (96, 160), False, (19, 32)),
        ("a ship", "auto", (40, 64), False, None),
        ("the leftmost ship", "auto", (20, 30), False, None),
    ],
)
def test_the_rule(sentence: str, asked: Any, size: tuple[int, int], squeezes: bool, grid: tuple[int, int] | None) -> None:
    found = ground(Sentence(sentence, asked), Counting(*size), Sides.tiling, squeezes=squeezes, reads_sentences=True)
    assert found.grid == grid
    assert ("windows of 32 pixels" in found.said) == (grid is None and max(size) > 32)


def test_what_is_lost_is_said_with_the_way_out() -> None:
    def found(sentence: Sentence, reads_sentences: bool = True) -> Grounding:
        scene = Counting(20_000, 10_000)
        return ground(sentence, scene, Sides.tiling, squeezes=True, reads_sentences=reads_sentences)

    lost = found(Sentence("the upper left ship"))
    assert "'upper' and 'left' is said of all of it" in lost.said
    assert "reduced 625 times" in lost.hint and "below some 2,500 pixels" in lost.hint
    assert "leave out 'upper' and 'left' and give --grounding windows" in lost.hint
    apart = found(Sentence("the left ship", "windows"))
    assert "'left' is said of every window by itself; --grounding whole" in apart.hint
    assert not found(Sentence("a ship")).hint
    words = found(Sentence("the left ship"), reads_sentences=False)
    assert words.grid is None and "knows things and no places: 'left' counts as any other word" in words.hint
    whole = found(Sentence("the left ship", "whole"), reads_sentences=False)
    assert "knows things and no places" in whole.hint and "hardly seen; for such things give --grounding windows" in whole.hint
    near = ground(Sentence("the left ship"), Counting(20, 30), Sides.tiling, squeezes=False, reads_sentences=False)
    assert "in one window" in near.said and "knows things and no places" in near.hint


def test_a_position_is_said_of_the_whole_scene_or_of_every_window() -> None:
    image = as_image(scene_with([(40, 16), (40, 128)]))
    whole = Segmenter(Sides()).refer(image, "the left red thing")
    apart = Segmenter(Sides()).refer(image, "the left red thing", grounding="windows")
    assert whole.mask.any() and not whole.mask[:, 80:].any()
    assert apart.mask[:, 80:].any(), "both squares are at the left of a window"
    assert "windows" in dict(apart.provenance)["GROUNDING"] and "every window" in dict(apart.provenance)["GROUNDING_HINT"]


# --------------------------------------------------------------------- scenes


def test_a_whole_reading_keeps_the_grid_and_the_nodata_of_the_file(write_tiff: Callable[..., Path], tmp_path: Path) -> None:
    bands = scene_with([(48, 224)], height=150, width=330)
    bands[:, :, :40] = 0  # an undeclared collar
    bands[:, 140:] = 0
    path = write_tiff(bands)
    result = Segmenter(Sides()).refer(path, "the red thing on the right", output=tmp_path / "mask.tif", overlay=True)
    with rasterio.open(tmp_path / "mask.tif") as file, rasterio.open(path) as source:
        assert (file.crs, file.transform, file.shape) == (source.crs, source.transform, source.shape)
        values, tags = file.read(1), file.tags()
    assert np.array_equal(values == 255, (bands == 0).all(axis=0))
    assert np.array_equal(values == 0, result.mask) and set(np.unique(values)) == {0, 1, 255}
    rows, columns = np.nonzero(values == 0)
    assert abs(rows.mean() - 55.5) < 3 and abs(columns.mean() - 231.5) < 6, "the square's middle, pixel for pixel"
    assert tags["CLASS_0"] == "the red thing on the right" and tags["READ_AS"] == "32 x 32 pixels"
    assert "'right'" in tags["GROUNDING"] and "reduced 10.3 times" in tags["GROUNDING_HINT"]
    with Image.open(tmp_path / "mask.overlay.png") as overlay:
        assert overlay.height > 2 * 150, "the sentence stands above the enlarged scene"


def test_polygons_of_a_mask_bear_the_sentence(write_tiff: Callable[..., Path], tmp_path: Path) -> None:
    pyogrio = pytest.importorskip("pyogrio")
    path = write_tiff(scene_with([(40, 16)]))
    Segmenter(Sides()).refer(path, "a red, square thing", output=tmp_path / "mask.tif", vectors="gpkg")
    found = pyogrio.read_dataframe(tmp_path / "mask.gpkg")
    (square,) = found[found["class_id"] == 0].itertuples()
    assert square[2] == "a red, square thing" and square.area_m2 == pytest.approx(256 * 0.25, rel=0.25)


class Counting(Scene):
    """A grey scene that is nowhere held, and counts what is asked of it."""

    def __init__(self, height: int, width: int) -> None:
        self.place = Place(height, width)
        self.model_size = (height, width)
        self.largest = 0

    def _count(self, pixels: int) -> int:
        self.largest = max(self.largest, pixels)
        return pixels

    def read(self, top: int, bottom: int, left: int, right: int) -> NDArray[np.uint8]:
        self._count((bottom - top) * (right - left))
        return np.full((3, bottom - top, right - left), 90, np.uint8)

    def valid(self, top: int, bottom: int, left: int, right: int) -> NDArray[np.bool_]:
        self._count((bottom - top) * (right - left))
        found = np.ones((bottom - top, right - left), dtype=bool)
        found[:, : max(100 - left, 0)] = False  # so that no strip alone tells that all columns hold an image
        return found

    def reduced(self, size: tuple[int, int]) -> NDArray[np.uint8]:
        self._count(size[0] * size[1])
        return np.full((*size, 3), 90, np.uint8)


def test_a_large_scene_is_never_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Counting(9000, 1200)
    monkeypatch.setattr("ovrs.inference.segmenter.open_scene", lambda *_: scene)
    model = Sides()
    result = Segmenter(model).refer("scene", "the grey thing on the left")
    assert set(model.shapes) == {(3, 32, 32)} and result.place.height == 9000
    assert scene.largest <= max(512 * 1200, 4096 * 546 + 1), "strips of 512 rows, and the picture of the result"


def test_a_reduced_file_is_read_reduced(write_tiff: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    from ovrs.inference.opening import open_scene

    bands = scene_with([(40, 16)], height=640, width=960)
    with open_scene(write_tiff(bands)) as scene:
        read: list[tuple[int, ...]] = []
        inner = scene._bands_of  # type: ignore[attr-defined]

        def watched(*args: Any, **options: Any) -> Any:
            read.append(options.get("out_shape", ()))
            return inner(*args, **options)

        monkeypatch.setattr(scene, "_bands_of", watched)
        whole = WholeScene(scene, (32, 32))
        assert read == [(3, 32, 32)] and whole.read(0, 32, 0, 32).shape == (3, 32, 32)
        expected = bands.reshape(3, 32, 20, 32, 30).mean(axis=(2, 4))
        assert np.abs(whole.read(0, 32, 0, 32).astype(float) - expected).max() < 1


# -------------------------------------------------------------------- systems


def test_mafn_answers_through_the_segmenter_as_it_does_in_its_evaluation() -> None:
    model = randomize(tiny_mafn(fixed_size=64), seed=1).eval()
    image = picture(64, 64, seed=3)
    (answer,) = model([{"image": image, "expression": "the ship on the left"}])
    expected = answer["sem_seg"][0].numpy()
    border = float(np.median(expected))  # of what is not trained, a half may be all or nothing
    result = Segmenter(SystemTiles(model)).refer(as_image(image.numpy()), "the ship on the left", threshold=border)
    clear = np.abs(expected - border) > 1e-4
    assert np.array_equal(result.mask[clear], (expected >= border)[clear]) and clear.mean() > 0.9
    assert np.allclose(result.confidence[result.mask], expected[result.mask], atol=1e-5)


@pytest.mark.parametrize("size", [(40, 150), (150, 40), (30, 30)])
def test_a_model_that_squeezes_reads_scenes_narrower_than_its_windows(size: tuple[int, int]) -> None:
    model = randomize(tiny_mafn(fixed_size=64), seed=1).eval()
    reader = Segmenter(SystemTiles(model))
    for how in ("windows", "whole"):
        result = reader.refer(as_image(picture(*size).numpy()), "a ship", grounding=how)  # type: ignore[arg-type]
        assert result.mask.shape == size and np.isfinite(result.confidence).all()


def test_an_open_vocabulary_system_answers_the_same_call() -> None:
    model = randomize(tiny_aeroseg(inference=InferenceSettings(tile=32)), seed=2).eval()
    image = as_image(picture(40, 70).numpy())
    result = Segmenter(SystemTiles(model)).refer(image, "the ship on the left, in the harbour")
    left_out = {"ship", "harbor"}  # the sentence itself names them
    assert set(result.vocabulary.background.words) == OTHERS.keys() - left_out and "windows of 32" in result.grounding.said
    whole = Segmenter(SystemTiles(model)).refer(image, "the ship on the left, in the harbour", grounding="whole")
    assert "32 x 18 pixels" in whole.grounding.said and not np.array_equal(whole.confidence, result.confidence)
    by_words = Segmenter(SystemTiles(model)).refer(image, "ship", grounding="windows", others=("water", "land"))
    words = Vocabulary.from_names(["ship"]).with_background(Background("words", ("water", "land")))
    assert np.array_equal(by_words.labels, Segmenter(SystemTiles(model)).segment(image, words).labels)


def test_the_weights_that_the_small_mafn_names_find_the_only_thing_of_its_class_in_scenes_they_have_not_seen() -> None:
    reader, found = Segmenter.from_config("mini/mafn", device="cpu"), []
    for index in (0, 3, 4, 5, 8):
        scene = draw_scene(1, index, size=256)
        for said in scene.expressions:
            if said.kind == "only":
                mask = reader.refer(scene.image, said.sentence).mask
                found.append((mask & said.mask).sum() / (mask | said.mask).sum())
    assert len(found) == 6 and np.mean(found) > 0.4
