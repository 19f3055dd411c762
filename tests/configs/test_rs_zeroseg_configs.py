"""RS-ZeroSeg's configurations at their real size, without memory behind it, and what each row of its tables changes."""

import contextlib
import functools
import re
from pathlib import Path

import pytest
import torch
from detectron2.modeling import META_ARCH_REGISTRY
from shrunk import NO_WEIGHT_FILES

import ovrs.modeling.systems  # noqa: F401 - registers them with Detectron2
from ovrs.config import load_config
from ovrs.data.catalog import vocabulary_of
from ovrs.errors import ConfigError

CONFIGS = Path(__file__).parents[2] / "configs"
FOLDER = CONFIGS / "rs_zeroseg"
INDEX = FOLDER / "README.md"
MAIN = FOLDER / "rs_zeroseg_vitl14_dino.yaml"
ENCODERS = sorted(FOLDER.glob("*.yaml"))
FILES = sorted(FOLDER.rglob("*.yaml"))
MODES = ("freeze", "attention", "full")

# The preprint's Tables 2, 3, 5 and 6: average mIoU.
FIGURES = {
    "rs_zeroseg_vitl14_dino": "31.69",
    "rs_zeroseg_vitb16_dino": "30.85",
    "rs_zeroseg_vitb32_dino": "29.33",
    "table2_base_dsfe": "26.43",
    "table2_without_mscam": "28.08",
    "table2_without_carh": "29.40",
    "table3_clip_freeze_remote_full": "16.28",
    "table3_clip_freeze_remote_attention": "20.80",
    "table3_clip_freeze_remote_freeze": "22.28",
    "table3_clip_full_remote_full": "15.65",
    "table3_clip_full_remote_attention": "26.40",
    "table3_clip_full_remote_freeze": "21.88",
    "table3_clip_attention_remote_full": "27.18",
    "table3_clip_attention_remote_attention": "28.20",
    "table6_lambda_00": "30.20",
    "table6_lambda_01": "30.88",
    "table6_lambda_03": "31.38",
    "table6_lambda_04": "30.83",
}

# Parameters as published: CLIP with both towers; of DINO's encoders without the last norm, which nobody reads, and of DINOv2
# without its mask token.
CLIP = {"ViT-B-32-quickgelu": 151_277_313, "ViT-B-16-quickgelu": 149_620_737, "ViT-L-14-336-quickgelu": 427_944_193}
DINO = {
    "timm:vit_base_patch16_224.dino": 85_798_656 - 2 * 768,
    "timm:vit_base_patch14_dinov2": 86_580_480 - 3 * 768,
    "timm:vit_large_patch16_dinov3.sat493m": 303_077_376,
}


@functools.cache
def built(path, *options):
    """The configuration of a file, and the model without memory behind it."""
    cfg = load_config(str(path), [*NO_WEIGHT_FILES, *options])
    with torch.device("meta"):
        return cfg, META_ARCH_REGISTRY.get(cfg.MODEL.META_ARCHITECTURE)(cfg)


def count(parameters):
    return sum(parameter.numel() for parameter in parameters)


# ------------------------------------------------------------------ files


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_file_trains_the_recipe_of_the_preprint(path):
    cfg = load_config(str(path))
    solver = cfg.SOLVER
    assert cfg.MODEL.META_ARCHITECTURE == "RSZeroSeg" and cfg.DATASETS.TRAIN == ("landdiscover50k_train",)
    assert cfg.DATASETS.TEST == ("flair_val", "fast_val", "potsdam_val", "floodnet_val")
    assert cfg.DATASETS.TRAIN_CLASSES == "all" and cfg.INPUT.CROP_SIZE == 384 and cfg.TEST.INFERENCE == "catseg"
    assert (solver.MAX_ITER, solver.IMS_PER_BATCH, solver.OPTIMIZER, solver.BASE_LR) == (30000, 4, "AdamW", 2e-4)
    assert (solver.VISION_LANGUAGE_MULTIPLIER, solver.GUIDANCE_MULTIPLIER, solver.WEIGHT_DECAY) == (0.01, 0.01, 1e-4)
    assert (solver.LR_SCHEDULER_NAME, solver.WARMUP_ITERS) == ("WarmupCosineLR", 0)
    assert (solver.CLIP_GRADIENTS.CLIP_TYPE, solver.CLIP_GRADIENTS.CLIP_VALUE) == ("full_model", 0.01)
    assert cfg.MODEL.LOSS.REDUCTION == "mean" and cfg.MODEL.LOSS.IGNORED == "mask"


def test_it_trains_on_40_classes_and_is_tested_on_12_37_5_and_those_of_floodnet():
    cfg = load_config(str(MAIN))
    sizes = [vocabulary_of(name).num_classes for name in (*cfg.DATASETS.TRAIN, *cfg.DATASETS.TEST)]
    assert sizes[:4] == [40, 12, 37, 5] and sizes[4] in (9, 10)  # without its background or with it


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_says_whose_reading_it_is_and_which_figure_its_row_has(path):
    about = " ".join(line for line in path.read_text().splitlines() if line.startswith("#"))
    figures = re.findall(r"\d\d\.\d\d", about)
    assert about.startswith("# RS-ZeroSeg")
    if path.stem not in FIGURES:
        assert not figures and ("Not in the preprint" in about or "without figures" in about)
    elif path.parent != FOLDER:
        assert figures == [FIGURES[path.stem]] and f"Table {path.stem[5]}, " in about
    else:
        (line,) = [line for line in INDEX.read_text().splitlines() if f"| [{path.name}]({path.name}) |" in line]
        assert line.endswith(f"| {FIGURES[path.stem]} |")


def test_the_index_names_every_file_that_is_no_row_of_a_table_and_links_to_files_that_exist():
    links = re.findall(r"\]\(([^)#]+)\)", INDEX.read_text())
    assert links and [link for link in links if not (FOLDER / link).exists()] == []
    missing = {str(path.relative_to(FOLDER)) for path in FILES} - {*links}
    assert all(re.match(r"ablations/table[36]_", name) for name in missing)


def test_each_combination_of_freezing_has_a_file_that_is_named_after_it():
    names = [MAIN, *(path for path in FILES if path.stem.startswith("table3"))]
    found = {}
    for path in names:
        cfg = load_config(str(path))
        found[cfg.MODEL.VISION_LANGUAGE.TRAIN, cfg.MODEL.GUIDANCE.TRAIN] = path.stem
    assert len(names) == 9 and found.keys() == {(one, other) for one in MODES for other in MODES}
    assert found.pop(("attention", "freeze")) == MAIN.stem
    assert all(stem == f"table3_clip_{one}_remote_{other}" for (one, other), stem in found.items())


def test_lambda_goes_from_0_to_0_4():
    rows = [path for path in FILES if path.stem.startswith("table6")]
    weights = {path.stem[-2:]: load_config(str(path)).MODEL.RS_ZEROSEG.ALIGN_LOSS_WEIGHT for path in rows}
    assert weights == {"00": 0.0, "01": 0.1, "03": 0.3, "04": 0.4}
    assert load_config(str(MAIN)).MODEL.RS_ZEROSEG.ALIGN_LOSS_WEIGHT == 0.2


# ------------------------------------------------------------------ real size


@pytest.mark.parametrize("path", ENCODERS, ids=lambda path: path.stem)
def test_three_scales_are_48_24_and_12_patches_and_the_streams_meet_on_24_by_24(path, monkeypatch):
    monkeypatch.setattr(torch, "autocast", lambda *args, **kwargs: contextlib.nullcontext())  # unknown to the meta device
    cfg, model = built(path)
    model.eval()
    seen = {}
    watched = {"fusion": model.fusion, **{f"level {i}": level for i, level in enumerate(model.multi_scale.levels)}}
    hooks = [
        module.register_forward_hook(lambda _, given, result, name=name: seen.update({name: (given, result)}))
        for name, module in watched.items()
    ]
    side = cfg.MODEL.FIXED_SIZE or cfg.INPUT.CROP_SIZE
    text = torch.zeros(5, len(model.templates), model.vision_language.dim, device="meta")
    with torch.no_grad():
        logits = model.logits(torch.zeros(1, 3, side, side, device="meta"), text)
    for hook in hooks:
        hook.remove()
    (vision, remote), streams = seen["fusion"]
    grid = 12 if "vitb32" in path.stem else 24
    assert vision.shape == (1, 768 if "vitl14" in path.stem else 512, grid, grid)
    assert remote.shape == (1, 1024 if "dinov3" in path.stem else 768, 24, 24)
    assert streams.vision.shape == streams.fused.shape == (1, 256, grid, grid) and streams.remote.shape == (1, 256, 24, 24)
    assert [seen[f"level {i}"][1].shape for i in range(3)] == [(1, 256, n, n) for n in (48, 24, 12)]
    assert logits.shape == (1, 5, 4 * grid, 4 * grid)
    assert len(model.guidance_encoder.encoder.blocks) == cfg.MODEL.GUIDANCE.LAYERS[0] in (12, 24)  # the last one is read


@pytest.mark.parametrize("path", ENCODERS, ids=lambda path: path.stem)
def test_a_model_has_as_many_parameters_as_its_encoders_and_the_equations_should(path):
    cfg, model = built(path)
    clip, remote = CLIP[cfg.MODEL.VISION_LANGUAGE.NAME], DINO[cfg.MODEL.GUIDANCE.NAME]
    words = 768 if "vitl14" in path.stem else 512
    fusion = (words + 1) * 256 + ((1024 if "dinov3" in path.stem else 768) + 1) * 256 + (9 * 512 + 1) * 256
    levels = 3 * (2 * 2 * 256 + 4 * (256 + 1) * 256)
    aggregation = 9 * 4 * 256 * 128 + 9 * 128 * 128 + 2 * 2 * 128 + (9 * 128 + 1) * 128
    gate = (words + 1) * words + (128 + 1) * words + 2
    projection = (9 * 128 + 1) * 32 + 32 + 1
    ours = fusion + levels + aggregation + gate + projection + (128 + 1) * words
    assert count(model.parameters()) == clip + remote + ours
    image, read, text = (1024, 24, 768) if "vitl14" in path.stem else (768, 12, 512)
    attention = (2 * read - 1) * image**2 + 2 * 12 * text**2  # the last block of the image tower attends to nothing
    assert count(p for p in model.parameters() if p.requires_grad) == ours + attention


def test_the_gate_is_one_key_away_in_aeroseg():
    keys = ("MODEL.WEIGHTS", "", "MODEL.REFINEMENT.TEXT_GATE")
    assert built("mini", *keys, "True")[1].text_gate is not None and built("mini", *keys, "False")[1].text_gate is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["MODEL.VISION_LANGUAGE.ROTATIONS", "[0, 1]"], r"ROTATIONS must be \[0\]"),
        (["MODEL.GUIDANCE.NAME", "clip"], "needs a second encoder"),
        (["MODEL.GUIDANCE.LAYERS", "[1, 2]"], r"needs 1 entry \(F_RSI\), got \[1, 2\]"),
        (["MODEL.GUIDANCE.TRAIN", "attention"], "no attention layers"),
        (["MODEL.RS_ZEROSEG.SCALES", "[1.0, 0.0]"], "from 0.001 to 1000"),
        (["MODEL.RS_ZEROSEG.SCALES", "['a']"], "from 0.001 to 1000"),
        (["MODEL.RS_ZEROSEG.HEAD", "mlp"], "choose carh, cosine or decoder"),
        (["MODEL.RS_ZEROSEG.ALIGN_LOSS", "pixel"], "choose image or region"),
        (["MODEL.RS_ZEROSEG.ALIGN_LOSS_WEIGHT", "-0.2"], "0 or above"),
        (["MODEL.RS_ZEROSEG.HEADS", "7"], r"DIM \(64\) must be a multiple of MODEL.RS_ZEROSEG.HEADS \(7\)"),
        (["MODEL.RS_ZEROSEG.FEATURE_DIM", "50"], "multiple of 16"),
        (["MODEL.RS_ZEROSEG.GATE_DIM", "-3"], "GATE_DIM is -3"),
        (["MODEL.RS_ZEROSEG.HEAD", "decoder", "MODEL.COST.KERNEL", "4"], "must be odd"),
        (["MODEL.RS_ZEROSEG.HEAD", "decoder", "MODEL.DECODER.DIMS", "[32]"], "needs two entries"),
        (["MODEL.RS_ZEROSEG.HEAD", "decoder", "MODEL.GUIDANCE.DECODER_DIMS", "[64, 64]"], "below the channels"),
        (["MODEL.LOSS.IGNORED", "maks"], "choose negative or mask"),
        (["MODEL.LOSS.REDUCTION", "sum"], "choose mean or class_sum"),
    ],
)
def test_what_cannot_be_built_is_named(options, message):
    with pytest.raises(ConfigError, match=message):
        built("mini/rs_zeroseg", *options)
