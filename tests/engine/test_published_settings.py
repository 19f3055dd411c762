"""The published training settings, by the names of the parameters that they govern (sections 4.2 of AerOSeg and CAT-Seg)."""

import functools
from collections import Counter
from pathlib import Path

import pytest
import torch
from detectron2.modeling import META_ARCH_REGISTRY
from detectron2.solver import build_lr_scheduler

import ovrs.modeling.systems  # noqa: F401 - registers them with Detectron2
from ovrs.config import load_config
from ovrs.engine.optimizer import build_optimizer

CONFIGS = Path(__file__).parents[2] / "configs/aeroseg"
RATE, CLIP_RATE, DECAY = 2e-4, 2e-4 * 0.01, 1e-4


@functools.cache
def published():
    """(configuration, model without memory behind it, its optimizer)."""
    cfg = load_config(str(CONFIGS / "aeroseg_vitb16_saml.yaml"))
    with torch.device("meta"):
        model = META_ARCH_REGISTRY.get(cfg.MODEL.META_ARCHITECTURE)(cfg)
    return cfg, model, build_optimizer(cfg, model)


def groups_by_name():
    _, model, optimizer = published()
    names = {parameter: name for name, parameter in model.named_parameters()}
    return {names[p]: (g["lr"], g["weight_decay"], g["name"]) for g in optimizer.param_groups for p in g["params"]}


def test_of_clip_only_query_and_value_projections_learn_and_at_a_hundredth_of_the_rate():
    clip = {name: group for name, group in groups_by_name().items() if name.startswith("vision_language.")}
    assert {name.rsplit(".", 1)[1] for name in clip} == {"q_proj_weight", "v_proj_weight"}
    blocks = Counter("visual" if name.startswith("vision_language.visual.") else "text" for name in clip)
    # 12 blocks of two towers; the image tower's last block is read without attention, so its queries have no effect.
    assert blocks == {"visual": 23, "text": 24}
    assert set(clip.values()) == {(CLIP_RATE, DECAY, "vision_language")}


def test_sam_is_frozen():
    _, model, _ = published()
    assert not any(name.startswith("guidance_encoder.") for name in groups_by_name())
    assert sum(p.numel() for p in model.guidance_encoder.parameters()) > 300e6


def test_everything_else_learns_at_the_full_rate_and_only_norms_do_not_decay():
    _, model, _ = published()
    rest = {name: group for name, group in groups_by_name().items() if not name.startswith("vision_language.")}
    trained = {name for name, p in model.named_parameters() if p.requires_grad and not name.startswith("vision_language.")}
    assert set(rest) == trained
    assert {group[0] for group in rest.values()} == {RATE} and {group[2] for group in rest.values()} == {"head"}
    undecayed = {name for name, group in rest.items() if group[1] == 0}
    norms = (torch.nn.LayerNorm, torch.nn.GroupNorm)
    expected = {
        f"{path}.{name}"
        for path, module in model.named_modules()
        if isinstance(module, norms)
        for name, _ in module.named_parameters()
        if f"{path}.{name}" in rest
    }
    assert undecayed == expected and len(expected) > 20
    assert {group[1] for name, group in rest.items() if name not in undecayed} == {DECAY}


def test_the_optimizer_the_clip_and_the_batch_are_the_peers():
    cfg, _, optimizer = published()
    assert isinstance(optimizer, torch.optim.AdamW)
    assert (cfg.SOLVER.CLIP_GRADIENTS.CLIP_TYPE, cfg.SOLVER.CLIP_GRADIENTS.CLIP_VALUE) == ("full_model", 0.01)
    assert cfg.SOLVER.CLIP_GRADIENTS.ENABLED and cfg.SOLVER.IMS_PER_BATCH == 4
    assert cfg.SOLVER.ACCUMULATION_STEPS == 1 and cfg.SOLVER.EMA_DECAY == 0


def test_the_rate_falls_along_a_cosine_after_any_warm_up():
    cfg = load_config(str(CONFIGS / "aeroseg_vitb16_saml.yaml"), ["SOLVER.MAX_ITER", "100", "SOLVER.WARMUP_ITERS", "10"])
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=RATE)
    schedule = build_lr_scheduler(cfg, optimizer)
    rates = []
    for _ in range(100):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates[:11] == sorted(rates[:11]) and rates[0] < 0.01 * RATE
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[50] == pytest.approx(RATE * 0.5, rel=1e-6) and rates[-1] < 0.001 * RATE


@pytest.mark.parametrize(
    ("file", "data_set", "iterations"),
    [("", "isaid", 10000), ("_dlrsd", "dlrsd", 5000), ("_openearthmap", "openearthmap", 15000)],
)
def test_each_protocol_has_its_data_and_length(file, data_set, iterations):
    cfg = load_config(str(CONFIGS / f"aeroseg_vitb16_saml{file}.yaml"))
    assert ((f"{data_set}_train",), (f"{data_set}_val",)) == (cfg.DATASETS.TRAIN, cfg.DATASETS.TEST)
    assert iterations == cfg.SOLVER.MAX_ITER and cfg.DATASETS.TRAIN_CLASSES == "seen"
    others = load_config(str(CONFIGS / "aeroseg_vitb16_saml.yaml")).clone()
    for node in (cfg := cfg.clone(), others):
        node.defrost()
        node.DATASETS.TRAIN = node.DATASETS.TEST = ()
        node.SOLVER.MAX_ITER = 0
    assert cfg == others
