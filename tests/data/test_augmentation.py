from pathlib import Path

import cv2
import numpy as np
import pytest
from detectron2.data import transforms as T

from ovrs.config import load_config
from ovrs.data.augmentation import RandomScale, build_augmentations
from ovrs.data.colors import RandomSsdColors
from ovrs.data.crops import RandomSquareCrop
from ovrs.data.mapper import SegmentationMapper
from ovrs.errors import ConfigError

ROOT = Path(__file__).parents[2]

EVERYTHING = {
    "shortest_edges": (40,),
    "scale_jitter": (0.5, 2.0),
    "crop": 48,
    "crop_rare": 0.5,
    "crop_max_area": 0.9,
    "quarter_turns": True,
}


def patches(seed=0, side=40):
    """Square patches, red being the label times 40 and green 200 throughout; label 6 is ignored."""
    rng = np.random.default_rng(seed)
    labels = np.kron(rng.integers(0, 7, (5, 5)), np.ones((side // 5, side // 5))).astype(np.uint8)
    image = np.stack([labels * 40, np.full_like(labels, 200), labels], axis=-1)
    labels[labels == 6] = 255
    return image, labels


def augmented(steps, seed, image, labels):
    np.random.seed(seed)
    sample = T.AugInput(image.copy(), sem_seg=labels.copy())
    T.AugmentationList(steps)(sample)
    return sample.image, sample.sem_seg


def test_all_together_move_image_and_labels_alike_and_pad_with_ignored():
    steps = build_augmentations(**EVERYTHING, color_jitter=False)
    shares, right = [], []
    for seed in range(60):
        image, labels = augmented(steps, seed, *patches(seed))
        assert image.shape == (48, 48, 3) and labels.shape == (48, 48)
        padding = image[..., 1] == 128
        shares.append(padding.mean())
        assert (image[..., 1][~padding] == 200).all() and (labels[padding] == 255).all()
        # The bilinear resize blurs the borders of patches; away from them the colour is nearest to that of the label.
        plain = cv2.morphologyEx(labels, cv2.MORPH_GRADIENT, np.ones((5, 5))) == 0
        plain &= labels != 255
        right.append(np.abs(image[..., 0][plain] - labels[plain] * 40.0) < 20)
    assert np.concatenate(right).mean() > 0.995 and np.concatenate(right).size > 10_000
    assert min(shares) == 0 and max(shares) > 0.5, "small scales are padded, large ones are not"


@pytest.mark.parametrize("recipe", ["jitter", "ssd"])
def test_the_seed_decides_everything(recipe):
    steps = build_augmentations(**EVERYTHING, color_recipe=recipe)
    first, again, other = (augmented(steps, seed, *patches()) for seed in (4, 4, 5))
    assert (first[0] == again[0]).all() and (first[1] == again[1]).all()
    assert not np.array_equal(first[0], other[0])


def test_scales_lie_between_their_bounds():
    image = np.zeros((20, 30, 3), np.uint8)
    shapes = set()
    for seed in range(200):
        np.random.seed(seed)
        transform = RandomScale(0.5, 2.0).get_transform(image)
        scaled = transform.apply_image(image)
        labels = transform.apply_segmentation(np.array(np.random.randint(0, 9, (20, 30)), np.uint8))
        assert labels.shape == scaled.shape[:2] and labels.max() < 9
        assert scaled.shape[1] / scaled.shape[0] == pytest.approx(1.5, rel=0.06)
        shapes.add(scaled.shape[0])
    assert min(shapes) in (10, 11) and max(shapes) in (39, 40)
    assert RandomScale(0.01, 0.01).get_transform(image).apply_image(image).shape == (1, 1, 3)


def crops(labels, count=200, **keys):
    crop = RandomSquareCrop(16, **keys)
    image = np.repeat(labels[..., None], 3, axis=-1)
    for seed in range(count):
        np.random.seed(seed)
        transform = crop.get_transform(image, labels)
        cut = transform.apply_segmentation(labels)
        shown = transform.apply_image(image)[..., 0]
        assert cut.shape == (16, 16) and ((shown == cut) | ((shown == 128) & (cut == 255))).all()
        yield cut


def test_crops_around_classes_find_rare_ones_and_labelled_places():
    labels = np.full((128, 128), 255, np.uint8)
    labels[:, :8] = 0
    labels[100, 100] = 1
    plain = [set(np.unique(cut)) for cut in crops(labels)]
    around = [set(np.unique(cut)) for cut in crops(labels, rare=1.0)]
    assert sum(1 in found for found in plain) < 20
    assert 80 < sum(1 in found for found in around) < 120, "both classes are equally likely"
    assert sum(found == {255} for found in plain) > 100
    assert all(found != {255} for found in around)
    some = [set(np.unique(cut)) for cut in crops(labels, rare=0.5)]
    assert 30 < sum(1 in found for found in some) < 80


def test_a_rare_thing_lies_in_the_middle_of_its_crop_but_not_always_at_one_place():
    labels = np.full((128, 128), 255, np.uint8)
    labels[60, 70] = 1
    places = {tuple(np.argwhere(cut == 1)[0]) for cut in crops(labels, rare=1.0)}
    assert len(places) > 30
    assert {at for place in places for at in place} == set(range(4, 12))


def test_crops_around_classes_stay_inside_and_need_no_labels():
    corner = np.full((40, 40), 255, np.uint8)
    corner[0, 0] = corner[39, 39] = 3
    assert all((cut == 3).any() for cut in crops(corner, rare=1.0))
    nothing = np.full((40, 40), 255, np.uint8)
    assert len({cut.shape for cut in crops(nothing, rare=1.0)}) == 1
    small = np.full((5, 9), 2, np.uint8)
    for cut in crops(small, rare=1.0, count=20):
        assert (cut == 2).sum() == 45 and (cut == 255).sum() == 256 - 45
    image = np.zeros((40, 40, 3), np.uint8)
    assert RandomSquareCrop(16, rare=1.0).get_transform(image).apply_image(image).shape == (16, 16, 3)


def test_a_crop_of_one_class_is_drawn_again():
    labels = np.zeros((96, 96), np.uint8)
    labels[:, 72:] = 1
    labels[:20] = 255

    def filled(cut):
        counts = np.bincount(cut[cut != 255], minlength=2)
        return counts.max() > 0.75 * counts.sum()

    plain = sum(filled(cut) for cut in crops(labels))
    limited = sum(filled(cut) for cut in crops(labels, max_area=0.75))
    # One place in nine will do: ten attempts find it in two crops of three.
    assert plain > 150 and limited < 90


def test_without_limits_crops_are_those_of_before():
    """The stream of random numbers: top and left of the padding, then of the crop."""
    labels = np.zeros((50, 70), np.uint8)
    for seed in range(10):
        np.random.seed(seed)
        expected = [np.random.randint(1), np.random.randint(1), np.random.randint(35), np.random.randint(55)]
        np.random.seed(seed)
        _, crop = RandomSquareCrop(16).get_transform(labels, labels).transforms
        assert [crop.y0, crop.x0] == expected[2:]


def test_flips_may_be_horizontal_only():
    image, labels = patches(3)
    seen = set()
    for seed in range(30):
        np.random.seed(seed)
        steps = build_augmentations(shortest_edges=(0,), flip_vertical=False, color_jitter=False)
        seen.add(augmented(steps, seed, image, labels)[1].tobytes())
    assert seen == {labels.tobytes(), np.ascontiguousarray(labels[:, ::-1]).tobytes()}


def test_ssd_colours_change_what_they_say_and_nothing_else():
    rng = np.random.default_rng(0)
    image = rng.integers(40, 200, (16, 16, 3), dtype=np.uint8)
    kept, hues, shifts = 0, set(), []
    for seed in range(300):
        np.random.seed(seed)
        transform = RandomSsdColors().get_transform(image)
        changed = transform.apply_image(image)
        assert changed.dtype == np.uint8 and changed.shape == image.shape
        assert (transform.apply_segmentation(image[..., 0]) == image[..., 0]).all()
        kept += np.array_equal(changed, image)
        shifts.append(float(changed.mean()) - float(image.mean()))
        red = transform.apply_image(np.full((1, 1, 3), (200, 50, 50), np.uint8))
        hues.add(int(cv2.cvtColor(red, cv2.COLOR_RGB2HSV)[0, 0, 0]))
    # All four are left out in one image of sixteen.
    assert 5 < kept < 40
    assert {hue for hue in hues if 25 < hue < 155} == set(), "hue turns by 36 degrees at most"
    assert len(hues) > 15
    assert max(shifts) > 25 and min(shifts) < -25


def test_colour_strength_and_grey_share():
    image = np.full((4, 4, 3), (180, 120, 60), np.uint8)
    labels = np.zeros((4, 4), np.uint8)
    still = build_augmentations(shortest_edges=(0,), color_strength=0.0, grey_share=0.0)
    assert all((augmented(still, seed, image, labels)[0] == image).all() for seed in range(20))
    grey = build_augmentations(shortest_edges=(0,), color_strength=0.0, grey_share=1.0)
    assert all(np.ptp(augmented(grey, seed, image, labels)[0]) <= 1 for seed in range(20))
    spread = [
        np.std([augmented(steps, seed, image, labels)[0].mean() for seed in range(60)])
        for steps in (build_augmentations(shortest_edges=(0,), color_strength=strength) for strength in (0.25, 1.0))
    ]
    assert spread[1] > 2 * spread[0]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"scale_jitter": (2.0, 0.5)}, r"SCALE_JITTER is \(2.0, 0.5\)"),
        ({"scale_jitter": (1.0,)}, "SCALE_JITTER"),
        ({"scale_jitter": (0, 1)}, "SCALE_JITTER"),
        ({"crop": 16, "crop_rare": 1.5}, "CROP_RARE is 1.5; it must be a probability"),
        ({"crop_rare": 0.5}, "CROP_RARE is 0.5; it must be 0 without a CROP_SIZE"),
        ({"crop_max_area": 0.0}, "CROP_SINGLE_CATEGORY_MAX_AREA is 0.0"),
        ({"color_recipe": "vivid"}, "COLOR_RECIPE is 'vivid'; it must be jitter or ssd"),
        ({"color_strength": -1.0}, "COLOR_STRENGTH is -1.0"),
        ({"grey_share": 2.0}, "GREY_SHARE is 2.0"),
    ],
)
def test_values_that_cannot_work_are_named(keys, message):
    with pytest.raises(ConfigError, match=message):
        build_augmentations(shortest_edges=(0,), **keys)


@pytest.mark.parametrize("name", ["catseg_vitb16", "ovrs_vitb16"])
def test_the_baselines_train_on_catsegs_recipe(name):
    cfg = load_config(str(ROOT / f"configs/baselines/{name}.yaml"))
    resize, crop, flip, colors = SegmentationMapper(cfg, True).augmentations.augs
    assert tuple(resize.short_edge_length) == (384,) and not resize.is_range
    assert (crop.size, crop.rare, crop.max_area) == (384, 0.0, 1.0)
    assert flip.horizontal and not flip.vertical
    assert isinstance(colors, RandomSsdColors)


def test_every_key_reaches_the_augmentations():
    options = ["INPUT.SCALE_JITTER", "(0.5, 2.0)", "INPUT.CROP_RARE", "0.3", "INPUT.CROP_SINGLE_CATEGORY_MAX_AREA", "0.75"]
    cfg = load_config("mini", [*options, "INPUT.COLOR_JITTER", "True", "INPUT.GREY_SHARE", "0.4"])
    steps = SegmentationMapper(cfg, True).augmentations.augs
    assert (steps[1].low, steps[1].high) == (0.5, 2.0)
    assert (steps[2].rare, steps[2].max_area) == (0.3, 0.75)
    assert steps[-1].prob == 0.4
