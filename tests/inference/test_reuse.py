"""A segmenter that is used again: words that it has read are not read again."""

import numpy as np
import pytest

from ovrs import ClimateOptions, Segmenter, Vocabulary

CASES = [
    ("mini", {}),
    ("mini/rs_zeroseg", {}),
    ("mini/mafn", {}),
    ("mini/tsmnet", {"description": "A river town after a flood."}),
    ("mini/metasegnet", {}),
    ("mini/metasegnet", {"climate": ClimateOptions(zone="BWh")}),
]


@pytest.mark.parametrize(("name", "said"), CASES, ids=lambda value: value if isinstance(value, str) else "-".join(value))
def test_no_word_is_encoded_for_a_second_image(name, said):
    segmenter = Segmenter.from_config(name, device="cpu")
    system, calls = segmenter.model.model, []
    for encoder in {system.text_tower, getattr(system, "scene_encoder", None) or system.text_tower}:
        encoder.register_forward_pre_hook(lambda module, texts: calls.append(texts))
    rng = np.random.default_rng(0)

    def answer(words):
        image = rng.integers(0, 255, (40, 48, 3), dtype=np.uint8)
        return segmenter.segment(image, Vocabulary.parse(words), **said).labels

    answer("ship|boat, quay")
    first = len(calls)
    assert first
    answer("ship|boat, quay")
    assert len(calls) == first
    answer("ship|boat, crane")  # what is new is encoded, and what was there is not forgotten
    second = len(calls)
    assert second > first
    answer("ship|boat, quay")
    assert len(calls) == second
