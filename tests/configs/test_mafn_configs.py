"""MAFN's configurations at their real size, without memory behind it, and what each row of its tables changes."""

import contextlib
import functools
import json
import re
from pathlib import Path

import pytest
import torch
from detectron2.modeling import META_ARCH_REGISTRY
from shrunk import NO_WEIGHT_FILES

import ovrs.modeling.systems  # noqa: F401 - registers them with Detectron2
from ovrs.config import load_config
from ovrs.data.referring.table import REFSEGRS, RRSISD
from ovrs.engine.optimizer import build_optimizer
from ovrs.errors import ConfigError, WeightsError
from ovrs.modeling.build_backbones import build_text_encoder
from ovrs.modeling.encoders.text_tokens import TextTokens

FOLDER = Path(__file__).parents[2] / "configs/mafn"
INDEX = FOLDER / "README.md"
MAIN, PARITY, REFSEG = (FOLDER / f"mafn_swinb{end}.yaml" for end in ("", "_parity", "_refsegrs"))
ROWS = sorted((FOLDER / "ablations").glob("*.yaml"))
FILES = [MAIN, PARITY, REFSEG, *ROWS]

# The paper's Tables II and III, RRSIS-D, validation: oIoU and mIoU.
FIGURES = {
    "mafn_swinb": ["78.33", "66.03"],
    "table2_default": ["77.77", "64.80"],
    "table2_correlation": ["77.46", "64.92"],
    "table2_noise": ["77.88", "65.14"],
    "table3_kernels_1": ["77.07", "64.94"],
    "table3_kernels_13": ["77.79", "64.54"],
    "table3_kernels_1357": ["78.53", "65.75"],
}
KERNELS = {"table3_kernels_1": [1], "table3_kernels_13": [1, 3], "table3_kernels_1357": [1, 3, 5, 7]}
WITHOUT = {
    "table2_default": {"noise", "correlation", "refinement"},
    "table2_correlation": {"noise", "refinement"},
    "table2_noise": {"refinement"},
}

CHANNELS, DEPTHS, WORDS, DECODER = (128, 256, 512, 1024), (2, 2, 18, 2), 768, 512
SWIN_B = 86_878_584 - 2 * 1024  # features as published, without the last norm
BERT_BASE = 109_482_240 - (768 + 1) * 768  # without its pooler
BERT_LAYER = 7_087_872


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The configuration of a file, and the model without memory behind it; of BERT settings and vocabulary alone."""
    folder = tmp_path_factory.mktemp("bert")
    (folder / "config.json").write_text(json.dumps({"model_type": "bert"}))  # the sizes of BERT-base are the defaults
    (folder / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "ship", *map(str, range(30517))]))
    whole = ["MODEL.TEXT.WEIGHTS", str(folder), "MODEL.WEIGHTS", "whole.pth"]

    @functools.cache
    def build(path):
        cfg = load_config(str(path), [*NO_WEIGHT_FILES, *whole])
        with torch.device("meta"):
            return cfg, META_ARCH_REGISTRY.get(cfg.MODEL.META_ARCHITECTURE)(cfg)

    return build


def count(parameters):
    return sum(parameter.numel() for parameter in parameters)


# ------------------------------------------------------------------ files


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_file_trains_the_recipe_of_the_paper(path):
    cfg = load_config(str(path))
    solver, data = cfg.SOLVER, REFSEGRS if path == REFSEG else RRSISD
    assert cfg.MODEL.META_ARCHITECTURE == "MAFN" and cfg.DATASETS.TASK == "referring" and cfg.MODEL.FIXED_SIZE == 480
    assert [*cfg.DATASETS.TRAIN, *cfg.DATASETS.TEST] == [f"{data.name}_train", f"{data.name}_val"]
    assert (solver.OPTIMIZER, solver.BASE_LR, solver.WEIGHT_DECAY) == ("AdamW", 3e-5, 0.01)
    assert (solver.LR_SCHEDULER_NAME, solver.POLY_POWER, solver.WARMUP_ITERS) == ("WarmupPolyLR", 0.9, 0)
    assert not solver.CLIP_GRADIENTS.ENABLED
    images = cfg.INPUT
    assert (images.ERASED_SHARE, images.ERASED_BOXES, images.ERASED_SIZE) == (0.2, (20, 60), 32)
    assert not (images.FLIP or images.FLIP_VERTICAL or images.QUARTER_TURNS or images.COLOR_JITTER or images.CROP_SIZE)
    assert (images.MIN_SIZE_TRAIN, images.SCALE_JITTER, cfg.TEST.INFERENCE) == ((0,), (), "whole")
    assert (cfg.TEST.REFERRING.EVAL_AT, cfg.TEST.REFERRING.EMPTY_UNION) == ("input", 0)
    assert cfg.MODEL.IMAGE.WEIGHTS == cfg.MODEL.TEXT.WEIGHTS == cfg.MODEL.WEIGHTS == ""
    assert (cfg.MODEL.TEXT.TRAIN, cfg.MODEL.TEXT.MAX_TOKENS, cfg.MODEL.IMAGE.DROP_PATH) == ("published", 20, 0.3)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_40_epochs_are_validated_one_by_one(path):
    cfg = load_config(str(path))
    batch, period = cfg.SOLVER.IMS_PER_BATCH, cfg.TEST.EVAL_PERIOD
    sentences = 4420 - 1817 - 431 if path == REFSEG else RRSISD.expected_counts["train"]
    assert {cfg.SOLVER.MAX_ITER / 40, cfg.SOLVER.CHECKPOINT_PERIOD} == {period}
    if path == PARITY:  # two processes, the last of whose batches are never filled
        assert batch == 2 * 8 and period == -(-sentences // 2) // 8
    else:
        assert batch == 8 and period == -(-sentences // 8)
    metric = "oIoU" if path == PARITY else "mIoU"
    assert metric == cfg.TEST.BEST_METRIC


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_says_which_row_it_is_and_the_index_gives_the_same_figures(path):
    about = " ".join(line for line in path.read_text().splitlines() if line.startswith("#"))
    (line,) = [line for line in INDEX.read_text().splitlines() if f"| [{path.name}](" in line]
    figures = re.findall(r"\d\d\.\d\d", about)
    assert re.findall(r"\| (\d\d\.\d\d) (?=\|)", line) == FIGURES.get(path.stem, [])
    if path in ROWS:
        assert about.startswith(f"# MAFN, Table {'I' * int(path.stem[5])}, ") and figures == FIGURES[path.stem]
    else:
        assert about.startswith("# MAFN ") and not figures


def test_the_index_links_to_files_that_exist():
    links = re.findall(r"\]\(([^)#]+)\)", INDEX.read_text())
    assert links and [link for link in links if not (FOLDER / link).exists()] == []
    assert {str(path.relative_to(FOLDER)) for path in FILES} <= {*links}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_builds_the_parts_of_its_row(path):
    keys, without = load_config(str(path)).MODEL.MAFN, WITHOUT.get(path.stem, set())
    assert {"noise", "correlation", "refinement"} - without == {
        part
        for part, there in (("noise", keys.NOISE), ("correlation", keys.CORRELATION), ("refinement", keys.REFINEMENT.ENABLED))
        if there
    }
    assert list(keys.REFINEMENT.KERNELS) == KERNELS.get(path.stem, [1, 3, 5]) and keys.CROSS_SCALE
    told = ["lang", "conv"] if path == PARITY else ["fused", "state"]
    assert told == [keys.DECODER_INPUT, keys.REFINEMENT.SUM]
    assert (keys.RADIUS, keys.WINDOWS, keys.CROSS_SCALE_GRID, keys.DECODER_DIM) == (1, [3, 5, 7], [15, 15], 512)


# ------------------------------------------------------------------ real size


def noise():
    return sum(depth * (6 * dim**2 + 7 * dim) for dim, depth in zip(CHANNELS, DEPTHS, strict=True))


def correlation(dim):
    """Eq. 10 and Fig. 2: a convolution, three windows and their weights, two convolutions and the channel attention."""
    gmlps = sum(3 * dim**2 + 7 * dim + side**4 + side**2 for side in (3, 5, 7))
    windows = 2 * dim + gmlps + dim**2 + dim // 4 + 3 * dim + (dim + 1) * dim
    channels = 2 * dim + 2 * (9 * dim + 1) * dim + dim**2 // 2 + dim // 4 + dim
    return ((2 * dim + 9) * 9 + 1) * dim + windows + channels


def gated(dim):
    """Eqs. 6, 7 and 9, and what follows them: all that the last stage is spared where the decoder reads G_l."""
    return 28 + 4 * dim**2


def language(dim):
    """Eq. 8, and the norm of what the decoder reads."""
    return 4 * dim**2 + 2 * dim + 2 * WORDS * dim + dim


def cross_scale():
    total, inner = sum(CHANNELS), sum(CHANNELS) // 4

    def mlp(dim):
        return 4 * dim**2 + 42 * dim

    coarser = 4 * inner + (9 + 25) * inner
    attention = 4 * inner + coarser + inner * 1024 + 2 * 1024 + 9 * 512 + (314 + 1) * 225 + 512 * inner + inner**2
    mlps = mlp(inner) + sum(mlp(dim // 4) for dim in CHANNELS)
    return 2 * total * inner + 2 * attention + mlps + sum(3 * (dim**2 + 2 * dim) for dim in CHANNELS)


def refinement(kernels):
    dim = DECODER
    scales = sum(2 * dim + (kernel**2 * dim if kernel > 1 else 0) for kernel in kernels)
    rotated = 9 * dim + 2 * dim + 2 * dim + 1 + 9 * dim**2
    return 2 * (dim**2 + 2 * dim) + scales + rotated


def decoder(refined):
    laterals = [1024 + 512, DECODER + 256, DECODER + 128]
    return sum(9 * wide * DECODER + 2 * DECODER + refined for wide in laterals) + DECODER + 1


@pytest.mark.parametrize("path", [MAIN, PARITY, *ROWS], ids=lambda path: path.stem)
def test_a_model_has_as_many_parameters_as_its_encoders_and_the_equations_should(path, built):
    _, model = built(path)
    without = WITHOUT.get(path.stem, set())
    ours = 0 if "noise" in without else noise()
    for number, dim in enumerate(CHANNELS):
        ours += language(dim)
        if path != PARITY or number < 3:
            ours += gated(dim) + (0 if "correlation" in without else correlation(dim))
    plain = 9 * DECODER**2 + 2 * DECODER
    ours += cross_scale() + decoder(plain if "refinement" in without else refinement(KERNELS.get(path.stem, [1, 3, 5])))
    assert count(model.parameters()) == SWIN_B + BERT_BASE + ours
    assert count(model.image_encoder.parameters()) == SWIN_B + (0 if "noise" in without else noise())
    trained = count(p for p in model.parameters() if p.requires_grad)
    assert trained == SWIN_B + 10 * (BERT_LAYER - 768) + ours  # without biases of keys


def test_what_the_authors_code_builds_for_nothing_is_absent(built):
    spared = count(built(MAIN)[1].parameters()) - count(built(PARITY)[1].parameters())
    assert spared == gated(1024) + correlation(1024) and round(spared / 1e6, 1) == 54.1
    assert round(correlation(1024) / 1e6, 1) == 49.9


def test_the_index_tells_how_large_the_models_are(built):
    sizes = [f"{count(built(path)[1].parameters()) / 1e6:.1f}" for path in (MAIN, PARITY)]
    assert f"has {sizes[0]} million parameters, {sizes[1]} million as in" in INDEX.read_text()


def test_stages_have_120_60_30_and_15_patches_a_side_and_so_has_the_mask_the_finest(built, monkeypatch):
    monkeypatch.setattr(torch, "autocast", lambda *args, **kwargs: contextlib.nullcontext())  # unknown to the meta device
    _, model = built(MAIN)
    seen = []
    hooks = [part.register_forward_hook(lambda _, given, result: seen.append(result.lateral.shape)) for part in model.fusions]
    text = TextTokens(
        torch.zeros(2, 9, WORDS, device="meta"),
        torch.ones(2, 9, dtype=torch.bool, device="meta"),
        torch.zeros(2, WORDS, device="meta"),
    )
    with torch.no_grad():
        logits = model.eval().logits(torch.zeros(1, 3, 480, 480, device="meta"), text)
    for hook in hooks:
        hook.remove()
    assert seen == [(2, dim, side, side) for dim, side in zip(CHANNELS, (120, 60, 30, 15), strict=True)]
    assert logits.shape == (1, 2, 120, 120)


def test_everything_learns_at_one_rate_and_norms_and_positions_do_not_decay(built):
    cfg, model = built(MAIN)
    names = {parameter: name for name, parameter in model.named_parameters()}
    found = build_optimizer(cfg, model).param_groups
    groups = [(group["lr"], group["weight_decay"], [names[p] for p in group["params"]]) for group in found]
    assert {(rate, decay) for rate, decay, _ in groups} == {(3e-5, 0.01), (3e-5, 0.0)}
    still = {name for _, decay, group in groups for name in group if not decay}
    decaying = {name for _, decay, group in groups for name in group if decay}
    assert any("relative_position_bias_table" in name for name in still)
    assert not any("relative_position_bias_table" in name or "LayerNorm" in name for name in decaying)
    assert any(name.endswith("after_attention.key_noise") for name in decaying)  # as in the authors' code


def test_an_encoder_that_guides_the_stages_learns_at_the_rate_of_guidance():
    cfg = load_config("mini/mafn", [*NO_WEIGHT_FILES, "MODEL.GUIDANCE.TRAIN", "full", "MODEL.WEIGHTS", "whole.pth"])
    with torch.device("meta"):
        model = META_ARCH_REGISTRY.get("MAFN")(cfg)
    inside = {*model.guidance.encoder.parameters()}
    for group in build_optimizer(cfg, model).param_groups:
        slow = cfg.SOLVER.GUIDANCE_MULTIPLIER if group["name"] == "guidance_encoder" else 1
        assert group["lr"] == pytest.approx(cfg.SOLVER.BASE_LR * slow)
        assert {parameter in inside for parameter in group["params"]} == {group["name"] == "guidance_encoder"}


# ------------------------------------------------------------------ words need a vocabulary


def test_bert_is_asked_for_with_the_commands_that_give_it(tmp_path):
    with pytest.raises(ConfigError, match=r"ovrs.weights fetch bert/base-uncased, then MODEL.TEXT.WEIGHTS bert/base-uncased"):
        build_text_encoder(load_config(str(MAIN)))
    commands = " ".join(INDEX.read_text().split())
    assert "ovrs.weights fetch swin/B-12-384 bert/base-uncased" in commands
    assert "MODEL.IMAGE.WEIGHTS swin/B-12-384 MODEL.TEXT.WEIGHTS bert/base-uncased" in commands
    for weights, message in ((tmp_path, "config.json: cannot be read"), (tmp_path / "nowhere", "neither a weights file nor")):
        with pytest.raises(WeightsError, match=message):
            build_text_encoder(load_config(str(MAIN), ["MODEL.TEXT.WEIGHTS", str(weights)]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["MODEL.PROMPTS", "remote_sensing"], "MAFN reads a sentence once"),
        (["MODEL.FIXED_SIZE", "250"], "FIXED_SIZE is 250; MAFN needs a multiple of 32"),
        (["MODEL.MAFN.DECODER_INPUT", "both"], "choose fused or lang"),
        (["MODEL.MAFN.NOISE_START", "zero"], "choose published or identity"),
        (["MODEL.MAFN.REFINEMENT.SUM", "all"], "choose conv or state"),
        (["MODEL.MAFN.REFINEMENT.KERNELS", "[2]"], r"odd kernels, got \[2\]"),
        (["MODEL.MAFN.CROSS_SCALE_GRID", "[15]"], "give its height and width"),
        (["MODEL.MAFN.HEADS", "7"], "7 heads do not divide"),
        (["MODEL.MAFN.WINDOWS", "[1]"], "windows of side 2 or more"),
        (["MODEL.GUIDANCE.LAYERS", "[1, 2]"], r"needs 4 entries \(stage 1, stage 2, stage 3, stage 4\)"),
        (["MODEL.GUIDANCE.NAME", "clip"], "NAME clip is none"),
        (["MODEL.TEXT.NAME", "gpt"], "choose bert or minilm"),
        (["MODEL.TEXT.TRAIN", "full"], "'full' of MiniLM"),
        (["MODEL.IMAGE.NAME", "resnet"], "choose timm:<a Swin transformer> or small"),
        (["MODEL.IMAGE.WEIGHTS", "a.pth"], "small Swin transformer has none of its own"),
        (["MODEL.IMAGE.TRAIN", "half"], "choose freeze or full"),
    ],
)
def test_what_cannot_be_built_is_named(options, message):
    cfg = load_config("mini/mafn", [*NO_WEIGHT_FILES, *options])
    with torch.device("meta"), pytest.raises(ConfigError, match=message):
        META_ARCH_REGISTRY.get("MAFN")(cfg)
