"""MetaSegNet's configurations at their real size, without memory behind it, and what each row of its tables changes."""

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
from ovrs.data.catalog import register_files, vocabulary_of
from ovrs.data.description import read_description
from ovrs.errors import ConfigError
from ovrs.modeling.blocks.cosine_classifier import CosineClassifier
from ovrs.modeling.header import about_configuration, contradictions

FOLDER = Path(__file__).parents[2] / "configs/metasegnet"
INDEX = FOLDER / "README.md"
OPEN, CLOSED = FOLDER / "metasegnet_openearthmap.yaml", FOLDER / "metasegnet_openearthmap_closed.yaml"
ROWS = sorted((FOLDER / "ablations").glob("*.yaml"))
MINI_SIZES = [
    *("MODEL.VISION_LANGUAGE.NAME", "small", "MODEL.VISION_LANGUAGE.ROTATIONS", "[0]", "MODEL.METASEGNET.IMAGE", "tower"),
    *("MODEL.TEXT.NAME", "minilm", "MODEL.METASEGNET.LAYERS", "[1, 2, 3, 4]"),
]

# Data set: its name in a configuration, classes, and iterations of 45 epochs of pairs.
DATA = {"openearthmap": ("openearthmap_nine", 9, 67500), "loveda": ("loveda", 7, 56745), "potsdam": ("potsdam", 5, 19440)}
# Of Tables IV and V: the paper's mIoU, whether there is alignment and fusion, and what prompts there are.
FIGURES = {
    "table4_baseline": ("67.1", False, False, ""),
    "table4_alignment": ("69.6", True, False, "bank"),
    "table5_neutral": ("69.9", True, True, "neutral"),
}

SWIN_B, BERT_BASE = 86_876_536, 108_891_648  # without its head and last norm; without its pooler


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bert")
    (folder / "config.json").write_text(json.dumps({"model_type": "bert"}))
    (folder / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "tree"]))
    return str(folder)


@functools.cache
def built(path, bert, *options):
    """A configuration and its model without memory behind it."""
    cfg = load_config(str(path), [*NO_WEIGHT_FILES, "MODEL.TEXT.WEIGHTS", bert, "MODEL.WEIGHTS", "whole.pth", *options])
    with torch.device("meta"):
        return cfg, META_ARCH_REGISTRY.get("MetaSegNet")(cfg)


def count(parameters):
    return sum(parameter.numel() for parameter in parameters)


def test_every_row_of_both_tables_has_its_file_and_stands_in_it_and_in_the_index():
    assert {path.stem for path in ROWS} == set(FIGURES)
    for row, (figure, *_) in FIGURES.items():
        (line,) = [line for line in INDEX.read_text().splitlines() if f"(ablations/{row}.yaml)" in line]
        assert re.findall(r"\d\d\.\d", line) == [figure]
        first, second, third, *_ = (FOLDER / f"ablations/{row}.yaml").read_text().splitlines()
        assert first.startswith(f"# MetaSegNet, Table {'IV' if row[5] == '4' else 'V'}, ")
        assert re.findall(r"\d\d\.\d", second) == [figure]
        assert third == "_BASE_: ../metasegnet_openearthmap_closed.yaml"


def test_the_index_links_to_files_that_exist_and_to_every_file():
    links = re.findall(r"\]\(([^)#]+)\)", INDEX.read_text())
    assert [link for link in links if not (INDEX.parent / link).exists()] == []
    assert {path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*.yaml")} <= {*links}


@pytest.mark.parametrize("path", ROWS, ids=lambda path: path.stem)
def test_a_row_differs_in_what_it_is_named_for(path, bert):
    cfg, model = built(path, bert)
    _, alignment, fusion, prompts = FIGURES[path.stem]
    assert prompts == cfg.DATASETS.CLIMATE.PROMPTS and model.classes == 9
    parts = (model.projections, model.alignment, model.matching, model.text_encoder)
    assert {part is not None for part in parts} == {alignment} == {model.reads_descriptions}
    assert (model.prior is not None) == fusion


@pytest.mark.parametrize("data", DATA)
def test_each_data_set_has_a_closed_and_an_open_head(data, bert):
    name, classes, iterations = DATA[data]
    for end, closed in (("", False), ("_closed", True)):
        cfg, model = built(FOLDER / f"metasegnet_{data}{end}.yaml", bert)
        assert (cfg.DATASETS.TRAIN[0], cfg.DATASETS.TEST[0]) == (f"{name}_train", f"{name}_val")
        assert (
            cfg.SOLVER.MAX_ITER == iterations == 45 * cfg.TEST.EVAL_PERIOD and iterations // 45 == cfg.SOLVER.CHECKPOINT_PERIOD
        )
        assert model.classes == (classes if closed else 0)
        assert isinstance(model.classifier, torch.nn.Conv2d if closed else CosineClassifier)
        assert vocabulary_of(cfg.DATASETS.TRAIN[0]).num_classes == classes


def test_training_is_the_papers(bert):
    cfg, model = built(CLOSED, bert)
    solver = cfg.SOLVER
    assert math.isclose(solver.BASE_LR, 3e-4) and math.isclose(solver.WEIGHT_DECAY, 2.5e-4)
    assert (solver.OPTIMIZER, solver.IMS_PER_BATCH, solver.LR_SCHEDULER_NAME) == ("AdamW", 2, "WarmupCosineLR")
    assert cfg.TEST.BEST_METRIC == "mIoU" and cfg.INPUT.CROP_SIZE == cfg.MODEL.FIXED_SIZE == 1024
    objective = model.objective
    assert (objective.ce, objective.dice, objective.matching, objective.smoothing, objective.pixel_dice) == (
        1,
        1,
        1,
        0.05,
        False,
    )
    assert (model.matching.queue.size, model.matching.queue.length, len(model.matching.layers)) == (16, 250, 2)
    assert model.most_tokens == 250 and len(model.alignment.layers) == 2
    assert model.image_encoder.channels == (128, 256, 512, 1024)
    assert {block.attn.window_size for layer in model.image_encoder.layers for block in layer.blocks} == {(12, 12)}
    assert model.image_encoder.layers[3].blocks[1].drop_path1.drop_prob == pytest.approx(0.3)
    assert [lateral.in_channels for lateral in model.pyramid.laterals] == [128, 256, 512, 256]


def test_parameters_are_those_that_the_index_counts(bert):
    for path, column in ((CLOSED, 0), (OPEN, 1)):
        _, model = built(path, bert)
        assert count(model.image_encoder.parameters()) == SWIN_B and count(model.text_encoder.parameters()) == BERT_BASE
        trained = count(p for p in model.parameters() if p.requires_grad)
        assert not any(p.requires_grad for p in model.text_encoder.parameters())
        assert trained == count(model.parameters()) - BERT_BASE
        every = re.search(r"has (\d+\.\d) million parameters.*?; the open one (\d+\.\d)", INDEX.read_text(), re.DOTALL)
        train = re.search(r"of which (\d+\.\d)\s+million train; the open one \d+\.\d and (\d+\.\d)", INDEX.read_text())
        assert f"{count(model.parameters()) / 1e6:.1f}" == every[1 + column]
        assert f"{trained / 1e6:.1f}" == train[1 + column]
    closed = built(CLOSED, bert)[1]
    twice = count(closed.parameters()) + SWIN_B + BERT_BASE  # with momentum copies of both encoders, as ALBEF has them
    assert twice == pytest.approx(399.7e6, rel=0.005)
    assert count(p for p in closed.parameters() if p.requires_grad) / twice == pytest.approx(0.25, abs=0.02)


def test_potsdam_by_openearthmaps_names_has_building_and_tree_alone():
    nine, potsdam = (
        read_description(FOLDER / f"data/{name}.yaml") for name in ("openearthmap_nine", "potsdam_as_openearthmap")
    )
    names = [cls.name for cls in nine.row.classes]
    assert names == [cls.name for cls in potsdam.row.classes]
    assert [cls.color for cls in nine.row.classes] == [cls.color for cls in potsdam.row.classes]
    ours = [cls.name for cls in vocabulary_of("openearthmap_train").classes]
    assert names == ["background", *ours] and nine.encoding.codes == ((255,), *((number,) for number in range(8)))
    of_potsdam = {cls.name: label for label, cls in enumerate(vocabulary_of("potsdam_train").classes)}
    held = {name: code for name, (code,) in zip(names, potsdam.encoding.codes, strict=True) if code < 256}
    assert held == {"building": of_potsdam["building"], "tree": of_potsdam["tree"]}
    others = {label for name, label in of_potsdam.items() if name not in held}
    assert set(potsdam.encoding.ignored) == {*others, 255} and set(potsdam.row.splits) == {"val"}


def test_a_closed_head_is_that_of_the_classes_learnt_when_another_set_is_evaluated(bert):
    files = "('configs/metasegnet/data/openearthmap_nine.yaml', 'configs/metasegnet/data/potsdam_as_openearthmap.yaml')"
    cfg, model = built(CLOSED, bert, "DATASETS.FILES", files, "DATASETS.TEST", "('potsdam_as_openearthmap_val',)")
    register_files(cfg.DATASETS.FILES)
    assert model.classes == vocabulary_of(cfg.DATASETS.TEST[0]).num_classes == 9


def test_what_only_training_does_contradicts_no_weights(tmp_path):
    from safetensors.torch import save_file

    cfg = load_config(str(CLOSED))
    save_file({"a": torch.zeros(1)}, tmp_path / "a.safetensors", about_configuration(cfg))
    other = ["MODEL.METASEGNET.TRAINING.QUEUE", "3", "MODEL.IMAGE.DROP_PATH", "0.1", "MODEL.VISION_LANGUAGE.NAME", "small"]
    assert contradictions(load_config(str(CLOSED), other), tmp_path / "a.safetensors") == []
    (wrong,) = contradictions(load_config(str(OPEN)), tmp_path / "a.safetensors")
    assert wrong == "MODEL.METASEGNET.HEAD is 'open', the weights are of 'closed'"


def test_on_a_tower_the_backbone_contradicts_no_weights(tmp_path):
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(1)}, tmp_path / "a.safetensors", about_configuration(load_config(str(OPEN), MINI_SIZES)))
    assert contradictions(load_config(str(OPEN), [*MINI_SIZES, "MODEL.IMAGE.NAME", "small"]), tmp_path / "a.safetensors") == []
    narrower = [*MINI_SIZES, "MODEL.VISION_LANGUAGE.SMALL.WIDTH", "96"]
    assert len(contradictions(load_config(str(OPEN), narrower), tmp_path / "a.safetensors")) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["MODEL.METASEGNET.IMAGE", "both"], "IMAGE is 'both'; choose backbone, tower"),
        (["MODEL.METASEGNET.HEAD", "ajar"], "HEAD is 'ajar'; choose open, closed"),
        (["MODEL.METASEGNET.ALIGNMENT", "False"], "with ALIGNMENT False it must be False too"),
        (["MODEL.METASEGNET.TRAINING.DICE", "image"], "DICE is 'image'; choose class, pixel"),
        (["MODEL.METASEGNET.TRAINING.MATCHING_WEIGHT", "-1.0"], "MATCHING_WEIGHT is -1.0"),
        (["MODEL.METASEGNET.TRAINING.QUEUE", "-1"], "QUEUE is -1"),
        (
            ["MODEL.METASEGNET.TRAINING.CE_WEIGHT", "0.0", "MODEL.METASEGNET.TRAINING.DICE_WEIGHT", "0.0"],
            "nothing trains the head",
        ),
        (["MODEL.METASEGNET.TRAINING.LABEL_SMOOTHING", "1.0"], "it is a share"),
        (["MODEL.METASEGNET.TEMPERATURE", "0.0"], "it must be above 0"),
        (["MODEL.METASEGNET.DIM", "0"], "it must be 1 or above"),
        (["MODEL.METASEGNET.DIM", "36"], "36 channels cannot be cut into 8 heads"),
        (["MODEL.FIXED_SIZE", "1000"], "needs a multiple of 32"),
        (["MODEL.TEXT.WEIGHTS", ""], "MODEL.TEXT.WEIGHTS is empty"),
        (["DATASETS.TRAIN", "()", "MODEL.METASEGNET.HEAD", "closed"], "DATASETS.TRAIN is empty: the head is bound"),
        ([*MINI_SIZES, "MODEL.VISION_LANGUAGE.ROTATIONS", "[0, 1]"], r"ROTATIONS must be \[0\]"),
        ([*MINI_SIZES, "MODEL.METASEGNET.LAYERS", "[1, 2]"], "give 4 layers, one a level"),
        ([*MINI_SIZES, "MODEL.VISION_LANGUAGE.NAME", "ViT-L-14"], "of patches of a multiple of 4 pixels"),
        ([*MINI_SIZES, "MODEL.VISION_LANGUAGE.NAME", "ViT-B-16-SigLIP"], "CLIP's vision transformers alone"),
    ],
)
def test_what_cannot_be_built_is_named(options, message, bert):
    cfg = load_config(str(OPEN), ["MODEL.TEXT.WEIGHTS", bert, "MODEL.WEIGHTS", "whole.pth", *options])
    with torch.device("meta"), pytest.raises(ConfigError, match=message):
        META_ARCH_REGISTRY.get("MetaSegNet")(cfg)
