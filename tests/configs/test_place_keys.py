"""What a configuration says of places is the same with and without torch, and prompts that nothing reads are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from detectron2.config import get_cfg

from ovrs.config import add_ovrs_config, load_config
from ovrs.config_places import PLACE_KEYS, check_prompts_read, place_keys, place_keys_of_file, place_reading
from ovrs.errors import ConfigError
from ovrs.inference.prompt_policy import PromptPolicy, build_prompt_policy

CONFIGS = Path(__file__).parents[2] / "configs"
# Those that are told of places, and their neighbours.
FILES = sorted(path for path in CONFIGS.rglob("*.yaml") if {"mini", "metasegnet"} & {path.parts[-2], path.parts[-3]})
FILES = [path for path in FILES if path.parent.name not in ("data", "isaid", "pairs")]


def test_defaults_are_those_of_the_configuration() -> None:
    cfg = get_cfg()
    add_ovrs_config(cfg)
    assert place_keys(cfg) == PLACE_KEYS


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(CONFIGS)))
def test_shipped_configurations_read_alike_without_torch_and_ask_for_nothing_unread(path: Path) -> None:
    cfg = load_config(str(path))
    assert place_keys_of_file(str(path)) == place_keys(cfg)
    check_prompts_read(cfg)


def test_overrides_and_bare_names_count(tmp_path: Path) -> None:
    options = ["DATASETS.CLIMATE.CLASSES", "('tree', 'road')", "DATASETS.CLIMATE.TOKENS", "99", "MODEL.PROMPTS", "climate"]
    for name in ("mini", "mini/metasegnet"):
        assert place_keys_of_file(name, options) == place_keys(load_config(name, options))
    policy = build_prompt_policy(place_keys_of_file("mini/metasegnet", options))
    assert policy == PromptPolicy("bank", None, ("tree", "road"), 99)
    (tmp_path / "a.yaml").write_text("MODEL: {PROMPTS: [", encoding="utf-8")
    with pytest.raises(ConfigError, match="a.yaml: not readable as plain YAML"):
        place_keys_of_file(str(tmp_path / "a.yaml"))


@pytest.mark.parametrize(
    ("name", "reads"),
    [
        ("mini", ""),
        ("mini/tsmnet", ""),
        ("mini/metasegnet", "prompt"),
        ("mini/climate/neutral", "prompt"),
        ("mini/climate/none", ""),
        ("mini/climate/aeroseg", ""),
        ("mini/climate/aeroseg_climate", "sentences"),
    ],
)
def test_what_a_model_reads(name: str, reads: str) -> None:
    assert place_reading(place_keys_of_file(name)) == reads


def test_prompts_for_a_model_that_is_told_of_no_place_are_refused() -> None:
    def check(name: str, *options: Any) -> None:
        check_prompts_read(load_config(name, options))

    for name, says in (("mini/tsmnet", "TSMNet is told nothing"), ("mini/climate/none", "ALIGNMENT False is told nothing")):
        with pytest.raises(ConfigError, match=f"DATASETS.CLIMATE.PROMPTS is 'bank', and .*{says} of places in use"):
            check(name, "DATASETS.CLIMATE.PROMPTS", "bank")
    check("mini/climate/aeroseg_climate", "DATASETS.CLIMATE.PROMPTS", "template")  # sentences on classes by rule


@pytest.mark.parametrize("prompts", ["", "neutral", "bank", "template"])
def test_the_policy_says_what_training_said(prompts: str) -> None:
    policy = build_prompt_policy({**PLACE_KEYS, "DATASETS.CLIMATE.PROMPTS": prompts, "DATASETS.CLIMATE.BANK": "b.json"})
    assert policy == PromptPolicy(prompts or "neutral", Path("b.json"), (), 20)
