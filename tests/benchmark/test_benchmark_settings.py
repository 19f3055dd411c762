"""What is measured, and what of it together."""

from pathlib import Path

import pytest

from ovrs.benchmark.settings import Setting, groups, product
from ovrs.config import load_config
from ovrs.errors import ConfigError

CONFIGS = Path(__file__).parents[2] / "configs"
AEROSEG, RS_ZEROSEG = str(CONFIGS / "mini" / "aeroseg.yaml"), str(CONFIGS / "mini" / "rs_zeroseg.yaml")
ONE = {"sizes": [64], "classes": [2], "batches": [1], "rotations": [None], "precisions": ["fp32"], "modes": ["inference"]}


def test_every_combination_is_measured_once():
    several = ONE | {"sizes": [64, 128], "classes": [2, 3], "precisions": ["fp32", "bf16"], "rotations": [1, 4]}
    settings = product([AEROSEG], **several, plain=False, threads=1, options=["MODEL.MAX_CLASSES", "8"])
    assert len(settings) == len({*settings}) == 16
    assert {(each.size, each.classes, each.rotations, each.precision) for each in settings} == {
        (size, classes, turns, precision)
        for size in (64, 128)
        for classes in (2, 3)
        for turns in (1, 4)
        for precision in ("fp32", "bf16")
    }
    cfg = load_config(settings[0].config_file, settings[0].overrides)
    assert (cfg.MODEL.VISION_LANGUAGE.ROTATIONS, cfg.MODEL.MAX_CLASSES, cfg.MODEL.GUIDANCE.WEIGHTS) == ([0], 8, "")


def test_the_plain_form_is_one_in_single_precision_and_aerosegs_alone():
    settings = product([AEROSEG, RS_ZEROSEG], **ONE | {"precisions": ["bf16", "fp32"]}, plain=True)
    assert [(Path(each.config_file).stem, each.precision, each.form) for each in settings] == [
        ("aeroseg", "bf16", "fast"),
        ("aeroseg", "fp32", "fast"),
        ("aeroseg", "fp32", "plain"),
        ("rs_zeroseg", "bf16", "fast"),
        ("rs_zeroseg", "fp32", "fast"),
    ]
    assert {each.reference for each in settings[:3]} == {settings[2]}


def test_what_is_compared_takes_turns_and_no_more_than_asked_for_are_in_memory():
    def of(classes, *names):
        return [Setting(name, 64, classes, form=form) for name in names for form in ("fast", "plain")]

    settings = [*of(2, "a", "b"), *of(3, "a", "b")]
    assert groups(settings, 4) == groups(settings, 7) == [of(2, "a", "b"), of(3, "a", "b")]
    assert groups(settings, 8) == [settings]  # cells that fit beside each other join
    one_by_one = [of(2, "a"), of(2, "b"), of(3, "a"), of(3, "b")]
    assert groups(settings, 3) == groups(settings, 1) == one_by_one  # the forms of a system stay together


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"sizes": [0]}, "0 pixels"),
        ({"classes": [5, 0]}, "0 classes"),
        ({"batches": [0]}, "0 images"),
        ({"rotations": [5]}, "5 rotations"),
        ({"options": ["MODEL.NONE", "1"]}, "MODEL.NONE"),
    ],
)
def test_what_cannot_be_measured_is_said_at_once(change, said):
    with pytest.raises(ConfigError, match=said):
        product([AEROSEG], **ONE | change, plain=False)


def test_words_are_real_names_as_long_as_there_are_and_never_one_twice():
    few, many = (Setting("configs/mini/aeroseg.yaml", classes=classes).vocabulary.names for classes in (17, 847))
    assert few == many[:17] and not any(name.startswith("thing") for name in few)
    assert len(set(many)) == 847
