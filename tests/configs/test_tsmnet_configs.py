"""TSMNet's configurations at their real size, without memory behind it, and what each row of its tables changes."""

import contextlib
import functools
import json
import math
import re
from pathlib import Path

import pytest
import torch
from detectron2.modeling import META_ARCH_REGISTRY
from shrunk import NO_WEIGHT_FILES

import ovrs.modeling.systems  # noqa: F401 - registers them with Detectron2
from ovrs.config import load_config
from ovrs.errors import ConfigError
from ovrs.modeling.blocks.cosine_classifier import CosineClassifier
from ovrs.modeling.header import contradictions

FOLDER = Path(__file__).parents[2] / "configs/tsmnet"
INDEX = FOLDER / "README.md"
MAIN, CODE, BERT = (FOLDER / f"tsmnet_swjtu{end}.yaml" for end in ("", "_code", "_bert"))
ROWS = sorted((FOLDER / "ablations").glob("*.yaml"))
DATA = {"swjtu": "swjtu_vl", "yeseg": "yeseg"}

# The paper's Tables 4 and 5, OA and mIoU.
FIGURES = {
    "table4_plain": {"swjtu": ["68.34", "46.98"], "yeseg": ["83.12", "65.48"]},
    "table4_mffm": {"swjtu": ["68.62", "47.38"], "yeseg": ["83.49", "65.69"]},
    "table4_mfrm": {"swjtu": ["69.05", "47.12"], "yeseg": ["83.92", "66.13"]},
    "table5_a": {"swjtu": ["68.31", "47.99"], "yeseg": ["84.97", "64.79"]},
    "table5_b": {"swjtu": ["69.21", "48.36"], "yeseg": ["85.23", "65.39"]},
    "table5_c": {"swjtu": ["68.78", "48.53"], "yeseg": ["85.17", "65.54"]},
}
WITHOUT = {
    "table4_plain": {"rectification", "exchange"},
    "table4_mffm": {"rectification"},
    "table4_mfrm": {"exchange"},
    "table5_a": {"class words", "scene"},
    "table5_b": {"scene"},
    "table5_c": {"class words"},
}

WIDTH, EMBED, CLIP_B, CLIP_VISION_B = 768, 512, 149_620_737, 86_192_640


@functools.cache
def built(path, *options):
    """A configuration and its model without memory behind it."""
    cfg = load_config(str(path), [*NO_WEIGHT_FILES, *options])
    with torch.device("meta"):
        return cfg, META_ARCH_REGISTRY.get("TSMNet")(cfg)


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def test_every_figure_of_both_tables_has_its_file_and_stands_in_it_and_in_the_index():
    assert {path.stem for path in ROWS} == {f"{row}_{data}" for row in FIGURES for data in DATA}
    for row, figures in FIGURES.items():
        (line,) = [line for line in INDEX.read_text().splitlines() if f"({'ablations/' + row}_swjtu.yaml)" in line]
        assert re.findall(r"\d\d\.\d\d", line) == figures["swjtu"] + figures["yeseg"]
        for data, pair in figures.items():
            first, second, third, *_ = (FOLDER / f"ablations/{row}_{data}.yaml").read_text().splitlines()
            assert first.startswith(f"# TSMNet, Table {row[5]}, ") and re.findall(r"\d\d\.\d\d", second) == pair
            assert third == f"_BASE_: ../tsmnet_{data}.yaml"


def test_the_index_links_to_files_that_exist_and_to_every_file():
    links = re.findall(r"\]\(([^)#]+)\)", INDEX.read_text())
    assert [link for link in links if not (INDEX.parent / link).exists()] == []
    own = {path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*.yaml") if path.parent.name != "data"}
    assert own <= {*links}


@pytest.mark.parametrize("path", [*ROWS, MAIN, FOLDER / "tsmnet_yeseg.yaml"], ids=lambda path: path.stem)
def test_a_row_differs_in_what_it_is_named_for(path):
    cfg = load_config(str(path))
    data = DATA[path.stem.rpartition("_")[2]]
    assert cfg.DATASETS.TRAIN[0] == f"{data}_train" and cfg.DATASETS.TEST[0] == f"{data}_val"
    if "yeseg" in path.stem:  # as large as the others
        return
    _, model = built(path)
    missing = {
        "rectification": model.towers.rectification is None,
        "exchange": not model.towers.fusion.paths,
        "class words": model.context_decoder is None,
        "scene": model.scene_fusion is None and model.scene_contrast is None,
    }
    row = path.stem.removesuffix("_swjtu")
    assert {name for name, gone in missing.items() if gone} == WITHOUT.get(row, set())
    assert model.reads_descriptions != missing["scene"]
    assert model.closed == missing["class words"] and model.classes == (7 if model.closed else 0)


def test_both_towers_are_clips_and_the_second_is_cut_behind_what_is_read():
    cfg, model = built(MAIN)
    assert count(model.vision_language) == CLIP_B
    assert count(model.towers.sar_tower) == CLIP_VISION_B - 2 * WIDTH - WIDTH * EMBED  # without the last norm and projection
    assert model.towers.tower_levels.blocks == (4, 6, 8, 12) and model.towers.strides == (4, 8, 16, 32)
    solver = cfg.SOLVER
    assert math.isclose(solver.BASE_LR, 1e-4) and math.isclose(solver.VISION_LANGUAGE_MULTIPLIER, 0.1)
    assert not any(parameter.requires_grad for parameter in model.vision_language.text_tower.parameters())
    assert model.context.vectors.shape == (8, 512)
    assert f"{count(model) / 1e6:.1f} million parameters" in INDEX.read_text()
    trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    assert f"{trained / 1e6:.1f} million train" in INDEX.read_text()


def test_the_copied_tower_shares_no_weight_with_the_first():
    _, model = built(MAIN)
    assert not {*model.towers.parameters()} & {*model.vision_language.parameters()}


@pytest.mark.parametrize("path", [MAIN, CODE], ids=["text prior", "concat"])
def test_scores_are_four_to_a_patch(path, monkeypatch):
    monkeypatch.setattr(torch, "autocast", lambda *args, **kwargs: contextlib.nullcontext())  # unknown to the meta device
    _, model = built(path)
    pyramid = [torch.zeros(2, 256, 256 // stride, 256 // stride, device="meta") for stride in (4, 8, 16, 32)]
    levels = model.pyramid.laterals
    beside = 7 if path == CODE else EMBED
    assert [lateral.in_channels for lateral in levels] == [WIDTH, WIDTH, WIDTH + beside, WIDTH]
    with torch.no_grad():
        features = model.head(pyramid)
        assert features.shape == (2, 256, 64, 64)
        words = torch.zeros(2, 7, EMBED, device="meta")
        logits = model.classifier(features) if path == CODE else model.classifier(features, words)
    assert logits.shape == (2, 7, 64, 64)
    assert isinstance(model.classifier, torch.nn.Conv2d if path == CODE else CosineClassifier)


def test_the_authors_code_weighs_its_losses_otherwise_and_shows_sar_no_word():
    _, ours = built(MAIN)
    _, theirs = built(CODE)
    assert vars(ours.weights) == {"object": 1.0, "scene": 1.0, "ce": 1.0, "dice": 1.0}
    assert vars(theirs.weights) == {"object": 0.4, "scene": 1.0, "ce": 1.0, "dice": 0.0}
    assert ours.score_projection is not None and theirs.score_projection is None


def test_bert_reads_descriptions_where_it_is_asked_to(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    (tmp_path / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "ship"]))
    _, model = built(BERT, "MODEL.TEXT.WEIGHTS", str(tmp_path), "MODEL.WEIGHTS", "whole.pth")
    assert model.scene_encoder.dim == 768 and not any(p.requires_grad for p in model.scene_encoder.parameters())
    assert model.scene_fusion[0].attn.k.in_features == 768


def test_a_model_says_on_which_scale_it_learnt_from_sar():
    assert built(MAIN)[1].sar_scale == "8bit"
    assert built(MAIN, "MODEL.TSMNET.SAR.SCALE", "db", "MODEL.TSMNET.SAR.PIXEL_MEAN", "[-11.0]")[1].sar_scale == "db"


def test_what_only_training_does_contradicts_no_weights(tmp_path):
    from safetensors.torch import save_file

    from ovrs.modeling.header import about_configuration

    cfg = load_config(str(MAIN))
    save_file({"a": torch.zeros(1)}, tmp_path / "a.safetensors", about_configuration(cfg))
    other = ["MODEL.TSMNET.TRAINING.DROP_MODALITY", "0.3", "MODEL.TEXT.MAX_TOKENS", "9", "MODEL.MAFN.HEADS", "2"]
    assert contradictions(load_config(str(MAIN), other), tmp_path / "a.safetensors") == []
    (wrong,) = contradictions(load_config(str(MAIN), ["MODEL.TSMNET.RECTIFICATION", "none"]), tmp_path / "a.safetensors")
    assert wrong == "MODEL.TSMNET.RECTIFICATION is 'none', the weights are of 'sequential'"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["MODEL.TSMNET.MODALITIES", "radar"], "MODALITIES is 'radar'; choose both, optical, sar"),
        (["MODEL.TSMNET.RECTIFICATION", "some"], "choose sequential, parallel, none"),
        (["MODEL.TSMNET.SCORE_FUSION", "sum"], "choose text_prior, concat"),
        (["MODEL.TSMNET.MODALITIES", "sar", "MODEL.TSMNET.SCORE_SOURCE", "optical"], "choose fused"),
        (["MODEL.TSMNET.SCENE_ENCODER", "minilm"], "but MODEL.TEXT.NAME is 'bert'"),
        (["MODEL.TSMNET.LAYERS", "[3, 5, 7]"], "give 4 layers, one a level"),
        (["MODEL.TSMNET.LAYERS", "[4, 6, 8, 13]"], "then blocks 1 to 12"),
        (["MODEL.TSMNET.SAR.PIXEL_MEAN", "[1.0, 2.0]"], "one entry a polarisation"),
        (["MODEL.TSMNET.SAR.SCALE", "amplitude"], "SAR.SCALE is 'amplitude'; choose 8bit, db"),
        (["MODEL.TSMNET.SAR.PIXEL_MEAN", "[-11.0]"], r"\[-11.0\] is none of 0..255 as SCALE 8bit says"),
        (["MODEL.TSMNET.SCALES", "[1.0]"], "that of the optical levels and that of SAR's"),
        (["MODEL.TSMNET.TRAINING.DROP_MODALITY", "2.0"], "it is a share"),
        (["MODEL.TSMNET.TRAINING.SCENE_WEIGHT", "-1.0"], "SCENE_WEIGHT is -1.0"),
        (["MODEL.TSMNET.TRAINING.CE_WEIGHT", "0.0", "MODEL.TSMNET.TRAINING.DICE_WEIGHT", "0.0"], "nothing trains the head"),
        (["MODEL.TSMNET.TEMPERATURE", "0.0"], "it must be above 0"),
        (["MODEL.TSMNET.DIM", "0"], "it must be 1 or above"),
        (["MODEL.VISION_LANGUAGE.ROTATIONS", "[0, 1]"], r"ROTATIONS must be \[0\]"),
        (["MODEL.VISION_LANGUAGE.NAME", "ViT-L-14"], "patches of 14 pixels"),
        (["MODEL.VISION_LANGUAGE.NAME", "ViT-B-16-SigLIP"], "CLIP's vision transformers alone"),
        (["MODEL.VISION_LANGUAGE.NAME", "small", "MODEL.TSMNET.LAYERS", "[1, 2, 3, 4]"], "the text tower is not CLIP's"),
        (["MODEL.TSMNET.SCORE_FUSION", "concat", "DATASETS.TRAIN", "()"], "DATASETS.TRAIN is empty: the head is bound"),
        (
            ["MODEL.TSMNET.SCORE_FUSION", "concat", "DATASETS.TRAIN", "('swjtu_vl_train', 'scenes_train')"],
            "have different ones; MODEL.TSMNET.CLASS_WORDS True",
        ),
    ],
)
def test_what_cannot_be_built_is_named(options, message):
    cfg = load_config(str(MAIN), options)
    with torch.device("meta"), pytest.raises(ConfigError, match=message):
        META_ARCH_REGISTRY.get("TSMNet")(cfg)
