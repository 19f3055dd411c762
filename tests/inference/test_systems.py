"""Every system of ovrs.modeling is used alike: named by its configuration, over whole scenes, with any number of words."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from ovrs.config import load_config
from ovrs.data.scenes import draw_scene
from ovrs.data.scenes.classes import Label
from ovrs.errors import WeightsError
from ovrs.inference.climate_options import ClimateOptions
from ovrs.inference.segmenter import Segmenter
from ovrs.inference.tile_models import SystemTiles
from ovrs.modeling.header import about_configuration
from ovrs.modeling.weights_files import write_state_dict
from ovrs.modeling.windows import InferenceSettings
from ovrs.vocabulary import Background, Vocabulary

sys.path.append(str(Path(__file__).parents[1] / "modeling"))

from described_parts import tiny_metasegnet
from parts import randomize, tiny_aeroseg, tiny_rs_zeroseg

MINI = ["mini/rs_zeroseg", "mini/metasegnet"]
SYSTEMS = {"AerOSeg": tiny_aeroseg, "RSZeroSeg": tiny_rs_zeroseg, "MetaSegNet": tiny_metasegnet}
NO_BACKBONE = ["MODEL.GUIDANCE.WEIGHTS", ""]  # of the package that carries it: a system's weights have it all
WORDS = "ship|boat, bridge, water"


def segmenter(build: Callable[..., torch.nn.Module], in_memory: int = 10**8, **changes: object) -> Segmenter:
    """A tiny system, reading tiles of 32 pixels."""
    model = randomize(build(**changes), seed=2).eval()
    return Segmenter(SystemTiles(model), (("MODEL", type(model).__name__),), in_memory)  # type: ignore[arg-type]


@pytest.fixture
def texture() -> NDArray[np.uint8]:
    """uint8 [3, 90, 110]."""
    return np.random.default_rng(0).integers(1, 256, (3, 9, 11), dtype=np.uint8).repeat(10, axis=1).repeat(10, axis=2)


every_system = pytest.mark.parametrize("build", SYSTEMS.values(), ids=SYSTEMS)


@pytest.mark.parametrize("name", ["mini", *MINI])
def test_the_weights_that_a_small_configuration_names_find_water_in_a_scene_they_have_not_seen(name: str) -> None:
    scene = draw_scene(1, 3, size=256)
    water = scene.labels == Label.WATER
    found = Segmenter.from_config(name, device="cpu").segment(scene.image, "water, building, road, tree, cropland, grass")
    answer = found.labels == 0
    assert water.mean() > 0.05 and (water & answer).sum() > 0.6 * (water | answer).sum()


@pytest.mark.parametrize("name", MINI)
def test_a_configuration_and_its_weights_are_all_that_is_named(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(WeightsError, match=r"none\.safetensors: no such weights file"):
        Segmenter.from_config(name, str(tmp_path / "none.safetensors"), device="cpu")
    first = Segmenter.from_config(name, "random", NO_BACKBONE, device="cpu")
    assert isinstance(first.model, SystemTiles)
    model = first.model.model
    file = tmp_path / "system.safetensors"
    write_state_dict(model.state_dict(), file, about_configuration(load_config(name)))
    pixels = np.random.default_rng(1).integers(0, 256, (200, 250, 3), dtype=np.uint8)
    torch.manual_seed(7)
    second = Segmenter.from_config(name, str(file), NO_BACKBONE, device="cpu")
    assert "trained with other settings" not in caplog.text
    one, other = (each.segment(pixels, WORDS, probabilities=True) for each in (first, second))
    assert np.array_equal(one.labels, other.labels) and np.array_equal(one.probabilities, other.probabilities)
    assert np.isfinite(one.confidence).all() and one.labels.shape == (200, 250)
    facts = dict(other.provenance)
    assert (facts["MODEL"], facts["CONFIG"], facts["WEIGHTS"]) == (type(model).__name__, name, "system.safetensors")


def test_interrupted_work_over_a_scene_goes_on_to_the_same_bytes(write_tiff: Callable[..., Path], tmp_path: Path) -> None:
    """Three units, of which the first is on disk and the second on its way there when the work is interrupted."""
    scene = write_tiff(np.random.default_rng(0).integers(1, 256, (3, 120, 3), dtype=np.uint8).repeat(10, 1).repeat(10, 2))
    vocabulary = Vocabulary.parse(WORDS).with_background(Background("words", ("land", "tree")))
    tiles: dict[str, int] = {}

    def run(folder: str, stop: bool = False, resume: bool = False) -> dict[str, bytes]:
        reader = segmenter(tiny_rs_zeroseg, in_memory=0, inference=InferenceSettings(tile=32, overlap=0.0))
        output, score = tmp_path / folder / "map.tif", reader.model.score

        def counted(batch: torch.Tensor, vocabulary: Vocabulary) -> torch.Tensor:
            tiles[folder] = tiles.get(folder, 0) + len(batch)
            if stop and tiles[folder] == 38:  # the last one
                raise KeyboardInterrupt
            return score(batch, vocabulary)

        reader.model.score = counted  # type: ignore[method-assign]
        reader.segment(scene, vocabulary, output=output, probabilities=True, vectors="geojson", resume=resume)
        return {path.name: path.read_bytes() for path in sorted(output.parent.iterdir())}

    whole = run("whole")
    assert {"map.tif", "map.confidence.tif", "map.probabilities.tif", "map.geojson"} <= whole.keys() and tiles["whole"] == 38
    with pytest.raises(KeyboardInterrupt):
        run("again", stop=True)
    assert run("again", resume=True) == whole
    assert 38 < tiles["again"] < 76, "what was finished was not computed again"


def test_three_hundred_names_are_as_good_as_three_where_classes_never_meet(texture: NDArray[np.uint8]) -> None:
    """RS-ZeroSeg has no MODEL.MAX_CLASSES: no name is left out, whatever else is asked for."""
    reader, pixels = segmenter(tiny_rs_zeroseg), np.ascontiguousarray(texture[:, 20:60, 20:70].transpose(1, 2, 0))
    names = [f"thing {number}" for number in range(300)]
    many = reader.segment(pixels, names, probabilities=True)
    few = reader.segment(pixels, names[-3:], probabilities=True)
    assert many.labels.dtype == np.uint16 and many.labels.max() > 254
    assert many.probabilities is not None and few.probabilities is not None
    assert np.abs(many.probabilities[-3:].astype(int) - few.probabilities.astype(int)).max() <= 1
    chunked = segmenter(tiny_rs_zeroseg, class_chunk=7).segment(pixels, names)
    assert (chunked.labels == many.labels).mean() > 0.999


@every_system
@pytest.mark.parametrize("background", [Background("words", ("land",)), Background("threshold", threshold=0.5)])
def test_a_background_is_read_by_every_system(
    build: Callable[..., torch.nn.Module], texture: NDArray[np.uint8], background: Background
) -> None:
    vocabulary = Vocabulary.parse(WORDS).with_background(background)
    pixels = np.ascontiguousarray(texture[:, :40, :50].transpose(1, 2, 0))
    result = segmenter(build).segment(pixels, vocabulary)
    assert result.vocabulary.names[-1] == "background" and result.labels.max() <= 3
    if background.policy == "threshold":
        unsure = segmenter(build).segment(pixels, WORDS).confidence < background.threshold
        assert np.array_equal(result.labels == 3, unsure)


@every_system
def test_half_precision_changes_scores_by_little(build: Callable[..., torch.nn.Module], texture: NDArray[np.uint8]) -> None:
    tiles, words = torch.from_numpy(texture[None, :, :32, :32].copy()), Vocabulary.parse(WORDS)
    exact, rounded = (segmenter(build, precision=precision).model.score(tiles, words) for precision in ("fp32", "bf16"))
    assert rounded.dtype == torch.float32 and not torch.equal(rounded, exact)
    torch.testing.assert_close(rounded, exact, rtol=0, atol=0.03)


def test_a_configuration_says_what_its_model_is_told_of_places(texture: NDArray[np.uint8]) -> None:
    options = ["DATASETS.CLIMATE.CLASSES", "('water', 'tree')", "DATASETS.CLIMATE.TOKENS", 90]
    reader = Segmenter.from_config("mini/metasegnet", "random", options, device="cpu")
    result = reader.segment(texture.transpose(1, 2, 0), "ship, bridge", climate=ClimateOptions(zone="BWh"))
    assert result.whereabouts is not None
    assert result.whereabouts.text.startswith("Water is ") and " Trees are " in result.whereabouts.text
    assert dict(result.provenance)["PROMPT_BANK"] == "bank v1"
    assert reader.model.prompt_policy.most_tokens == 90  # type: ignore[attr-defined]
