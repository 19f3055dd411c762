"""Prompts that a text encoder would cut in the middle are refused before a job starts."""

import pytest

from ovrs.config import load_config
from ovrs.engine.setup import check_prompt_tokens
from ovrs.errors import ConfigError


def checked(*options, file="mini/metasegnet"):
    check_prompt_tokens(load_config(file, list(options)))


def test_prompts_longer_than_what_the_encoder_reads_are_refused():
    checked("DATASETS.CLIMATE.PROMPTS", "bank", "DATASETS.CLIMATE.TOKENS", 100, "MODEL.TEXT.MAX_TOKENS", 100)
    with pytest.raises(ConfigError, match=r"TOKENS is 101, .* behind 100 tokens \(MODEL.TEXT.MAX_TOKENS\)"):
        checked("DATASETS.CLIMATE.PROMPTS", "bank", "DATASETS.CLIMATE.TOKENS", 101, "MODEL.TEXT.MAX_TOKENS", 100)


@pytest.mark.parametrize("prompts", ["", "neutral"])
def test_without_prompts_of_places_the_limit_plays_no_part(prompts):
    checked("DATASETS.CLIMATE.PROMPTS", prompts, "MODEL.TEXT.MAX_TOKENS", 20)


def test_a_model_that_reads_no_prompt_has_no_limit():
    checked("DATASETS.CLIMATE.PROMPTS", "bank", "MODEL.METASEGNET.ALIGNMENT", False, "MODEL.TEXT.MAX_TOKENS", 20)
    checked("DATASETS.CLIMATE.PROMPTS", "bank", file="mini/aeroseg")
