"""Scenes that look like their climate zone, and places that are held out: what training never draws, and how to ask for it."""

import itertools
import json
import sys

import numpy as np
import pytest
from detectron2.config import get_cfg

from ovrs.climate.zones import ZONES
from ovrs.config import add_ovrs_config
from ovrs.data import entries
from ovrs.data.loaders import build_test_loader, dataset_dicts
from ovrs.data.scenes import Label, Setting, draw_scene, write_scenes
from ovrs.data.scenes import __main__ as gallery
from ovrs.data.scenes import scene as scene_module
from ovrs.data.scenes.climate import EARTH
from ovrs.data.scenes.earth import earth_zones, parted, places_in
from ovrs.data.scenes.palette import Palette
from ovrs.data.scenes.regional import LOOKS
from ovrs.data.scenes.scene import scene_setting
from ovrs.errors import ConfigError

# Mean colour distance (CIE 1976, of vegetation, soil and roofs) that two zones differ by at least.
APART = 5.0


@pytest.fixture
def cfg(monkeypatch):
    cfg = get_cfg()
    add_ovrs_config(cfg)
    cfg.DATALOADER.NUM_WORKERS = 0
    cfg.DATASETS.SCENES.TRAIN_SIZE = cfg.DATASETS.SCENES.VAL_SIZE = 40
    cfg.DATASETS.SCENES.IMAGE_SIZE = 32
    monkeypatch.setattr(entries, "_kept_scenes", {})
    return cfg


def asked(cfg, **keys):
    for key, value in keys.items():
        cfg.DATASETS.SCENES[key] = value
    return cfg


def settings(cfg, name):
    """Where and when the scenes of a split lie."""
    found = []
    for entry in dataset_dicts(cfg, name):
        regions = entry.get("scene_regions")
        places = regions.places if regions else ()
        found.append(scene_setting(entry["scene_seed"], entry["scene_index"], size=entry["scene_size"], places=places)[0])
    return found


def near(setting):
    """The row of the table that a setting lies at."""
    return min(range(len(EARTH)), key=lambda row: np.hypot(setting.lon - EARTH[row][0], setting.lat - EARTH[row][1]))


def lab(colours):
    """CIE L*a*b* [n, 3] of RGB 0..255 [n, 3], after IEC 61966-2-1 and CIE 15, white D65."""
    part = np.asarray(colours, np.float64) / 255
    linear = np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)
    xyz = linear @ np.array([[0.4124, 0.2126, 0.0193], [0.3576, 0.7152, 0.1192], [0.1805, 0.0722, 0.9505]])
    f = np.cbrt(xyz / (0.9505, 1.0, 1.089))  # nothing here is dark enough for the linear part
    return np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1)


def test_every_zone_of_the_table_has_a_look_and_is_a_zone():
    assert set(LOOKS) == set(earth_zones()) <= set(ZONES)


def test_no_two_zones_look_the_same():
    means = {
        zone: np.stack([lab(table).mean(0) for table in (look.grass, look.dry_grass, look.trees, look.soil, look.roofs)])
        for zone, look in LOOKS.items()
    }
    for one, other in itertools.combinations(LOOKS, 2):
        assert np.linalg.norm(means[one] - means[other], axis=1).mean() > APART, (one, other)


def test_a_colour_is_a_roof_in_one_zone_and_bare_soil_in_another():
    def nearest(roofs, soil):
        return min(np.linalg.norm(lab(roofs)[:, None] - lab(soil)[None], axis=2).ravel())

    assert nearest(LOOKS["Csa"].roofs, LOOKS["Aw"].soil) < 12 < 25 < nearest(LOOKS["Csa"].soil, LOOKS["Aw"].soil)
    assert nearest(LOOKS["BWh"].flat_roofs, LOOKS["BWh"].soil) < 6
    assert nearest(LOOKS["Cfb"].flat_roofs, LOOKS["Cfb"].soil) > 15


def test_a_regional_palette_has_the_colours_of_its_zone():
    for zone in ("Aw", "BWh", "Cfb"):
        drawn = [Palette.draw(np.random.default_rng(seed), Setting(9, 45, zone, 7), regional=True) for seed in range(40)]
        soil = np.mean([palette.soil for palette in drawn], axis=0)
        assert np.abs(soil - LOOKS[zone].soil.mean(0)).max() < 6
        assert all((palette.roofs[:, None] == LOOKS[zone].roofs[None]).all(2).any(1).all() for palette in drawn)
        assert all(palette.flat_roofs is LOOKS[zone].flat_roofs for palette in drawn)


@pytest.mark.parametrize("index", range(6))
def test_a_regional_scene_is_the_same_scene_in_other_colours(index):
    plain, regional = draw_scene(2, index, size=64), draw_scene(2, index, size=64, regional=True)
    assert regional.regional and not plain.regional
    assert (plain.setting, plain.kind, plain.gsd) == (regional.setting, regional.kind, regional.gsd)
    if (plain.labels != Label.WATER).mean() > 0.2:
        assert (plain.image != regional.image).any()


def test_regional_scenes_are_deterministic():
    first, again = (draw_scene(6, 3, size=64, regional=True, places=places_in(("BWh",))) for _ in range(2))
    assert (first.image == again.image).all() and (first.labels == again.labels).all()


@pytest.mark.parametrize("zone", earth_zones())
def test_every_zone_can_be_drawn_alone_even_without_a_coast_or_with_frost(zone):
    places = places_in((zone,))
    found = [scene_setting(8, index, size=64, places=places)[0] for index in range(60)]
    assert {setting.climate for setting in found} == {zone}
    assert {near(setting) for setting in found} <= set(places)


def test_where_no_place_is_by_the_sea_no_recipe_is():
    inland = places_in(("BSk",))
    assert not any(EARTH[number][3] for number in inland)
    kinds = {draw_scene(8, index, size=16, places=inland).kind for index in range(30)}
    assert not kinds & {"coast harbor", "naval base", "open water"} and len(kinds) > 3


def test_the_setting_is_known_without_drawing(monkeypatch):
    scenes = [draw_scene(12, index, size=48, places=(3, 20, 40)) for index in range(6)]
    monkeypatch.setattr(scene_module, "Canvas", lambda *args: pytest.fail("drawn"))
    for index, scene in enumerate(scenes):
        assert scene_setting(12, index, size=48, places=(3, 20, 40)) == (scene.setting, scene.gsd)


def test_the_parts_of_the_table_share_no_place_and_leave_each_zone_some():
    parts = parted(held_out_zone="Csa", share=0.25)
    assert sorted([*parts.trained, *parts.places, *parts.zone]) == list(range(len(EARTH)))
    assert {EARTH[number][2] for number in parts.trained} == set(earth_zones()) - {"Csa"}
    assert {EARTH[number][2] for number in parts.zone} == {"Csa"}
    assert 0.15 < len(parts.places) / len(parts.trained + parts.places) < 0.35
    assert set(parts.places) < set(parted(held_out_zone="Csa", share=0.5).places)
    assert set(parted(share=0.999).trained) and parted(share=0.25) == parted(share=0.25)
    assert parted().trained == places_in(()) and not parted().places and not parted().zone


def test_training_draws_neither_held_out_places_nor_the_held_out_zone(cfg):
    asked(cfg, ZONES=("Aw", "BWh", "csb"), HELD_OUT_ZONE="Csa", HELD_OUT_PLACES=0.3)
    trained = settings(cfg, "scenes_train")
    assert {setting.climate for setting in trained} == {"Aw", "BWh", "Csb"}
    like = settings(cfg, "scenes_val")
    assert {near(setting) for setting in like} <= set(parted(("Aw", "BWh", "Csb"), "Csa", 0.3).trained)
    asked(cfg, HELD_OUT="places")
    places = settings(cfg, "scenes_val")
    assert {setting.climate for setting in places} == {"Aw", "BWh", "Csb"}
    assert not {near(setting) for setting in places} & {near(setting) for setting in (*trained, *like)}
    assert settings(cfg, "scenes_train") == trained
    asked(cfg, HELD_OUT="zone")
    assert {setting.climate for setting in settings(cfg, "scenes_val")} == {"Csa"}


def test_scenes_are_as_before_unless_asked(cfg):
    assert all("scene_regions" not in entry for entry in dataset_dicts(cfg, "scenes_val"))
    asked(cfg, VAL_SIZE=2)
    plain = [batch[0]["image"] for batch in build_test_loader(cfg, "scenes_val")]
    regional = [batch[0]["image"] for batch in build_test_loader(asked(cfg, REGIONAL=True), "scenes_val")]
    for index, (one, other) in enumerate(zip(plain, regional, strict=True)):
        assert (one.numpy().transpose(1, 2, 0) == draw_scene(1, index, size=32).image).all()
        assert (other.numpy().transpose(1, 2, 0) == draw_scene(1, index, size=32, regional=True).image).all()


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"ZONES": ("Aw", "BWx")}, "SCENES.ZONES is 'BWx'; no climate zone 'BWx'"),
        ({"ZONES": ("EF",)}, "SCENES.ZONES is 'EF'; scenes lie in Af, Am"),
        ({"HELD_OUT_ZONE": "Dsd"}, "SCENES.HELD_OUT_ZONE is 'Dsd'; scenes lie in"),
        ({"ZONES": ("Csa",), "HELD_OUT_ZONE": "Csa"}, "HELD_OUT_ZONE is 'Csa'; it is the only one of ZONES"),
        ({"HELD_OUT_PLACES": 1.0}, "HELD_OUT_PLACES is 1.0; give a share of 0 to below 1"),
        ({"HELD_OUT_PLACES": -0.1}, "HELD_OUT_PLACES is -0.1"),
        ({"HELD_OUT": "town"}, "HELD_OUT is 'town'; .* choose places or zone"),
        ({"HELD_OUT": "zone"}, "HELD_OUT is 'zone'; name the zone"),
        ({"HELD_OUT": "places"}, "HELD_OUT is 'places'; none is held out"),
        ({"HELD_OUT": "places", "HELD_OUT_PLACES": 0.5, "ZONES": ("BWk",)}, "HELD_OUT is 'places'; none is held out"),
    ],
)
@pytest.mark.parametrize("name", ["scenes_train", "scenes_val"])
def test_regions_that_cannot_work_are_named(cfg, name, keys, message):
    with pytest.raises(ConfigError, match=message):
        dataset_dicts(asked(cfg, **keys), name)


def test_files_say_that_scenes_are_regional(tmp_path):
    lines = write_scenes(tmp_path / "a", 3, 0, 1, size=32, regional=True, places=places_in(("Cfb",))).read_text()
    record, series = json.loads(lines), json.loads((tmp_path / "a" / "series.json").read_text())
    assert record["regional"] is series["regional"] is True and record["climate"] == "Cfb"
    plain = json.loads(write_scenes(tmp_path / "b", 3, 0, 1, size=32).read_text())
    assert "regional" not in plain and "regional" not in json.loads((tmp_path / "b" / "series.json").read_text())


def test_the_gallery_draws_a_zone(tmp_path, monkeypatch, capsys):
    arguments = ["scenes", "--count", "1", "--size", "32", "--output", str(tmp_path), "--regional", "--zone"]
    monkeypatch.setattr(sys, "argv", [*arguments, "dwa"])
    gallery.main()
    assert "a pixel, Dwa. " in capsys.readouterr().out and (tmp_path / "000.png").is_file()
    monkeypatch.setattr(sys, "argv", [*arguments, "EF"])
    with pytest.raises(SystemExit):
        gallery.main()
    assert "--zone EF: scenes lie in" in capsys.readouterr().err
