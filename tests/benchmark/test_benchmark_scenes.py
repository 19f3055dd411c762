"""What a scene takes besides the network."""

import time

import rasterio
import torch

from ovrs.benchmark.scenes import Costless, input_and_output, make_scene, time_scene
from ovrs.inference.segmenter import Segmenter
from ovrs.vocabulary import Vocabulary

WORDS = Vocabulary.from_names("abc")


class Slow(Costless):
    def score(self, tiles, vocabulary):
        time.sleep(0.2)
        return super().score(tiles, vocabulary)


def test_time_in_the_network_is_told_from_the_rest(tmp_path):
    make_scene(tmp_path / "scene.tif", 96, drawn=1)
    found = time_scene(Segmenter(Slow()), tmp_path / "scene.tif", WORDS, tmp_path / "maps.tif")
    assert 0.2 <= found.network < found.seconds and found.other == found.seconds - found.network
    assert found.result.place.width == 96 and (tmp_path / "maps.tif").exists()


def test_reading_and_writing_one_image(tmp_path):
    assert input_and_output(tmp_path, 100, WORDS) > 0
    with rasterio.open(tmp_path / "image_100.tif") as image, rasterio.open(tmp_path / "maps_100.tif") as maps:
        assert image.shape == maps.shape == (100, 100) and image.count == 3
        assert set(maps.read(1).flat) == {0, 1, 2}


def test_scores_that_cost_nothing_are_scores():
    model = Costless(tile=100)
    scores = model.score(torch.randint(0, 256, (2, 3, 112, 112), dtype=torch.uint8), WORDS)
    assert model.tiling.tile == 112 and scores.shape == (2, 3, 28, 28) and 0 <= scores.min() < scores.max() <= 1
