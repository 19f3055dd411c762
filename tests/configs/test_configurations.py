"""Every configuration: it loads, says nothing twice, builds at its real size, and does what its row of the paper says."""

import contextlib
import functools
import re
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
import yaml
from detectron2.modeling import META_ARCH_REGISTRY
from shrunk import NO_WEIGHT_FILES, SIDE, narrow_encoders, shrunk_config  # noqa: F401 - a fixture

import ovrs.modeling.systems  # noqa: F401 - registers them with Detectron2
from ovrs.config import load_config
from ovrs.data.catalog import vocabulary_of
from ovrs.data.description import read_description, read_document
from ovrs.data.referring.description import described_references
from ovrs.engine.optimizer import build_optimizer

ROOT = Path(__file__).parents[2] / "configs"
INDEX = ROOT / "aeroseg/README.md"
FILES = sorted(str(path.relative_to(ROOT)) for path in ROOT.rglob("*.yaml"))
CONFIGURATIONS = [name for name in FILES if {"VERSION", "_BASE_"} & yaml.safe_load((ROOT / name).read_text()).keys()]
CHILDREN = [name for name in CONFIGURATIONS if "_BASE_" in yaml.safe_load((ROOT / name).read_text())]
ROWS = [name for name in CONFIGURATIONS if name.startswith("aeroseg/ablations/")]
# Those that read sentences, SAR or prompts are in test_<system>_training.py.
ELSEWHERE = ("MAFN", "MetaSegNet", "TSMNet")
MINI = [
    n for n in CONFIGURATIONS if n.startswith("mini/") and load_config(str(ROOT / n)).MODEL.META_ARCHITECTURE not in ELSEWHERE
]

# The most keys in which a file may differ from the one that it is based on.
MOST_KEYS, MOST_KEYS_OF_A_ROW = 12, 3


class Size(NamedTuple):
    """Numbers of parameters; of the encoders all, in the last place those of the whole model that train."""

    vision_language: int
    guidance: int
    model: int
    trained: int


CLIP_B, CLIP_L, CLIP_L_336 = 149_620_737, 427_616_513, 427_944_193  # as published
SAM_L, SAM_H = 308_278_272, 637_026_048  # published image encoders
DINOV3_L = 303_077_376  # without its last norm
HIERA = 40_542_208  # Hiera-B+ without the last of its stages

# The public CAT-Seg has as many (tests/golden/catseg_keys.json), and OVRS 22,708 more. There 589,824 parameters more count as
# trained, 25.12 million: the last block's queries, which have no effect.
CATSEG, CATSEG_TRAINED = 154_289_378, 24_526_049
# On ViT-L/14 both upsamplings of guidance read 1024 channels instead of 768, guidance and text projections 768 instead of 512,
# and of CLIP 23 queries and 24 values of 1024 channels train in the image tower, 12 and 12 of 768 in the text tower.
CATSEG_L_MORE = 256 * (256 * 2**2 + 128 * 4**2 + 128 * 3**2 + 128)
CATSEG_L = CATSEG - CLIP_B + CLIP_L_336 + CATSEG_L_MORE
CATSEG_L_TRAINED = CATSEG_TRAINED + CATSEG_L_MORE + (47 * 1024**2 + 24 * 768**2) - (23 * 768**2 + 24 * 512**2)
SIZES = {
    "baselines/catseg_vitb16": Size(CLIP_B, 0, CATSEG, CATSEG_TRAINED),
    "baselines/ovrs_vitb16": Size(CLIP_B, 0, CATSEG + 22_708, CATSEG_TRAINED + 22_708),
    "baselines/catseg_vitl14": Size(CLIP_L_336, 0, CATSEG_L, CATSEG_L_TRAINED),
    "baselines/ovrs_vitl14": Size(CLIP_L_336, 0, CATSEG_L + 22_708, CATSEG_L_TRAINED + 22_708),
    "aeroseg/aeroseg_vitb16_saml": Size(CLIP_B, SAM_L, 464_525_846, 26_484_245),
    "aeroseg/aeroseg_vitb16_dinov3sat": Size(CLIP_B, DINOV3_L, 464_525_846 - SAM_L + DINOV3_L, 26_484_245),
    "aeroseg/aeroseg_vitb16_saml_dlrsd": Size(CLIP_B, SAM_L, 464_656_918, 26_615_317),
    "aeroseg/aeroseg_vitb16_saml_openearthmap": Size(CLIP_B, SAM_L, 463_870_486, 25_828_885),
    # One prompt instead of four: 4 x 3 of 16 channels of the 7 x 7 convolution go; the Baseline is as large as OVRS.
    "table3_baseline": Size(CLIP_B, 0, CATSEG + 22_708, CATSEG_TRAINED + 22_708),
    "table3_config_a": Size(CLIP_B, SAM_L, 461_170_710, 23_129_109),
    "table3_config_b": Size(CLIP_B, SAM_L, 464_525_846 - 12 * 49 * 128, 26_484_245 - 12 * 49 * 128),
    "table4_finetuned_guidance": Size(CLIP_B, SAM_L, 464_525_846, 333_909_525),
    "table5_rgb": Size(CLIP_B, SAM_L, 464_525_846 - 1021 * 1025, 26_484_245 - 1021 * 1025),
    "table5_clip": Size(CLIP_B, SAM_L, 464_525_846 - 512 * 1025, 26_484_245 - 512 * 1025),
    "table6_sam_vith": Size(CLIP_B, SAM_H, 793_941_526, 27_152_149),
    "table6_sam2_hierabplus": Size(CLIP_B, HIERA, 195_174_102, 24_868_565),
    "table6_sam21_hierabplus": Size(CLIP_B, HIERA, 195_174_102, 24_868_565),
    "table7_clip_vitl14": Size(CLIP_L_336, SAM_L, 742_882_070, 70_098_453),
    "table7_georsclip_vitl14": Size(CLIP_L, SAM_L, 742_554_390, 70_098_453),
    "table7_skyclip_vitl14": Size(CLIP_L, SAM_L, 742_554_390, 70_098_453),
}
SIZES = {name if "/" in name else f"aeroseg/ablations/{name}": size for name, size in SIZES.items()}


def load(name, options=()):
    return load_config(str(ROOT / name), options)


def build(cfg):
    return META_ARCH_REGISTRY.get(cfg.MODEL.META_ARCHITECTURE)(cfg)


@functools.cache
def full_size(name):
    """(configuration, the model at its real size without memory behind it)."""
    cfg = load(f"{name}.yaml", NO_WEIGHT_FILES)
    with torch.device("meta"):
        return cfg, build(cfg)


def count(parameters):
    return sum(parameter.numel() for parameter in parameters)


# ------------------------------------------------------------------ files


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_a_configuration_loads_and_names_a_system(name):
    assert load(name).MODEL.META_ARCHITECTURE in META_ARCH_REGISTRY


@pytest.mark.parametrize("name", sorted({*FILES} - {*CONFIGURATIONS}))
def test_every_other_file_describes_a_data_set(name):
    document = read_document(ROOT / name)
    if document.get("task") == "referring":
        assert described_references(document, ROOT / name).splits
    else:
        assert read_description(ROOT / name).row.vocabulary.num_classes > 0


@pytest.mark.parametrize("name", CHILDREN)
def test_a_file_sets_few_keys_and_all_to_something_else_than_the_file_it_is_based_on(name):
    own = yaml.safe_load((ROOT / name).read_text())
    parent = load_config(str((ROOT / name).parent / own.pop("_BASE_")))
    own.pop("VERSION", None)
    child, keys = load(name), list(leaves(own))
    assert [".".join(key) for key in keys if value(child, key) == value(parent, key)] == []
    assert 0 < len(keys) <= (MOST_KEYS_OF_A_ROW if "/ablations/" in name else MOST_KEYS)


def leaves(node, above=()):
    for key, below in node.items():
        yield from leaves(below, (*above, key)) if isinstance(below, dict) else [(*above, key)]


def value(cfg, key):
    return functools.reduce(getattr, key, cfg)


@pytest.mark.parametrize("name", ROWS)
def test_a_row_says_which_it_is_and_the_index_gives_the_same_figures(name):
    first, second, third = (ROOT / name).read_text().splitlines()[:3]
    table = re.search(r"/table(\d)_", name)[1]
    assert (
        first.startswith(f"# AerOSeg, Table {table}, ") and second.startswith("# The paper's ") and third.startswith("_BASE_")
    )
    (line,) = [line for line in INDEX.read_text().splitlines() if f"({name.removeprefix('aeroseg/')})" in line]
    figures = re.findall(r"\d\d\.\d\d", second)
    assert len(figures) == 3 and figures == re.findall(r"\d\d\.\d\d", line)


def test_the_index_links_to_files_that_exist():
    links = re.findall(r"\]\(([^)#]+)\)", INDEX.read_text())
    assert links and [link for link in links if not (INDEX.parent / link).exists()] == []


# ------------------------------------------------------------------ real size


def test_every_published_size_is_known():
    elsewhere = ("mini/", "rs_zeroseg/", "mafn/", "tsmnet/", "metasegnet/")  # all but the first in test_<system>_configs.py
    assert {f"{name}.yaml" for name in SIZES} == {name for name in CONFIGURATIONS if not name.startswith(elsewhere)}


@pytest.mark.parametrize("name", SIZES)
def test_a_model_has_as_many_parameters_as_its_encoders_and_blocks_should(name):
    _, model = full_size(name)
    guidance = count(model.guidance_encoder.parameters()) if model.guidance_encoder else 0
    trained = count(p for p in model.parameters() if p.requires_grad)
    assert Size(count(model.vision_language.parameters()), guidance, count(model.parameters()), trained) == SIZES[name]


# One of each pair of encoders; the others differ in what follows.
@pytest.mark.parametrize(
    "name",
    [
        "baselines/catseg_vitb16",
        "baselines/ovrs_vitb16",
        "aeroseg/aeroseg_vitb16_saml",
        "aeroseg/aeroseg_vitb16_dinov3sat",
        "aeroseg/ablations/table3_baseline",
        "aeroseg/ablations/table6_sam_vith",
        "aeroseg/ablations/table6_sam2_hierabplus",
        "aeroseg/ablations/table7_clip_vitl14",
    ],
)
def test_costs_and_guidance_meet_on_24_by_24_and_scores_are_four_to_a_patch(name, monkeypatch):
    monkeypatch.setattr(torch, "autocast", lambda *args, **kwargs: contextlib.nullcontext())  # unknown to the meta device
    cfg, model = full_size(name)
    side = cfg.MODEL.FIXED_SIZE or cfg.INPUT.CROP_SIZE
    images = torch.zeros(1, 3, side, side, device="meta")
    text = torch.zeros(5, len(model.templates), model.vision_language.dim, device="meta")
    with torch.no_grad():
        refined, _ = model.eval()._refine(images, text)
        assert refined.guidance.shape[2:] == refined.phi.shape[2:4] == (24, 24)
        assert model.decoder(refined.phi, refined.decoder_guidance).shape == (1, 5, 96, 96)


def test_fine_tuned_guidance_learns_at_a_hundredth_of_the_rate():
    cfg, model = full_size("aeroseg/ablations/table4_finetuned_guidance")
    inside = {p for p in model.guidance_encoder.parameters() if p.requires_grad}
    rates = {group["lr"] for group in build_optimizer(cfg, model).param_groups if inside & {*group["params"]}}
    assert [*rates] == pytest.approx([2e-6])


# ------------------------------------------------------------------ two steps


@pytest.mark.parametrize("name", SIZES)
def test_two_steps_change_what_should_train_and_nothing_else(name, narrow_encoders):  # noqa: F811
    torch.manual_seed(0)
    cfg = shrunk_config(ROOT / f"{name}.yaml")
    model = build(cfg).train()
    optimizer = build_optimizer(cfg, model)
    (train,) = cfg.DATASETS.TRAIN
    vocabulary = vocabulary_of(train)
    seen = vocabulary.seen_only()
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    expected = {"loss_bce"} if cfg.MODEL.BACK_PROJECTION.TARGET == "none" else {"loss_bce", "loss_sem"}
    for _ in range(2):
        images = torch.randint(0, 256, (2, 3, SIDE, SIDE))
        targets = torch.randint(0, seen.num_classes, (2, SIDE, SIDE))
        losses = model([{"image": i, "sem_seg": t, "vocabulary": seen} for i, t in zip(images, targets, strict=True)])
        assert losses.keys() == expected and all(loss.isfinite() and loss > 0 for loss in losses.values())
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
    changed = {key for key, tensor in model.state_dict().items() if not torch.equal(tensor, before[key])}
    assert changed == {key for key in before if should_train(key, name, model)}
    (answer,) = model.eval()([{"image": images[0], "vocabulary": vocabulary}])
    assert answer["sem_seg"].shape == (vocabulary.num_classes, SIDE, SIDE)


@pytest.mark.parametrize("name", MINI)
def test_a_mini_model_takes_two_steps_that_reach_all_that_trains(name):
    torch.manual_seed(0)
    cfg = load(name, [*NO_WEIGHT_FILES, "MODEL.VISION_LANGUAGE.SMALL.STEM_WEIGHTS", "", "MODEL.DEVICE", "cpu"])
    model = build(cfg).train()
    optimizer = build_optimizer(cfg, model)
    vocabulary = vocabulary_of(cfg.DATASETS.TRAIN[0])
    if cfg.DATASETS.TRAIN_CLASSES == "seen":
        vocabulary = vocabulary.seen_only()
    for _ in range(2):
        images = torch.randint(0, 256, (2, 3, 64, 64))
        targets = torch.randint(0, vocabulary.num_classes, (2, 64, 64))
        losses = model([{"image": i, "sem_seg": t, "vocabulary": vocabulary} for i, t in zip(images, targets, strict=True)])
        assert all(loss.isfinite() and loss > 0 for loss in losses.values())
        optimizer.zero_grad()
        sum(losses.values()).backward()
        assert [key for key, p in model.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())] == []
        optimizer.step()


def should_train(key, name, model):
    """Section 4.2: of CLIP the query and value projections, of the guidance encoder nothing, of the rest everything."""
    part = key.partition(".")[0]
    if part == "vision_language":
        last = len(model.vision_language.visual.transformer.resblocks) - 1
        read = f"visual.transformer.resblocks.{last}.attn.q_proj_weight" not in key  # its last block attends to nothing
        return key.endswith(("attn.q_proj_weight", "attn.v_proj_weight")) and read
    if part == "guidance_encoder":  # the neck lies behind the last of the layers that guide
        return "table4_finetuned" in name and ".neck." not in key
    return True
