"""``MODEL.PROMPTS: climate`` as configurations ask for it: which systems read it, what stays the same, and what is refused."""

from __future__ import annotations

import pytest
import torch
from detectron2.config import CfgNode
from detectron2.modeling import build_model

import ovrs.modeling.systems  # noqa: F401 - registers the systems
from ovrs.config import load_config
from ovrs.engine.setup import check_class_sentences
from ovrs.errors import ConfigError
from ovrs.modeling.prompts import TEMPLATES, templates

CLIMATE = ["MODEL.PROMPTS", "climate", "MODEL.DEVICE", "cpu"]


def built(name: str, options: list[str]) -> torch.nn.Module:
    return build_model(load_config(name, options))


@pytest.mark.parametrize("name", ["mini", "mini/rs_zeroseg"])
def test_climate_reads_the_same_templates_with_the_same_weights(name: str) -> None:
    plain, climate = built(name, ["MODEL.DEVICE", "cpu"]), built(name, CLIMATE)
    assert climate.reads_class_descriptions and not plain.reads_class_descriptions
    assert climate.templates == plain.templates == TEMPLATES["remote_sensing"]
    shapes = [{key: value.shape for key, value in model.state_dict().items()} for model in (plain, climate)]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("name", ["mini/mafn", "mini/tsmnet"])
def test_a_system_that_averages_no_prompts_refuses_it(name: str) -> None:
    with pytest.raises(ConfigError, match="MODEL.PROMPTS climate .* choose alone"):
        built(name, CLIMATE)


def test_an_unknown_preset_names_climate_among_those_there_are() -> None:
    with pytest.raises(ConfigError, match="remote_sensing, .*climate"):
        templates("weather")


def with_options(*options: object) -> CfgNode:
    return load_config("mini", list(options))


def test_a_training_whose_data_say_nothing_of_classes_is_refused() -> None:
    with pytest.raises(ConfigError, match="DATASETS.CLIMATE.CLASS_SENTENCES is False: set it True, or choose remote_sensing"):
        check_class_sentences(with_options(*CLIMATE))
    check_class_sentences(with_options(*CLIMATE, "DATASETS.CLIMATE.CLASS_SENTENCES", True))
    check_class_sentences(with_options("DATASETS.CLIMATE.CLASS_SENTENCES", True))  # that nothing reads them harms nobody


def test_the_rows_of_the_comparison_differ_in_their_prompts_alone() -> None:
    rows = [load_config(f"configs/mini/climate/{name}.yaml") for name in ("aeroseg", "aeroseg_climate")]
    assert [cfg.MODEL.PROMPTS for cfg in rows] == ["remote_sensing", "climate"]
    for cfg in rows:
        check_class_sentences(cfg)
        cfg.defrost()
        cfg.MODEL.PROMPTS = ""
    assert rows[0] == rows[1]


def test_the_comparison_holds_out_the_places_and_the_zone_of_the_other_one() -> None:
    ours, other = (load_config(f"configs/mini/climate/{name}.yaml").DATASETS for name in ("aeroseg", "climate"))
    assert ours.SCENES == other.SCENES and (ours.TRAIN, ours.TEST) == (other.TRAIN, other.TEST)
