"""A scene read in strips gives the map of the scene read at once."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ovrs.errors import InputError
from ovrs.inference.decision import Decided, Decision
from ovrs.inference.rasters import ImageInput
from ovrs.inference.scene import ArrayScene
from ovrs.inference.streaming import plan_scene, stream
from ovrs.inference.tiles import Tiling
from ovrs.modeling.windows import InferenceSettings, resize, sliding_scores
from ovrs.vocabulary import Background, Vocabulary, VocabularyClass

TILING = Tiling(tile=64, overlap=0.25, patch=16, per_patch=4)
WORDS = Vocabulary.parse("red, green, blue, dark")


def of_windows(tiles):
    """Scores that depend on the whole tile: what a network does."""
    cells = torch.nn.functional.avg_pool2d(tiles.float() / 255, 4)
    return torch.cat([cells, 1 - cells.amax(dim=1, keepdim=True)], dim=1) * (
        0.5 + tiles.float().mean((1, 2, 3))[:, None, None, None] / 510
    )


def of_pixels(tiles):
    """Scores of a cell that depend on its pixels alone."""
    cells = torch.nn.functional.avg_pool2d(tiles.float() / 255, 4)
    return torch.cat([cells, 1 - cells.amax(dim=1, keepdim=True)], dim=1)


def scene_of(height, width, seed=0, holes=False):
    draw = np.random.default_rng(seed)
    small = draw.integers(0, 256, (-(-height // 9), -(-width // 9), 3), dtype=np.uint8)
    rgb = np.kron(small, np.ones((9, 9, 1), dtype=np.uint8))[:height, :width]
    valid = np.ones((height, width), bool)
    if holes:
        valid[: height // 2, : width // 3] = False
        valid[-40:, -90:] = False
    return ArrayScene(ImageInput.from_array(np.ascontiguousarray(rgb), valid))


def run(scene, score=of_windows, decision=None, waiting=10**9, **options):
    plan = plan_scene(scene, TILING, 4, waiting)
    decision = decision or Decision(WORDS, probabilities=True)
    labels, confidence = np.zeros((scene.height, scene.width), np.uint8), np.zeros((scene.height, scene.width), np.float32)
    scores = np.zeros((decision.names, scene.height, scene.width), np.uint8)
    for unit, piece in stream(scene, plan, score, decision, **options):
        place = slice(unit.top, unit.bottom), slice(unit.left, unit.right)
        labels[place], confidence[place] = piece.labels, piece.confidence
        if piece.probabilities is not None:
            scores[(slice(None), *place)] = piece.probabilities
    return plan, Decided(labels, confidence, scores)


def same(a, b):
    assert np.array_equal(a.labels, b.labels) and np.array_equal(a.confidence, b.confidence, equal_nan=True)
    assert np.array_equal(a.probabilities, b.probabilities)


@pytest.mark.parametrize("size", [(30, 40), (64, 64), (700, 90), (1100, 1300)])
def test_strips_give_what_sliding_windows_give(size):
    scene = scene_of(*size)
    _, found = run(scene)
    image = torch.from_numpy(scene.read(0, size[0], 0, size[1]).copy())
    settings = InferenceSettings("sliding", TILING.tile, TILING.overlap)
    scores = sliding_scores(lambda view: of_windows(view[None])[0].logit(eps=1e-7), image, settings, patch=16, per_patch=4)
    full = resize(scores[None], (scores.shape[1] * 4, scores.shape[2] * 4))[0, :, : size[0], : size[1]]
    best, labels = full.max(dim=0)
    assert np.abs(found.confidence - best.numpy()).max() < 1e-5
    sure = full.topk(2, dim=0).values.diff(dim=0)[0].abs() > 1e-5
    assert np.array_equal(found.labels[sure], labels[sure].numpy())


def test_a_constant_model_gives_a_constant_map():
    scene = scene_of(1100, 530)
    value = torch.tensor([0.3, 0.1, 0.7, 0.2])
    _, found = run(scene, lambda tiles: value.view(1, 4, 1, 1).expand(len(tiles), 4, tiles.shape[2] // 4, tiles.shape[3] // 4))
    assert (found.labels == 2).all() and np.abs(found.confidence - 0.7).max() <= 1e-6


def test_tiles_leave_no_trace_where_the_model_has_none():
    scene = scene_of(900, 610)
    _, tiled = run(scene, of_pixels)
    image = torch.nn.functional.pad(
        torch.from_numpy(scene.read(0, 900, 0, 610).copy())[None].float(), (0, 14, 0, 12), mode="replicate"
    )
    whole = resize(of_pixels(image), (912, 624))[0, :, :900, :610]
    assert np.abs(tiled.confidence - whole.amax(dim=0).numpy()).max() <= 1e-5


@pytest.mark.parametrize("holes", [False, True])
def test_bands_batches_and_the_order_of_units_leave_no_trace(holes):
    scene = scene_of(1300, 1400, holes=holes)
    plan, whole = run(scene)
    narrow, banded = run(scene, waiting=1)
    assert len(plan.bands) == 1 and len(narrow.bands) == 3
    same(whole, banded)
    _, batched = run(scene, of_pixels, batch=5)
    same(run(scene, of_pixels)[1], batched)


def test_units_that_are_done_are_left_out_and_the_others_come_out_the_same():
    scene = scene_of(2100, 700, holes=True)
    plan, whole = run(scene)
    units = plan.units
    for kept in ([0], [1, 3], [2, 4], []):
        done = {unit for number, unit in enumerate(units) if number not in kept}
        decision = Decision(WORDS, probabilities=True)
        pieces = dict(stream(scene, plan, of_windows, decision, done=done.__contains__))
        assert [units.index(unit) for unit in pieces] == kept
        for unit, piece in pieces.items():
            place = slice(unit.top, unit.bottom), slice(unit.left, unit.right)
            same(piece, Decided(whole.labels[place], whole.confidence[place], whole.probabilities[(slice(None), *place)]))


def test_tiles_without_an_image_are_not_scored():
    scene, scored, steps = scene_of(1100, 700, holes=True), [], []

    def score(tiles):
        scored.append(len(tiles))
        return of_windows(tiles)

    plan, found = run(scene, score, progress=lambda *step: steps.append(step))
    tiles = len(plan.rows.starts) * len(plan.columns.starts)
    assert 0.6 * tiles < sum(scored) < 0.95 * tiles
    assert steps[-1] == (tiles, tiles) and [a for a, _ in steps] == sorted(a for a, _ in steps)
    assert (found.labels[:550, :233] == 255).all() and np.isnan(found.confidence[:550, :233]).all()
    assert (found.labels[550:1060] < 4).all() and (found.probabilities[:, :550, :233] == 255).all()


def test_thresholds_and_backgrounds():
    scene = scene_of(300, 200)
    _, plain = run(scene, of_pixels, Decision(WORDS))
    by_threshold = WORDS.with_background(Background("threshold", threshold=0.6))
    _, found = run(scene, of_pixels, Decision(by_threshold))
    below = plain.confidence < 0.6
    assert below.any() and np.array_equal(found.labels == 4, below)
    assert np.allclose(found.confidence, np.where(below, 1 - plain.confidence, plain.confidence))
    assert np.array_equal(found.labels[~below], plain.labels[~below])


@pytest.mark.parametrize("where", ["model", "read", "valid"])
def test_a_failure_in_any_thread_ends_the_stream(where):
    scene = scene_of(700, 300)

    def fail(*_):
        raise InputError("cut.tif: the TIFF is truncated")

    if where != "model":
        setattr(scene, where, fail)
    with pytest.raises(InputError, match="truncated"):
        run(scene, fail if where == "model" else of_windows)


def test_a_class_below_its_own_threshold_gives_way_to_the_next_best():
    scene = scene_of(300, 200)
    limited = Vocabulary(
        tuple(VocabularyClass(name, threshold=0.9 if name == "red" else None) for name in WORDS.names),
        Background("threshold", threshold=0.3),
    )
    _, found = run(scene, of_pixels, Decision(limited, probabilities=True))
    scores = found.probabilities / 254
    sure = np.abs(scores - np.array([0.9, 0.3, 0.3, 0.3])[:, None, None]).min(axis=0) > 0.003
    allowed = np.where(scores >= np.array([0.9, 0.3, 0.3, 0.3])[:, None, None], scores, -1)
    expected = np.where(allowed.max(axis=0) < 0, 4, allowed.argmax(axis=0))
    clear = sure & (np.diff(np.sort(scores, axis=0), axis=0).min(axis=0) > 0.005)
    assert clear.mean() > 0.8 and np.array_equal(found.labels[clear], expected[clear])
    assert (found.labels == 4).any() and ((scores.argmax(axis=0) == 0) & (found.labels > 0) & (found.labels < 4)).any()
