from itertools import islice

import numpy as np
import pytest
from detectron2.config import get_cfg
from PIL import Image

from ovrs.config import add_ovrs_config
from ovrs.data import loaders
from ovrs.data.batches import BatchPlanner, PlannedBatches
from ovrs.data.loaders import build_test_loader, build_train_loader
from ovrs.data.table import DATA_SETS
from ovrs.errors import ConfigError, DataError


@pytest.fixture
def cfg(isaid_root):
    """Two training sets of different classes: files of iSAID, and procedural scenes."""
    cfg = get_cfg()
    add_ovrs_config(cfg)
    cfg.DATALOADER.NUM_WORKERS = 0
    cfg.DATASETS.TRAIN = ("isaid_train", "scenes_train")
    cfg.DATASETS.SCENES.TRAIN_SIZE = 3
    cfg.DATASETS.SCENES.IMAGE_SIZE = 32
    cfg.INPUT.MIN_SIZE_TRAIN = (0,)
    cfg.INPUT.CROP_SIZE = 32
    cfg.SOLVER.IMS_PER_BATCH = 4
    return cfg


def planner(**keys):
    return BatchPlanner(**{"sizes": (5, 15), "weights": (5, 15), "batch_size": 4, "seed": 3, **keys})


def as_process(monkeypatch, rank, world_size):
    monkeypatch.setattr(loaders.comm, "get_rank", lambda: rank)
    monkeypatch.setattr(loaders.comm, "get_world_size", lambda: world_size)


def test_processes_share_each_batch_of_the_one_process():
    alone = list(islice(planner(), 50))
    shares = [list(islice(planner(rank=rank, world_size=2), 50)) for rank in (0, 1)]
    for whole, *parts in zip(alone, *shares, strict=True):
        assert {part.data_set for part in parts} == {whole.data_set}
        assert sorted(image for part in parts for image in part.images) == sorted(whole.images)
        assert [len(part.images) for part in parts] == [2, 2]


def test_a_later_start_goes_on_as_if_it_had_never_stopped():
    assert list(islice(planner(start=17), 20)) == list(islice(planner(), 37))[17:]


def test_every_image_of_a_set_comes_once_before_any_comes_twice():
    plans = list(islice(planner(), 60))
    for number, size in enumerate((5, 15)):
        order = [index for plan in plans if plan.data_set == number for _, index in plan.images]
        for first in range(0, len(order) - size + 1, size):
            assert sorted(order[first : first + size]) == list(range(size))
        assert order[:size] != order[size : 2 * size]


@pytest.mark.parametrize(("weights", "share"), [((5, 15), 0.25), ((1.0, 1.0), 0.5), ((9, 1), 0.9)])
def test_sets_are_drawn_by_their_weights(weights, share):
    drawn = [plan.data_set for plan in islice(planner(weights=weights), 2000)]
    assert drawn.count(0) / 2000 == pytest.approx(share, abs=0.04)


def test_another_seed_gives_another_order():
    first, again, other = (list(islice(planner(seed=seed), 10)) for seed in (3, 3, 4))
    assert first == again != other


def test_a_batch_that_processes_cannot_share_is_refused():
    with pytest.raises(ValueError, match="4 images cannot be shared by 3"):
        planner(world_size=3)


def test_what_is_drawn_for_an_image_follows_from_seed_iteration_and_place():
    batches = PlannedBatches([range(5), range(15)], lambda index: np.random.rand(), finish=list, seed=3)
    np.random.seed(0)
    alone = [batches[plan] for plan in islice(planner(), 3)]
    np.random.seed(1)
    first, second = ([batches[plan] for plan in islice(planner(rank=rank, world_size=2), 3)] for rank in (0, 1))
    for whole, even, odd in zip(alone, first, second, strict=True):
        assert whole == [even[0], odd[0], even[1], odd[1]]
    assert len({value for batch in alone for value in batch}) == 12
    state = np.random.get_state()[1].copy()
    batches[next(iter(planner()))]
    assert (np.random.get_state()[1] == state).all(), "the global state is left as it was"


def test_a_batch_of_mixed_sets_has_one_vocabulary(cfg):
    names = set()
    for batch in islice(build_train_loader(cfg, sampler_seed=1), 12):
        (vocabulary,) = {entry["vocabulary"] for entry in batch}
        names.add(vocabulary.names)
        labels = np.unique(np.stack([entry["sem_seg"] for entry in batch]))
        assert max(labels[labels != 255], default=0) < len(vocabulary)
    seen = {DATA_SETS[name].vocabulary.seen_only().names for name in ("isaid", "scenes")}
    assert names == seen, "both sets come, each with its own seen classes"


def test_processes_and_workers_see_the_images_of_one(cfg, monkeypatch):
    cfg.DATASETS.DRAW_SYNONYMS = True
    cfg.SEED = 5
    alone = list(islice(build_train_loader(cfg), 4))
    cfg.DATALOADER.NUM_WORKERS = 2
    shares = []
    for rank in (0, 1):
        as_process(monkeypatch, rank, 2)
        shares.append(list(islice(build_train_loader(cfg), 4)))
    for whole, even, odd in zip(alone, *shares, strict=True):
        for mine, theirs in zip(whole, (even[0], odd[0], even[1], odd[1]), strict=True):
            assert mine["file_name"] == theirs["file_name"]
            assert mine["vocabulary"] == theirs["vocabulary"]
            assert (mine["image"] == theirs["image"]).all() and (mine["sem_seg"] == theirs["sem_seg"]).all()


def test_a_training_that_starts_later_sees_what_it_would_have_seen(cfg):
    whole = list(islice(build_train_loader(cfg, sampler_seed=2), 5))
    rest = list(islice(build_train_loader(cfg, sampler_seed=2, start=3), 2))
    for mine, theirs in zip(whole[3:], rest, strict=True):
        assert all((a["image"] == b["image"]).all() for a, b in zip(mine, theirs, strict=True))


@pytest.mark.parametrize(
    ("weights", "message"),
    [((1.0,), "1 weights for the 2 data sets"), ((1, 0), "0 is no positive number"), ((1, "x"), "'x' is no positive number")],
)
def test_weights_that_do_not_fit_are_named(cfg, weights, message):
    cfg.DATASETS.TRAIN_WEIGHTS = weights
    with pytest.raises(ConfigError, match=f"DATASETS.TRAIN_WEIGHTS.*{message}"):
        build_train_loader(cfg)


def test_a_batch_size_that_does_not_fit_the_processes_is_named(cfg, monkeypatch):
    as_process(monkeypatch, 0, 3)
    with pytest.raises(ConfigError, match="IMS_PER_BATCH is 4, but must be a multiple of the 3 processes"):
        build_train_loader(cfg, sampler_seed=1)


def test_concatenated_back_projection_refuses_mixed_classes_before_training(cfg):
    from ovrs.modeling.build import training_classes
    from ovrs.modeling.build_aeroseg import POOLED

    with pytest.raises(ConfigError, match="isaid_train and scenes_train have different ones.*POOL_CLASSES"):
        training_classes(cfg, "back-projection", POOLED)
    cfg.DATASETS.TRAIN = ("isaid_train", "isaid_val")
    assert len(training_classes(cfg, "back-projection", POOLED)) == 9


@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_in_a_worker_comes_back_as_it_was(cfg, isaid_root, workers):
    cfg.DATALOADER.NUM_WORKERS = workers
    cfg.DATASETS.TRAIN = ("isaid_train",)
    for name in ("tile_0", "tile_1"):
        Image.fromarray(np.full((32, 40), 77, np.uint8)).save(isaid_root / f"iSAID_split/train/D2masks/{name}.png")
    for loader in (build_train_loader(cfg, sampler_seed=1), build_test_loader(cfg, "isaid_train")):
        with pytest.raises(DataError, match=r"^/.*tile_[01]\.png: label 77 on 1280 pixels"):
            next(iter(loader))
