"""RS-ZeroSeg's configurations: what they build, what learns, and that the two streams' patches cover one another."""

import functools
from pathlib import Path

import pytest
import torch
from detectron2.modeling import META_ARCH_REGISTRY, build_model

import ovrs.modeling.systems  # noqa: F401 - registers them with Detectron2
from ovrs.config import load_config
from ovrs.errors import ConfigError
from ovrs.modeling.blocks.category_head import CategoryAdaptiveHead, CosineHead, GatedDecoderHead
from ovrs.vocabulary import Vocabulary

CONFIGS = Path(__file__).parents[2] / "configs"
MAIN = CONFIGS / "rs_zeroseg/rs_zeroseg_vitl14_dino.yaml"
FILES = sorted((CONFIGS / "rs_zeroseg").rglob("*.yaml"))


@functools.cache
def built(path, *options):
    """The configuration of a file, and the model without memory behind it."""
    cfg = load_config(str(path), options)
    with torch.device("meta"):
        return cfg, META_ARCH_REGISTRY.get(cfg.MODEL.META_ARCHITECTURE)(cfg)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_file_trains_the_recipe_of_the_preprint(path):
    cfg = load_config(str(path))
    assert cfg.MODEL.META_ARCHITECTURE == "RSZeroSeg" and cfg.DATASETS.TRAIN == ("landdiscover50k_train",)
    assert cfg.DATASETS.TEST == ("flair_val", "fast_val", "potsdam_val", "floodnet_val")
    assert (cfg.SOLVER.MAX_ITER, cfg.SOLVER.IMS_PER_BATCH, cfg.SOLVER.OPTIMIZER) == (30000, 4, "AdamW")
    assert cfg.MODEL.LOSS.REDUCTION == "mean" and cfg.MODEL.LOSS.IGNORED == "mask"


@pytest.mark.parametrize("path", sorted((CONFIGS / "rs_zeroseg").glob("*.yaml")), ids=lambda path: path.stem)
def test_three_scales_are_48_24_and_12_patches_and_the_other_stream_has_24(path):
    cfg, model = built(path)
    side = cfg.MODEL.FIXED_SIZE or cfg.INPUT.CROP_SIZE
    grid = side // model.size_divisor
    assert grid * model.size_divisor == side and [scale * grid for scale in cfg.MODEL.RS_ZEROSEG.SCALES] == [48, 24, 12]
    remote = cfg.MODEL.GUIDANCE.INPUT_SIZE or side
    assert remote / model.guidance_encoder.stride == 24
    assert len(model.guidance_encoder.encoder.blocks) == cfg.MODEL.GUIDANCE.LAYERS[0]


def test_each_combination_of_freezing_has_a_file():
    names = [MAIN, *(path for path in FILES if path.stem.startswith("table3"))]
    found = {(cfg.MODEL.VISION_LANGUAGE.TRAIN, cfg.MODEL.GUIDANCE.TRAIN) for cfg in map(load_config, map(str, names))}
    modes = ("freeze", "attention", "full")
    assert len(names) == 9 and found == {(one, other) for one in modes for other in modes}


def test_the_parts_of_table_2_can_be_taken_away():
    folder = CONFIGS / "rs_zeroseg/ablations"
    small = ("MODEL.VISION_LANGUAGE.NAME", "ViT-B-32-quickgelu")
    found = {}
    for name in ("base_dsfe", "without_mscam", "without_carh"):
        model = built(folder / f"table2_{name}.yaml", *small)[1]
        found[name] = (len(model.alignment.levels), type(model.head))
    assert found == {"base_dsfe": (0, CosineHead), "without_mscam": (0, CategoryAdaptiveHead), "without_carh": (3, CosineHead)}
    assert isinstance(built(folder / "aeroseg_decoder.yaml", *small)[1].head, GatedDecoderHead)
    assert built(folder / "table6_lambda_00.yaml", *small)[1].text_projection is None


@pytest.mark.parametrize("head", ["carh", "cosine", "decoder"])
def test_the_small_one_is_built_from_its_file_and_scores_words_at_the_size_of_the_image(head):
    options = ["MODEL.DEVICE", "cpu", "MODEL.GUIDANCE.WEIGHTS", "", "MODEL.RS_ZEROSEG.HEAD", head]
    model = build_model(load_config("mini/rs_zeroseg", options)).eval()
    image = torch.zeros(3, 96, 128, dtype=torch.uint8)
    (answer,) = model([{"image": image, "vocabulary": Vocabulary.parse("ship,bridge"), "height": 96, "width": 128}])
    assert answer["sem_seg"].shape == (2, 96, 128) and answer["sem_seg"].isfinite().all()


def test_the_gate_is_one_key_away_in_aeroseg():
    keys = ("MODEL.WEIGHTS", "", "MODEL.GUIDANCE.WEIGHTS", "", "MODEL.REFINEMENT.TEXT_GATE")
    assert built("mini", *keys, "True")[1].text_gate is not None and built("mini", *keys, "False")[1].text_gate is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["MODEL.VISION_LANGUAGE.ROTATIONS", "[0, 1]"], r"ROTATIONS must be \[0\]"),
        (["MODEL.GUIDANCE.NAME", "clip"], "needs a second encoder"),
        (["MODEL.GUIDANCE.LAYERS", "[1, 2]"], r"needs 1 entry \(F_RSI\), got \[1, 2\]"),
        (["MODEL.GUIDANCE.TRAIN", "attention"], "no attention layers"),
        (["MODEL.RS_ZEROSEG.SCALES", "[1.0, 0.0]"], "above 0"),
        (["MODEL.RS_ZEROSEG.HEAD", "mlp"], "choose carh, cosine or decoder"),
        (["MODEL.RS_ZEROSEG.ALIGNMENT", "pixel"], "choose image or region"),
        (["MODEL.RS_ZEROSEG.HEADS", "7"], "64 channels cannot be cut into 7 heads"),
    ],
)
def test_what_cannot_be_built_is_named(options, message):
    with pytest.raises(ConfigError, match=message):
        built("mini/rs_zeroseg", "MODEL.GUIDANCE.WEIGHTS", "", *options)
