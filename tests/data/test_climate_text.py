"""What data sets say of an image by the climate zone of its place: which zone, which prompt, and never what the image holds."""

from types import SimpleNamespace

import numpy as np
import pytest
from detectron2.config import get_cfg
from detectron2.data import DatasetCatalog, MetadataCatalog
from placed import describe, write_climate_map

from ovrs.climate import lookup
from ovrs.climate.bank import NEUTRAL, PromptBank, Sentence
from ovrs.climate.zones import zone_named
from ovrs.config import add_ovrs_config, load_config
from ovrs.data import catalog, climate, entries
from ovrs.data.catalog import row_of
from ovrs.data.climate import ClimateText, build_climate_text
from ovrs.data.loaders import build_mapper, build_test_loader, build_train_loader, dataset_dicts
from ovrs.data.mapper import SegmentationMapper
from ovrs.data.scenes.earth import places_in
from ovrs.data.scenes.scene import draw_scene
from ovrs.data.table import SceneRegions
from ovrs.errors import ConfigError, InputError
from ovrs.vocabulary import Vocabulary


def words(zone, name):
    return f"In {zone} {name} is seen."


@pytest.fixture
def bank(tmp_path):
    """Of three zones and three classes; nothing is said of water in Aw."""
    names = ("tree", "water", "building")
    sentences = {zone: {name: Sentence(words(zone, name), "here") for name in names} for zone in ("Aw", "BWh", "Cfb")}
    del sentences["Aw"]["water"]
    return PromptBank("test", {"tree": ("forest",), "water": (), "building": ("house",)}, sentences)


@pytest.fixture
def cfg(tmp_path, monkeypatch, bank):
    cfg = get_cfg()
    add_ovrs_config(cfg)
    bank.save(tmp_path / "bank.json")
    cfg.DATASETS.CLIMATE.BANK = str(tmp_path / "bank.json")
    cfg.DATALOADER.NUM_WORKERS = 0
    cfg.DATASETS.SCENES.VAL_SIZE = cfg.DATASETS.SCENES.TRAIN_SIZE = 4
    cfg.DATASETS.SCENES.IMAGE_SIZE = 32
    cfg.DATASETS.SCENES.ZONES = ("BWh",)
    monkeypatch.setattr(entries, "_kept_scenes", {})
    before = set(catalog._registered)
    yield cfg
    for name in set(catalog._registered) - before:
        del catalog._registered[name]
        DatasetCatalog.remove(name)
        MetadataCatalog.remove(name)


def told(cfg, name="scenes_val", **keys):
    for key, value in keys.items():
        cfg.DATASETS.CLIMATE[key] = value
    return [batch[0] for batch in build_test_loader(cfg, name)]


def scene(index=0, zone="BWh"):
    entry = {"dataset_name": "scenes_val", "file_name": f"scene-1-{index}", "scene_seed": 1, "scene_index": index}
    return {**entry, "scene_size": 32, "scene_regions": SceneRegions(places=places_in((zone,)))}


def test_nothing_is_said_unless_asked(cfg):
    assert build_climate_text(cfg) is None
    assert all("description" not in sample and not sample["vocabulary"].class_descriptions for sample in told(cfg))
    cfg.DATASETS.SCENES.DESCRIPTIONS = True
    assert all(NEUTRAL not in sample["description"] for sample in told(cfg))


def test_a_scene_is_told_its_zone_without_a_map(cfg, no_map):
    every = " ".join(words("BWh", name) for name in ("building", "tree", "water"))
    assert {sample["description"] for sample in told(cfg, PROMPTS="bank")} == {every}
    cfg.DATASETS.SCENES.ZONES = ("Aw",)
    dry = " ".join(words("Aw", name) for name in ("tree", "building"))
    assert {sample["description"] for sample in told(cfg, CLASSES=("tree", "house", "water"))} == {dry}


def test_a_prompt_takes_the_place_of_what_a_data_set_says(cfg):
    cfg.DATASETS.SCENES.DESCRIPTIONS = True
    assert {sample["description"] for sample in told(cfg, PROMPTS="neutral")} == {NEUTRAL}
    assert all(sample["description"].startswith("In BWh") for sample in told(cfg, PROMPTS="bank"))
    assert all(zone_named("BWh").words in sample["description"] for sample in told(cfg, PROMPTS="template"))


def test_a_prompt_says_the_same_whatever_the_image_holds(cfg, monkeypatch):
    """A prompt of the classes in the labels would tell the model the answer."""
    cfg.DATASETS.CLIMATE.PROMPTS = "bank"
    cfg.DATASETS.CLIMATE.CLASS_SENTENCES = True
    mapper, found = SegmentationMapper(cfg, False), set()
    drawn = draw_scene(1, 0, size=32, places=places_in(("BWh",)))
    for label in (0, 3, 5, 6):
        read = entries.Entry(drawn.image, np.full((32, 32), label, np.uint8))
        monkeypatch.setattr("ovrs.data.mapper.read_entry", lambda *args, read=read, **keys: read)
        sample = mapper(scene(zone="BWh"))
        assert set(np.unique(sample["sem_seg"])) == {label}
        found.add((sample["description"], sample["vocabulary"]))
    assert len(found) == 1


def test_classes_in_use_are_those_of_the_vocabulary_in_training_too(cfg):
    cfg.DATASETS.TRAIN, cfg.DATASETS.TRAIN_CLASSES = ("scenes_train",), "all"
    cfg.DATASETS.HIDDEN_CLASSES = ("water",)
    cfg.SOLVER.IMS_PER_BATCH, cfg.INPUT.CROP_SIZE, cfg.DATASETS.CLIMATE.PROMPTS = 2, 0, "bank"
    batch = next(iter(build_train_loader(cfg, sampler_seed=1)))
    assert {sample["description"] for sample in batch} == {f"{words('BWh', 'building')} {words('BWh', 'tree')}"}


def test_class_sentences_are_one_a_class_and_empty_where_nothing_is_said(bank):
    text = ClimateText(prompts="", bank=bank, class_sentences=True)
    names = ("water", "ship", "forest")
    assert text.description(scene(), names) is None
    assert text.class_descriptions(scene(zone="BWh"), names) == (words("BWh", "water"), "", words("BWh", "tree"))
    assert text.class_descriptions(scene(1, zone="Aw"), names) == ("", "", words("Aw", "tree"))
    assert ClimateText(bank=bank).class_descriptions(scene(), names) == ()
    rule = ClimateText(prompts="template", class_sentences=True).class_descriptions(scene(), names)
    assert len(rule) == 3 and all(zone_named("BWh").words in said for said in rule)


def test_class_sentences_reach_the_vocabulary(cfg):
    for sample in told(cfg, CLASS_SENTENCES=True):
        vocabulary = sample["vocabulary"]
        assert "description" not in sample
        said = dict(zip(vocabulary.names, vocabulary.class_descriptions, strict=True))
        assert said["tree"] == words("BWh", "tree") and said["plane"] == ""
        assert vocabulary.with_class_descriptions(()) == Vocabulary(tuple(vocabulary.classes))


def test_season_and_pixel_size_are_said_of_scenes_where_asked(bank):
    drawn = draw_scene(1, 0, size=32, places=places_in(("BWh",)))
    plain, more = (ClimateText(bank=bank, season=both, gsd=both).description(scene(), ("tree",)) for both in (False, True))
    assert plain == words("BWh", "tree")
    assert drawn.setting.season in more and f"{float(f'{drawn.gsd:.2g}'):g} metres" in more


def test_what_is_known_of_an_entry_is_worked_out_once(bank, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(climate, "zone_of_file", lambda path, *_: asked.append(path) or "Aw")
    text = ClimateText(bank=bank, class_sentences=True)
    for _ in range(3):
        text.description({"file_name": "a.tif", "dataset_name": "own_train"}, ("tree",))
        text.class_descriptions({"file_name": "a.tif", "dataset_name": "own_train"}, ("tree",))
    assert len(asked) == 1


def test_a_geotiff_is_told_the_zone_of_its_own_place(cfg, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(lookup, "zone_at", lambda lon, lat, _: asked.append((lon, lat)) or zone_named("BWh"))
    cfg.DATASETS.FILES = (describe(tmp_path, "placed", "", ("a.tif",)),)
    (sample,) = told(cfg, "placed_train", PROMPTS="bank")
    assert sample["description"] == f"{words('BWh', 'tree')} {words('BWh', 'water')}"
    assert asked == [(pytest.approx(55.27, abs=0.02), pytest.approx(25.2, abs=0.02))]


def test_pictures_without_a_place_are_told_the_neutral_sentence(cfg, tmp_path, no_map):
    cfg.DATASETS.FILES = (describe(tmp_path, "unplaced", "", ("dubai_1.png",)),)
    (sample,) = told(cfg, "unplaced_train", PROMPTS="bank", CLASS_SENTENCES=True)
    assert sample["description"] == NEUTRAL and sample["vocabulary"].class_descriptions == ()


def test_a_description_names_the_zone_and_the_key_overrides_it(cfg, tmp_path, no_map):
    cfg.DATASETS.FILES = (describe(tmp_path, "desert", "climate: bwh", ("a.tif",)),)
    assert [sample["description"] for sample in told(cfg, "desert_train", PROMPTS="bank")] == [
        f"{words('BWh', 'tree')} {words('BWh', 'water')}"
    ]
    assert [sample["description"] for sample in told(cfg, "desert_train", ZONE="cfb")] == [
        f"{words('Cfb', 'tree')} {words('Cfb', 'water')}"
    ]
    assert all("Cfb" in sample["description"] for sample in told(cfg, "scenes_val"))  # to see what a wrong prompt costs


def test_files_named_by_their_region_have_its_zone(cfg, tmp_path, monkeypatch):
    monkeypatch.setattr(lookup, "zone_at", lambda lon, lat, _: zone_named("BWh" if lat < 30 else "Cfb"))
    cfg.DATASETS.FILES = (describe(tmp_path, "tiles", "climate: by name", ("aachen_3.png", "dubai_1.png", "west_2.png")),)
    dicts = [entry["file_name"].rpartition("/")[2] for entry in dataset_dicts(cfg, "tiles_train")]
    said = [sample["description"] for sample in told(cfg, "tiles_train", PROMPTS="bank", CLASSES=("tree",))]
    assert dict(zip(dicts, said, strict=True)) == {
        "aachen_3.png": words("Cfb", "tree"), "dubai_1.png": words("BWh", "tree"), "west_2.png": NEUTRAL,
    }  # fmt: skip


def test_a_zone_that_cannot_be_looked_up_ends_the_run(cfg, tmp_path, monkeypatch):
    def missing(*place):
        raise InputError("pip install 'ovrs[climate]'")

    monkeypatch.setattr(lookup, "zone_at", missing)
    cfg.DATASETS.FILES = (describe(tmp_path, "mapless", "", ("a.tif",)),)
    with pytest.raises(InputError, match="pip install"):
        told(cfg, "mapless_train", PROMPTS="bank")


@pytest.mark.parametrize("keys", [{"PROMPTS": "bank"}, {"PROMPTS": "template"}, {"CLASS_SENTENCES": True}])
def test_a_training_without_the_map_that_it_needs_ends_before_its_first_image(cfg, tmp_path, monkeypatch, keys):
    monkeypatch.setattr(lookup, "_PACKAGE", "no_such_package")
    cfg.DATASETS.FILES = (describe(tmp_path, "anywhere", "", ("a.tif",)),)
    cfg.DATASETS.TRAIN, cfg.DATASETS.TEST = ("anywhere_train",), ("scenes_val",)
    for key, value in keys.items():
        cfg.DATASETS.CLIMATE[key] = value
    with pytest.raises(ConfigError, match=r"anywhere_train .*ovrs\[climate\]', or give ZONE"):
        build_mapper(cfg, True)
    build_mapper(cfg, False)  # an evaluation reads no training images
    cfg.DATASETS.CLIMATE.ZONE = "BWh"
    build_mapper(cfg, True)
    cfg.DATASETS.CLIMATE.ZONE, cfg.DATASETS.CLIMATE.RASTER = "", str(write_climate_map(tmp_path / "map.tif", 4))
    build_mapper(cfg, True)


def test_a_climate_map_of_ones_own_is_read(cfg, tmp_path):
    cfg.DATASETS.FILES = (describe(tmp_path, "mapped", "", ("a.tif",)),)
    raster = str(write_climate_map(tmp_path / "map.tif", 3))
    (sample,) = told(cfg, "mapped_train", PROMPTS="bank", RASTER=raster, CLASSES=("tree",))
    assert sample["description"] == words("Aw", "tree")


def test_classes_that_a_prompt_leaves_out_are_named_once_for_each_list(bank, caplog):
    text = ClimateText(bank=bank)
    for index in range(3):
        text.description(scene(index, zone="Aw"), ("tree", "water", "pier"))
    text.description(scene(9, zone="BWh"), ("tree", "water"))
    (line,) = [record.getMessage() for record in caplog.records]
    assert line == "of 3 classes the prompt (Aw) says nothing of water, pier; name those that matter: DATASETS.CLIMATE.CLASSES"
    text.description(scene(0, zone="Aw"), [f"class {index}" for index in range(20)])
    assert "class 11 and 8 more; name" in caplog.messages[-1] and len(caplog.messages) == 2


def test_of_several_workers_one_names_them(bank, caplog, monkeypatch):
    for number in (2, 1, 0):
        monkeypatch.setattr(climate, "get_worker_info", lambda number=number: SimpleNamespace(id=number))
        ClimateText(bank=bank).description(scene(zone="Aw"), ("tree", "pier"))
        assert len(caplog.messages) == (number == 0)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"PROMPTS": "banks"}, "CLIMATE.PROMPTS is 'banks'; .*choose neutral, bank, template"),
        ({"PROMPTS": "bank", "ZONE": "BW"}, "CLIMATE.ZONE is 'BW'; no climate zone"),
        ({"PROMPTS": "bank", "RASTER": "nowhere.tif"}, "CLIMATE.RASTER: nowhere.tif: the climate raster cannot be read"),
        ({"PROMPTS": "bank", "BANK": "nowhere.json"}, "CLIMATE.BANK: nowhere.json"),
        ({"PROMPTS": "bank", "CLASSES": ("tree", "castle")}, "CLIMATE.CLASSES is 'castle'; the prompt bank has 3 classes"),
        ({"PROMPTS": "", "CLASS_SENTENCES": True, "CLASSES": ("castle",)}, "CLIMATE.CLASSES is 'castle'"),
        ({"PROMPTS": "neutral", "TOKENS": 3}, "CLIMATE.TOKENS is 3; give at least"),
    ],
)
def test_keys_that_cannot_work_are_named(cfg, keys, message):
    for key, value in keys.items():
        cfg.DATASETS.CLIMATE[key] = value
    with pytest.raises(ConfigError, match=message):
        build_mapper(cfg, False)


@pytest.mark.parametrize(("key", "value"), [("PROMPTS", "bank"), ("CLASS_SENTENCES", True)])
def test_sentences_that_mean_one_thing_are_told_no_climate(cfg, key, value):
    cfg.DATASETS.TASK, cfg.DATASETS.CLIMATE[key] = "referring", value
    with pytest.raises(ConfigError, match=f"CLIMATE.{key} is .*it is for DATASETS.TASK segmentation"):
        build_mapper(cfg, False)


def test_a_prompt_longer_than_a_description_is_refused(bank):
    names = [f"tree {index}" for index in range(10)]
    said = {name: Sentence(f"{name} {'tree ' * 90}", "here") for name in names}
    long = PromptBank("test", dict.fromkeys(names, ()), {"BWh": said})
    with pytest.raises(ConfigError, match=r"CLIMATE.TOKENS is 9000; .* 4,000 are allowed"):
        ClimateText(bank=long, most_tokens=9000).description(scene(), names)


@pytest.mark.parametrize("value", ["desert", "[BWh]", "7"])
def test_a_description_with_no_zone_is_refused(tmp_path, value):
    with pytest.raises(ConfigError, match=r"wrong.yaml: climate is .*no climate zone.*or give 'by name'"):
        catalog.register_files([describe(tmp_path, "wrong", f"climate: {value}")])


def test_dubai_lies_in_the_desert(cfg):
    catalog.register_files(["configs/mini/data/dubai.yaml"])
    assert row_of("dubai_train").climate == "BWh"


def test_keys_are_read_from_the_command_line():
    cfg = load_config("mini", ["DATASETS.CLIMATE.PROMPTS", "template", "DATASETS.CLIMATE.CLASSES", "('tree',)"])
    text = build_climate_text(cfg)
    assert text is not None and text.classes == ("tree",) and text.bank is None


def test_a_scene_that_may_lie_anywhere_has_the_zone_it_is_drawn_in(bank):
    entry = scene(3)
    del entry["scene_regions"]
    assert ClimateText(bank=bank).circumstances(entry).zone == draw_scene(1, 3, size=32).setting.climate
