import numpy as np
import pytest
import torch
from detectron2.config import get_cfg
from detectron2.data import DatasetCatalog
from detectron2.data import transforms as T
from PIL import Image

from ovrs.config import add_ovrs_config
from ovrs.data.augmentation import QuarterTurnTransform, build_augmentations
from ovrs.data.crops import RandomSquareCrop
from ovrs.data.entries import read_rgb
from ovrs.data.loaders import build_test_loader, build_train_loader, dataset_dicts
from ovrs.data.mapper import SegmentationMapper, draw_synonyms
from ovrs.data.table import DATA_SETS
from ovrs.errors import ConfigError, DataError
from ovrs.vocabulary import Vocabulary


@pytest.fixture
def cfg():
    cfg = get_cfg()
    add_ovrs_config(cfg)
    cfg.DATALOADER.NUM_WORKERS = 0
    cfg.DATASETS.TRAIN = ("isaid_train",)
    cfg.INPUT.MIN_SIZE_TRAIN = (0,)
    cfg.INPUT.CROP_SIZE = 48
    return cfg


def entry_of(split):
    return {**DatasetCatalog.get(f"isaid_{split}")[0], "dataset_name": f"isaid_{split}"}


def coordinates(height, width):
    """An image and a label map that both name the place of each pixel: red is the label."""
    labels = np.arange(height * width, dtype=np.uint8).reshape(height, width)
    return np.stack([labels] * 3, axis=-1), labels


def test_evaluation_keeps_image_labels_and_all_classes(isaid_root, cfg):
    entry = entry_of("val")
    sample = SegmentationMapper(cfg, False)(entry)
    assert np.array_equal(sample["image"].permute(1, 2, 0), np.array(Image.open(entry["file_name"])))
    assert np.array_equal(sample["sem_seg"], np.array(Image.open(entry["sem_seg_file_name"])))
    assert sample["image"].dtype == torch.uint8 and sample["sem_seg"].dtype == torch.int64
    assert sample["vocabulary"].names == DATA_SETS["isaid"].vocabulary.names
    assert (sample["height"], sample["width"]) == (32, 40)


def test_training_on_seen_classes_renumbers_them_and_ignores_the_others(isaid_root, cfg):
    cfg.INPUT.FLIP = cfg.INPUT.COLOR_JITTER = False
    cfg.INPUT.CROP_SIZE = 0
    entry = entry_of("train")
    sample = SegmentationMapper(cfg, True)(entry)
    old, new = np.array(Image.open(entry["sem_seg_file_name"])), sample["sem_seg"].numpy()
    names = DATA_SETS["isaid"].vocabulary.names
    assert len(sample["vocabulary"]) == 9
    for label, cls in enumerate(DATA_SETS["isaid"].classes):
        found = set(new[old == label])
        assert found == ({sample["vocabulary"].names.index(names[label])} if cls.seen else {255}), cls.name
    assert set(new[old == 255]) == {255}


def test_training_on_all_classes_keeps_their_numbers(isaid_root, cfg):
    cfg.DATASETS.TRAIN_CLASSES = "all"
    sample = SegmentationMapper(cfg, True)(entry_of("train"))
    assert len(sample["vocabulary"]) == 15
    assert set(np.unique(sample["sem_seg"])) == {*range(15), 255}


def test_training_crops_to_the_configured_square(isaid_root, cfg):
    cfg.INPUT.QUARTER_TURNS = True
    mapper = SegmentationMapper(cfg, True)
    for _ in range(8):
        sample = mapper(entry_of("train"))
        assert sample["image"].shape == (3, 48, 48) and sample["sem_seg"].shape == (48, 48)
        # 32 x 40 pixels of image, the rest is padding and does not count
        assert (sample["sem_seg"] == 255).sum() >= 48 * 48 - 32 * 40


def test_geometry_moves_image_and_labels_together():
    steps = build_augmentations(shortest_edges=(0,), crop=12, flip=True, quarter_turns=True, color_jitter=False)
    seen = set()
    for seed in range(40):
        np.random.seed(seed)
        image, labels = coordinates(13, 16)
        sample = T.AugInput(image, sem_seg=labels)
        T.AugmentationList(steps)(sample)
        assert np.array_equal(sample.image[..., 0], sample.sem_seg)
        step_x, step_y = (
            int(sample.sem_seg[0, 1]) - int(sample.sem_seg[0, 0]),
            int(sample.sem_seg[1, 0]) - int(sample.sem_seg[0, 0]),
        )
        seen.add((step_x, step_y))
    # All eight orientations of the square occur.
    assert seen == {(x, y) for a, b in ((1, 16), (16, 1)) for x in (a, -a) for y in (b, -b)}


def test_padding_is_grey_and_ignored():
    image, labels = np.zeros((5, 9, 3), np.uint8), np.zeros((5, 9), np.uint8)
    transform = RandomSquareCrop(8).get_transform(image)
    padded, padded_labels = transform.apply_image(image), transform.apply_segmentation(labels)
    assert padded.shape == (8, 8, 3)
    assert np.array_equal(padded[..., 0] == 128, padded_labels == 255)
    assert (padded_labels == 0).sum() == 5 * 8


def test_a_quarter_turn_moves_points_with_pixels_and_back():
    image = np.zeros((4, 6), np.uint8)
    image[1, 4] = 1
    for turns in range(4):
        turn = QuarterTurnTransform(turns, 4, 6)
        x, y = turn.apply_coords(np.array([[4.5, 1.5]]))[0]
        assert turn.apply_image(image)[int(y), int(x)] == 1
        assert np.array_equal(turn.inverse().apply_image(turn.apply_image(image)), image)


def test_colour_jitter_changes_colours_but_no_labels():
    steps = T.AugmentationList(build_augmentations(shortest_edges=(0,), flip=False, color_jitter=True))
    image, labels = coordinates(8, 8)
    image[..., 2] = 200
    results = []
    for seed in range(60):
        np.random.seed(seed)
        sample = T.AugInput(image.copy(), sem_seg=labels)
        steps(sample)
        assert np.array_equal(sample.sem_seg, labels) and sample.image.dtype == np.uint8
        results.append(sample.image)
    greys = sum(bool((np.ptp(result.astype(int), axis=-1) <= 1).all()) for result in results)
    assert 0 < greys < 20
    assert len({result.tobytes() for result in results}) > 20


def test_a_palette_mask_is_read_by_its_indices(isaid_root, cfg):
    entry = entry_of("val")
    labels = np.array(Image.open(entry["sem_seg_file_name"]))
    file = Image.fromarray(labels, mode="P")
    file.putpalette([255 - value // 3 for value in range(768)])
    file.save(entry["sem_seg_file_name"])
    assert np.array_equal(SegmentationMapper(cfg, False)(entry)["sem_seg"], labels)


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (np.full((32, 40), 15, np.uint8), "label 15 on 1280 pixels, but isaid_val has 15 classes"),
        (np.zeros((32, 41), np.uint8), "40 x 32 pixels, but its labels are 41 x 32 pixels"),
        (
            np.zeros((32, 40, 3), np.uint8),
            "one channel of whole numbers.*mode RGB; 'masks: rgb' in a description reads colours",
        ),
    ],
)
def test_labels_that_cannot_be_right_are_refused(isaid_root, cfg, pixels, message):
    entry = entry_of("val")
    Image.fromarray(pixels).save(entry["sem_seg_file_name"])
    with pytest.raises(DataError, match=message) as caught:
        SegmentationMapper(cfg, False)(entry)
    assert "tile_0.png" in str(caught.value)


@pytest.mark.parametrize("key", ["file_name", "sem_seg_file_name"])
def test_a_truncated_file_is_named(isaid_root, cfg, key):
    entry = entry_of("val")
    with open(entry[key], "r+b") as file:
        file.truncate(60)
    with pytest.raises(DataError, match=entry[key]):
        SegmentationMapper(cfg, False)(entry)


@pytest.mark.parametrize("kind", [np.uint16, np.float32])
def test_images_of_more_than_8_bits_are_refused_not_cut_off(tmp_path, kind):
    Image.fromarray(np.array([[0, 300, 60000]], kind)).save(tmp_path / "deep.tif")
    with pytest.raises(DataError, match=r"deep\.tif: has more than 8 bits a channel \(mode .+\); stretch it"):
        read_rgb(str(tmp_path / "deep.tif"))


def test_an_image_too_large_to_be_one_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    Image.new("RGB", (8, 8)).save(tmp_path / "bomb.png")
    with pytest.raises(DataError, match=r"bomb\.png: not readable as an image: .*64 pixels"):
        read_rgb(str(tmp_path / "bomb.png"))


def test_a_batch_draws_one_word_a_class():
    vocabulary = Vocabulary.parse("ship|boat|vessel, water|sea, road")
    batch = [{"vocabulary": vocabulary, "image": index} for index in range(3)]
    drawn = [draw_synonyms(batch) for _ in range(50)]
    assert all(len({entry["vocabulary"] for entry in entries}) == 1 for entries in drawn)
    assert {entries[0]["vocabulary"].names[0] for entries in drawn} == {"ship", "boat", "vessel"}
    assert {entries[0]["vocabulary"].names[2] for entries in drawn} == {"road"}
    assert [entry["image"] for entry in drawn[0]] == [0, 1, 2]
    assert all(len(entries[0]["vocabulary"].rows) == 3 for entries in drawn)


def test_drawn_words_leave_what_is_said_of_the_scene():
    told = Vocabulary.parse("ship|boat, road").with_description("a port in winter")
    assert draw_synonyms([{"vocabulary": told}])[0]["vocabulary"].description == "a port in winter"


def test_images_of_which_different_things_are_said_have_the_same_drawn_words():
    plain = Vocabulary.parse("ship|boat|vessel|hull|craft|sail, road")
    said = [("grey hulls", ""), ("white sails", "gravel"), ()]
    batch = [{"vocabulary": plain.with_class_descriptions(sentences)} for sentences in said]
    for _ in range(20):
        drawn = [entry["vocabulary"] for entry in draw_synonyms(batch)]
        assert len({vocabulary.names for vocabulary in drawn}) == 1
        assert [vocabulary.class_descriptions for vocabulary in drawn] == said


def test_train_loader_gives_batches_of_one_vocabulary(isaid_root, cfg):
    cfg.SOLVER.IMS_PER_BATCH = 3
    cfg.DATASETS.DRAW_SYNONYMS = True
    batch = next(iter(build_train_loader(cfg)))
    assert len(batch) == 3
    assert len({entry["vocabulary"] for entry in batch}) == 1


def test_the_order_of_training_images_follows_the_seed(isaid_root, cfg):
    cfg.SOLVER.IMS_PER_BATCH = 8
    first, again, other = (
        [entry["file_name"] for entry in next(iter(build_train_loader(cfg, sampler_seed=seed)))] for seed in (1, 1, 2)
    )
    assert first == again != other


def test_train_loader_refuses_no_data_set(isaid_root, cfg):
    cfg.DATASETS.TRAIN = ()
    with pytest.raises(ConfigError, match=r"DATASETS\.TRAIN names no data set"):
        build_train_loader(cfg)


def test_test_loader_gives_every_image_once(isaid_root, cfg):
    cfg.TEST.IMS_PER_BATCH = 3
    batches = list(build_test_loader(cfg, "isaid_train"))
    assert [len(batch) for batch in batches] == [2]


def test_scenes_are_as_many_and_as_large_as_configured(cfg):
    cfg.DATASETS.SCENES.VAL_SIZE = 2
    cfg.DATASETS.SCENES.IMAGE_SIZE = 96
    entries = dataset_dicts(cfg, "scenes_val")
    assert len(entries) == 2
    sample = SegmentationMapper(cfg, False)(entries[0])
    assert sample["image"].shape == (3, 96, 96)
    assert sample["vocabulary"].names == DATA_SETS["scenes"].vocabulary.names


def test_synonyms_stay_out_of_evaluation_unless_asked_for(cfg):
    cfg.DATASETS.SCENES.IMAGE_SIZE = 96
    entry = dataset_dicts(cfg, "scenes_val")[0]
    plain = SegmentationMapper(cfg, False)(entry)["vocabulary"]
    assert plain.rows == plain.names
    cfg.DATASETS.TEST_SYNONYMS = True
    assert SegmentationMapper(cfg, False)(entry)["vocabulary"] == DATA_SETS["scenes"].vocabulary


@pytest.mark.parametrize(("key", "value"), [("DATASETS.TRAIN_CLASSES", "some"), ("INPUT.FORMAT", "BGR")])
def test_settings_that_cannot_work_are_named(cfg, key, value):
    cfg.merge_from_list([key, value])
    with pytest.raises(ConfigError, match=f"{key} is '{value}'"):
        SegmentationMapper(cfg, True)


def test_a_scene_is_drawn_once_as_long_as_memory_lasts(monkeypatch, cfg):
    import ovrs.data.scenes as scenes
    from ovrs.data import entries as reading

    drawn = []
    original = scenes.draw_scene
    monkeypatch.setattr(scenes, "draw_scene", lambda *args, **keys: drawn.append(args) or original(*args, **keys))
    monkeypatch.setattr(reading, "_kept_scenes", {})
    each = 4 * 32 * 32  # bytes: three channels and the labels
    entries = [{"scene_seed": 5, "scene_index": index, "scene_size": 32} for index in (0, 1, 0, 2, 2)]
    first, other, again, *_ = (reading.read_entry(entry, "index", kept_bytes=2 * each) for entry in entries)
    assert drawn == [(5, 0), (5, 1), (5, 2), (5, 2)] and len(reading._kept_scenes) == 2
    assert (first.image == again.image).all() and not (first.image == other.image).all()
    cfg.DATASETS.SCENES.KEPT_GIB = 3 * each / 2**30
    assert SegmentationMapper(cfg, True).kept_bytes == 3 * each


def test_less_than_no_memory_for_scenes_is_refused(cfg):
    cfg.DATASETS.SCENES.KEPT_GIB = -1.0
    with pytest.raises(ConfigError, match="KEPT_GIB is -1.0"):
        SegmentationMapper(cfg, True)
