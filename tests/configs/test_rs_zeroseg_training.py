"""Every configuration of RS-ZeroSeg on narrow encoders: two steps, what they change, and answers that come back from a file."""

import re
from pathlib import Path

import pytest
import torch
from detectron2.modeling import build_model
from shrunk import NO_WEIGHT_FILES, SIDE, narrow_encoders, shrunk_config  # noqa: F401 - a fixture

import ovrs.modeling.systems  # noqa: F401 - registers them with Detectron2
from ovrs.config import load_config
from ovrs.data.catalog import vocabulary_of
from ovrs.engine.checkpointer import Checkpointer
from ovrs.engine.optimizer import build_optimizer
from ovrs.modeling.blocks.category_head import CategoryAdaptiveHead, CosineHead, GatedDecoderHead
from ovrs.modeling.checkpoints import load_weights
from ovrs.vocabulary import Vocabulary

FOLDER = Path(__file__).parents[2] / "configs/rs_zeroseg"
MAIN = FOLDER / "rs_zeroseg_vitl14_dino.yaml"
# Other values of lambda only scale a loss.
FILES = [path for path in sorted(FOLDER.rglob("*.yaml")) if not path.stem.startswith("table6") or path.stem.endswith("00")]

# Levels of the alignment, the head, and what the alignment loss compares with words; of the main configuration, and elsewhere.
PARTS = (3, CategoryAdaptiveHead, "image")
OTHER_PARTS = {
    "table2_base_dsfe": (0, CosineHead, "image"),
    "table2_without_mscam": (0, CategoryAdaptiveHead, "image"),
    "table2_without_carh": (3, CosineHead, "image"),
    "table6_lambda_00": (3, CategoryAdaptiveHead, ""),
    "aeroseg_decoder": (3, GatedDecoderHead, "image"),
    "region_alignment": (3, CategoryAdaptiveHead, "region"),
}


def modes(path):
    """How the two encoders train, by the name of a file alone."""
    found = re.search(r"clip_(\w+)_remote_(\w+)", path.stem)
    return found.groups() if found else ("attention", "freeze")


def should_train(name, model, clip, remote):
    """By a parameter's name alone: "attention" is queries and values of CLIP, all of an attention layer of DINO."""
    last = f"visual.transformer.resblocks.{len(model.vision_language.visual.transformer.resblocks) - 1}.attn."
    if name.startswith("vision_language."):
        unread = name.endswith((f"{last}q_proj_weight", f"{last}k_proj_weight", "vision_language.logit_scale"))
        part = clip == "full" or (clip == "attention" and name.endswith(("attn.q_proj_weight", "attn.v_proj_weight")))
        return part and not unread
    if name.startswith("guidance_encoder."):
        return remote == "full" or (remote == "attention" and re.search(r"blocks\.\d+\.attn\.", name) is not None)
    return True


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_two_steps_reach_all_that_should_train_and_change_nothing_else(path, narrow_encoders):  # noqa: F811
    torch.manual_seed(0)
    cfg = shrunk_config(path)
    model = build_model(cfg).train()
    optimizer = build_optimizer(cfg, model)
    train = vocabulary_of(cfg.DATASETS.TRAIN[0])
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    chosen = {name for name, _ in model.named_parameters() if should_train(name, model, *modes(path))}
    compared = "" if model.text_projection is None else model.align_loss
    assert (len(model.multi_scale.levels), type(model.head), compared) == OTHER_PARTS.get(path.stem, PARTS)
    expected = {"loss_bce", "loss_align"} if compared else {"loss_bce"}
    for _ in range(2):
        images = torch.randint(0, 256, (2, 3, SIDE, SIDE))
        targets = torch.randint(0, train.num_classes, (2, SIDE, SIDE))
        losses = model([{"image": i, "sem_seg": t, "vocabulary": train} for i, t in zip(images, targets, strict=True)])
        assert losses.keys() == expected and all(loss.isfinite() and loss > 0 for loss in losses.values())
        optimizer.zero_grad()
        sum(losses.values()).backward()
        reached = {name for name, p in model.named_parameters() if p.grad is not None}
        assert reached == chosen
        dead = [n for n, p in model.named_parameters() if n in chosen and not (p.grad.isfinite().all() and p.grad.any())]
        assert dead == []
        optimizer.step()
    assert {key for key, tensor in model.state_dict().items() if not torch.equal(tensor, before[key])} == chosen
    encoders = {p for part in (model.vision_language, model.guidance_encoder) for p in part.parameters()}
    rates = {(round(group["lr"], 12), bool(encoders & {*group["params"]})) for group in optimizer.param_groups}
    assert rates == ({(2e-4, False)} if modes(path) == ("freeze", "freeze") else {(2e-4, False), (2e-6, True)})


def answer(model, words, image):
    (found,) = model.eval()([{"image": image, "vocabulary": Vocabulary.parse(words)}])
    return found["sem_seg"]


@pytest.mark.parametrize(("name", "head"), [("mini", "carh"), ("mini", "decoder"), ("main", "carh"), ("main", "cosine")])
def test_a_model_from_a_file_answers_any_words_at_the_size_of_the_image_and_comes_back_from_its_checkpoint(
    name, head, tmp_path, request
):
    options = [*NO_WEIGHT_FILES, "MODEL.WEIGHTS", "", "MODEL.DEVICE", "cpu", "MODEL.RS_ZEROSEG.HEAD", head]
    if name == "main":
        request.getfixturevalue("narrow_encoders")
    cfg = shrunk_config(MAIN, options) if name == "main" else load_config("mini/rs_zeroseg", options)
    torch.manual_seed(0)
    model, other = build_model(cfg), build_model(cfg)
    image = torch.randint(0, 256, (3, 96, 128), dtype=torch.uint8)
    maps = answer(model, "ship,bridge,water", image)
    assert maps.shape == (3, 96, 128) and maps.min() > 0 and maps.max() < 1 and maps.std() > 0
    torch.testing.assert_close(answer(model, "water,ship,bridge", image), maps[[2, 0, 1]], rtol=1e-5, atol=1e-5)
    if head != "decoder":  # whose attention averages over classes
        beside = answer(model, "bridge,a pier that reaches far out into the sea for boats of every size to moor at", image)
        torch.testing.assert_close(beside[0], maps[1], rtol=1e-5, atol=1e-5)  # its words are padded to as many tokens
    assert not torch.equal(answer(other, "ship,bridge,water", image), maps)
    Checkpointer(model, str(tmp_path)).save("model_final")
    load_weights(other, tmp_path / "model_final.pth")
    assert torch.equal(answer(other, "ship,bridge,water", image), maps)
