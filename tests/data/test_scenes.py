"""Procedural scenes: the same seed gives the same bytes, every pixel has a true label, and shadows change no label."""

import hashlib
import subprocess
import sys

import cv2
import numpy as np
import pytest
from rasterio.crs import CRS

from ovrs.data.scenes import SCENE_CLASSES, Label, Scene, draw_scene
from ovrs.data.scenes import __main__ as gallery
from ovrs.data.scenes.canvas import Canvas
from ovrs.data.scenes.palette import Palette
from ovrs.data.scenes.roads import bridge
from ovrs.data.scenes.scene import GSD_RANGE
from ovrs.data.scenes.shapes import Frame
from ovrs.data.scenes.site import Site
from ovrs.data.scenes.vehicles import vehicle
from ovrs.data.scenes.vessels import ship

KNOWN = (
    ([172, 0, 1372, 0, 206, 38, 1633, 52, 0, 0, 0, 0, 0, 0, 461, 46, 116],
     [[94.0, 89.7, 81.0], [116.3, 116.2, 112.0], [85.4, 83.2, 74.1], [120.3, 123.3, 114.1]]),
    ([0, 0, 0, 258, 0, 0, 0, 0, 321, 0, 0, 0, 0, 286, 0, 0, 3231],
     [[71.5, 76.2, 68.0], [72.4, 77.1, 69.2], [85.3, 86.8, 75.5], [87.2, 92.7, 82.6]]),
    ([108, 1784, 0, 0, 0, 0, 2035, 150, 0, 0, 0, 0, 0, 0, 0, 0, 19],
     [[121.1, 127.9, 116.5], [116.1, 120.6, 109.2], [109.4, 115.9, 105.3], [79.6, 95.6, 86.0]]),
    ([0, 0, 0, 637, 927, 582, 0, 33, 0, 0, 343, 0, 0, 0, 930, 26, 618],
     [[163.9, 163.9, 163.9], [145.5, 145.5, 145.5], [139.5, 139.5, 139.5], [139.4, 139.4, 139.4]]),
)  # fmt: skip
"""Pixels of each class and mean colours of the four quarters of the first scenes of series 0."""


def digest(scene: Scene) -> str:
    """Everything that a scene is, as one number."""
    rest = repr((scene.gsd, scene.crs, scene.transform, scene.description)).encode()
    return hashlib.sha256(scene.image.tobytes() + scene.labels.tobytes() + rest).hexdigest()


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    """Enough scenes that every class should occur several times."""
    return [draw_scene(3, index, size=128) for index in range(90)]


def site(size: int = 120, gsd: float = 0.5, angle: float = 0.0, sun: float = 1.0) -> Site:
    """An empty meadow to draw upon."""
    rng = np.random.default_rng(0)
    return Site(Canvas((size, size), gsd, angle, (0.0, 0.0), sun, rng), Palette.draw(rng), rng)


def test_the_same_seed_and_index_give_the_same_bytes_and_others_do_not():
    first = digest(draw_scene(7, 2, size=96))
    assert digest(draw_scene(7, 2, size=96)) == first
    assert len({first, digest(draw_scene(7, 3, size=96)), digest(draw_scene(8, 2, size=96))}) == 3


@pytest.mark.parametrize("index", range(4))
def test_a_series_stays_what_it_is(index):
    """Small weights and figures in the documentation come from these pixels; processors differ by rounding only."""
    scene = draw_scene(0, index, size=64)
    counts, quarters = KNOWN[index]
    found = np.bincount(scene.labels.ravel(), minlength=len(SCENE_CLASSES))
    assert np.abs(found - counts).sum() <= 0.005 * scene.labels.size, found.tolist()
    means = scene.image.reshape(2, 32, 2, 32, 3).mean(axis=(1, 3)).reshape(4, 3)
    assert np.abs(means - quarters).max() <= 1.0, means.round(1).tolist()


def test_another_process_draws_the_same_bytes():
    code = (
        "import hashlib; from ovrs.data.scenes import draw_scene; s = draw_scene(11, 4, size=96);"
        "print(hashlib.sha256(s.image.tobytes() + s.labels.tobytes()).hexdigest())"
    )
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120).stdout.strip()
    here = draw_scene(11, 4, size=96)
    assert hashlib.sha256(here.image.tobytes() + here.labels.tobytes()).hexdigest() == there


def test_drawing_disturbs_no_global_random_state():
    np.random.seed(5)
    before = np.random.get_state()[1].copy()
    draw_scene(1, 1, size=64)
    assert (np.random.get_state()[1] == before).all()


@pytest.mark.parametrize("size", [(64, 64), (97, 160), (201, 33), (16, 16)])
def test_any_size(size):
    scene = draw_scene(2, 5, size=size)
    assert scene.image.shape == (*size, 3) and scene.image.dtype == np.uint8
    assert scene.labels.shape == size and scene.labels.dtype == np.uint8


@pytest.mark.parametrize(
    "wrong", [{"seed": -1}, {"index": -2}, {"size": 8}, {"size": (64, 4)}, {"gsd": 0.0}, {"gsd": -0.5}, {"clouds": 1.5}]
)
def test_what_cannot_be_drawn_is_refused(wrong):
    with pytest.raises(ValueError, match="no scene for"):
        draw_scene(**{"seed": 0, **wrong})


def test_every_pixel_has_a_label_and_every_class_occurs(scenes):
    assert max(int(scene.labels.max()) for scene in scenes) < len(SCENE_CLASSES)
    holding = np.zeros(len(SCENE_CLASSES))
    for scene in scenes:
        holding += np.bincount(scene.labels.ravel(), minlength=len(SCENE_CLASSES)) >= 8
    share = dict(zip((cls.name for cls in SCENE_CLASSES), holding / len(scenes), strict=True))
    assert not [name for name, often in share.items() if often < 0.02], share
    assert not [name for name in ("ship", "bridge", "water", "building", "road") if share[name] < 0.2], share


def test_labels_and_classes_are_in_one_order():
    assert [label.name.lower().replace("_", " ") for label in Label] == [cls.name for cls in SCENE_CLASSES]
    assert len({cls.color for cls in SCENE_CLASSES}) == len(SCENE_CLASSES)


def test_the_place_on_earth_is_a_real_one_and_fits_the_ground_sample_distance(scenes):
    for scene in scenes[:20]:
        assert CRS.from_string(scene.crs).is_projected
        a, b, east, d, e, north = scene.transform
        assert (a, b, d, e) == (scene.gsd, 0.0, 0.0, -scene.gsd)
        assert GSD_RANGE[0] <= scene.gsd <= GSD_RANGE[1]
        assert 100_000 < east < 900_000 and 0 < north < 10_000_000
    assert draw_scene(0, 0, size=64, gsd=0.75).transform[0] == 0.75


def test_places_differ_in_light_and_colour(scenes):
    means = np.array([scene.image.mean(axis=(0, 1)) for scene in scenes])
    assert (means.std(axis=0) > 12).all()


def test_few_scenes_show_one_class_only(scenes):
    largest = np.array([np.bincount(scene.labels.ravel()).max() / scene.labels.size for scene in scenes])
    assert (largest > 0.97).mean() < 0.06


def test_a_shadow_darkens_the_image_and_leaves_the_labels():
    square = np.array([[-4.0, -4.0], [4.0, -4.0], [4.0, 4.0], [-4.0, 4.0]])
    meadow = site().canvas
    meadow.image[:] = 150
    meadow.stand([square], 10.0, lambda: meadow.fill(square, (200, 60, 60), Label.BUILDING), Label.BUILDING)
    meadow.raise_standing()
    dark = meadow.image.max(axis=2) < 120
    roof = meadow.labels == Label.BUILDING
    assert dark.sum() > 50 and not (dark & roof).any()
    assert (meadow.labels[dark] == Label.GRASS).all()


def test_a_shadow_falls_away_from_the_sun():
    for sun in (0.3, 2.0, 4.4):
        canvas = site(angle=0.9, sun=sun).canvas
        canvas.image[:] = 150
        square = np.array([[-2.0, -2.0], [2.0, -2.0], [2.0, 2.0], [-2.0, 2.0]])
        canvas.stand([square], 14.0, lambda: None, Label.BUILDING)
        canvas.raise_standing()
        rows, columns = np.nonzero(canvas.image.max(axis=2) < 120)
        away = np.array([columns.mean() - 59.5, rows.mean() - 59.5])
        assert away @ np.array([np.cos(sun), np.sin(sun)]) < -0.95 * np.hypot(*away)


@pytest.mark.parametrize("angle", [0.0, 0.7, 2.9])
@pytest.mark.parametrize("gsd", [0.3, 1.0])
def test_a_shape_covers_its_area_in_metres_at_any_angle(angle, gsd):
    canvas = site(size=200, gsd=gsd, angle=angle).canvas
    canvas.fill(Frame(3.0, -2.0, 0.4).rectangle(36.0, 16.0), (200, 200, 200), Label.BUILDING)
    area = float((canvas.labels == Label.BUILDING).sum()) * gsd**2
    assert area == pytest.approx(36.0 * 16.0, rel=0.13)


def test_image_and_labels_come_from_the_same_geometry():
    canvas = site(angle=1.1).canvas
    canvas.fill(Frame(0.0, 0.0, 0.3).rectangle(30.0, 12.0), (255, 255, 255), Label.BUILDING)
    bright, labelled = canvas.image[..., 0] > 127, canvas.labels == Label.BUILDING
    assert (bright & labelled).sum() / (bright | labelled).sum() > 0.9


def test_a_road_over_water_is_a_bridge_and_on_land_a_road():
    meadow = site(size=160)
    canvas = meadow.canvas
    canvas.labels[60:100] = Label.WATER
    bridge(meadow, Frame(0.0, 0.0, 0.5 * np.pi), 200.0, 8.0)
    middle = canvas.labels[:, 80]
    assert (middle[60:100] == Label.BRIDGE).all()
    assert (middle[:40] == Label.ROAD).all() and (middle[120:] == Label.ROAD).all()
    assert (canvas.labels[60:100, :40] == Label.WATER).all()


def test_ships_need_water_and_vehicles_a_road():
    meadow = site()
    assert not ship(meadow, Frame(0.0, 0.0), 12.0)
    vehicle(meadow, Frame(0.0, 0.0))
    meadow.canvas.raise_standing()
    assert (meadow.canvas.labels == Label.GRASS).all()
    meadow.canvas.labels[:] = Label.WATER
    assert ship(meadow, Frame(0.0, 0.0), 12.0)
    assert not ship(meadow, Frame(1.0, 0.0), 12.0), "the place is taken"


def test_the_sea_is_wet_where_ships_lie(scenes):
    """A ship borders on water, a pier, a bridge or the image's edge; never on a field alone."""
    neighbours = {int(label) for label in (Label.WATER, Label.HARBOR, Label.BRIDGE, Label.TREE)}
    for scene in scenes:
        _, parts = cv2.connectedComponents((scene.labels == Label.SHIP).astype(np.uint8))
        for number in range(1, int(parts.max()) + 1):
            part = (parts == number).astype(np.uint8)
            if part.sum() < 12:
                continue
            ring = (cv2.dilate(part, np.ones((3, 3), np.uint8)) - part).astype(bool)
            assert neighbours & set(np.unique(scene.labels[ring]).tolist())


def test_the_gallery_writes_pictures_side_by_side(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["scenes", "--seed", "4", "--count", "2", "--size", "48", "--output", str(tmp_path)])
    gallery.main()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["000.png", "001.png"]
    assert cv2.imread(str(tmp_path / "000.png")).shape == (48, 4 * 48, 3)
    assert "synthetic" in capsys.readouterr().out
