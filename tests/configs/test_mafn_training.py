"""Every configuration of MAFN on narrow encoders, a tiny BERT among them: two steps, what they change, what comes back."""

import re
from pathlib import Path

import pytest
import torch
from detectron2.modeling import build_model
from shrunk import narrow_encoders, shrunk_config  # noqa: F401 - a fixture
from transformers import BertConfig, BertModel

import ovrs.modeling.systems  # noqa: F401 - registers them with Detectron2
from ovrs.config import load_config
from ovrs.engine.checkpointer import Checkpointer
from ovrs.engine.optimizer import build_optimizer
from ovrs.modeling.checkpoints import load_weights
from ovrs.modeling.encoders.text_tokens import TextTokens

CONFIGS = Path(__file__).parents[2] / "configs"
FOLDER = CONFIGS / "mafn"
MAIN, PARITY = FOLDER / "mafn_swinb.yaml", FOLDER / "mafn_swinb_parity.yaml"
FILES = [path for path in sorted(FOLDER.rglob("*.yaml")) if not path.stem.endswith("refsegrs")]  # which differs in data alone
MINI = [path for path in sorted((CONFIGS / "mini").rglob("*.yaml")) if "META_ARCHITECTURE: MAFN" in path.read_text()]
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "the", "ship", "on", "left", "right", "of", "a", "road"]
SENTENCES = ["the ship on the left", "a road on the right of the ship"]
LAYERS = 4
DEAD = 1e-13  # of the largest gradient; rounding in double precision lies at 1e-16


@pytest.fixture(scope="module")
def tiny_bert(tmp_path_factory):
    """A folder with all that a BERT of four layers and width 16 consists of."""
    folder = tmp_path_factory.mktemp("bert")
    torch.manual_seed(0)
    sizes = {"num_hidden_layers": LAYERS, "num_attention_heads": 2, "intermediate_size": 32, "max_position_embeddings": 32}
    BertModel(BertConfig(vocab_size=len(VOCABULARY), hidden_size=16, **sizes)).save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY))
    return str(folder)


def narrow(path, bert, *options):
    """A configuration and its model, in double precision."""
    cfg = shrunk_config(path, ["MODEL.FIXED_SIZE", "96", "MODEL.TEXT.WEIGHTS", bert, *options])
    torch.manual_seed(0)
    return cfg, awake(build_model(cfg))


def awake(model):
    """The model with attention as large as that of a trained Swin, and with no ReLU of few units off from the start.

    As drawn, AN's discriminator learns from the product of numbers so small that they could be taken for rounding.
    """
    for name, parameter in model.double().train().named_parameters():
        if name.endswith("squeeze.bias"):
            torch.nn.init.ones_(parameter)
        elif name.endswith(("attn.qkv.weight", "attn.proj.weight", "discriminator.0.weight", "discriminator.2.weight")):
            torch.nn.init.normal_(parameter, std=parameter.shape[1] ** -0.5)
    return model


def batch(sizes=((96, 128), (96, 96))):
    generator = torch.Generator().manual_seed(0)
    entries = []
    for number, (height, width) in enumerate(sizes):
        mask = torch.zeros(height, width, dtype=torch.bool)
        mask[10 : 50 + 10 * number, 20 : 70 - 10 * number] = True
        image = torch.randint(0, 256, (3, height, width), generator=generator, dtype=torch.uint8)
        entries.append({"image": image, "expression": SENTENCES[number], "mask": mask})
    return entries


def should_train(name, image="full", text="published"):
    """By a parameter's name alone."""
    if name.startswith("image_encoder."):
        return image == "full" or ".after_attention." in name
    if name.startswith("text_encoder."):
        layer = re.search(r"\.layer\.(\d+)\.", name)
        last = f"layer.{LAYERS - 1}.output.LayerNorm.bias"
        if text == "full":  # without what cancels in a softmax, here or in word attention
            return not name.endswith(("key.bias", last))
        return text == "published" and layer is not None and int(layer[1]) < LAYERS - 2 and not name.endswith("key.bias")
    return True


def take_a_step(cfg, model, entries):
    """Which tensors of the state a step changes, and which parameters its gradient reaches."""
    optimizer = build_optimizer(cfg, model)
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    losses = model(entries)
    assert losses.keys() == {"loss_ce", "loss_dice"} and all(loss.isfinite() and loss > 0 for loss in losses.values())
    sum(losses.values()).backward()
    sizes = {name: float(p.grad.abs().max()) for name, p in model.named_parameters() if p.grad is not None}
    optimizer.step()
    changed = {key for key, tensor in model.state_dict().items() if not torch.equal(tensor, before[key])}
    return changed, {name for name, size in sizes.items() if size > DEAD * max(sizes.values())}, set(sizes)


def running(model):
    """Names of the statistics of batch norms."""
    return {key for key, _ in model.named_buffers() if key.endswith(("running_mean", "running_var", "num_batches_tracked"))}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_two_steps_reach_all_that_should_train_and_change_nothing_else(path, tiny_bert, narrow_encoders):  # noqa: F811
    cfg, model = narrow(path, tiny_bert)
    chosen = {name for name, _ in model.named_parameters() if should_train(name)}
    for _ in range(2):
        model.zero_grad()
        changed, alive, reached = take_a_step(cfg, model, batch())
        assert reached == chosen and chosen - alive == set()
        assert changed == chosen | running(model)


@pytest.mark.parametrize(
    ("path", "image", "text"),
    [
        (MAIN, "freeze", "freeze"),
        (PARITY, "freeze", "published"),
        (PARITY, "freeze", "full"),
        (PARITY, "full", "freeze"),
        (MAIN, "full", "full"),
    ],
    ids=["fused-freeze-freeze", "lang-freeze-published", "lang-freeze-full", "lang-full-freeze", "fused-full-full"],
)
def test_what_is_frozen_stays_bit_for_bit(path, image, text, tiny_bert, narrow_encoders):  # noqa: F811
    cfg, model = narrow(path, tiny_bert, "MODEL.IMAGE.TRAIN", image, "MODEL.TEXT.TRAIN", text)
    chosen = {name for name, _ in model.named_parameters() if should_train(name, image, text)}
    changed, alive, reached = take_a_step(cfg, model, batch())
    assert reached == chosen and chosen - alive == set()
    assert changed == chosen | running(model)


def test_what_of_bert_never_trains_is_what_would_learn_nothing(tiny_bert, narrow_encoders):  # noqa: F811
    cfg, model = narrow(MAIN, tiny_bert, "MODEL.TEXT.TRAIN", "full")
    never = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    _, alive, reached = take_a_step(cfg, model.requires_grad_(True), batch())
    assert reached - alive == never and len(never) == LAYERS + 1


def answers(model, entries):
    return [found["sem_seg"] for found in model.eval()(entries)]


@pytest.mark.parametrize(
    ("path", "options"),
    [(MAIN, []), (PARITY, []), (MAIN, ["MODEL.FIXED_SIZE", "0"])],
    ids=["fused", "lang", "own size"],
)
def test_a_batch_is_its_images_and_a_model_comes_back_from_its_checkpoint(
    path,
    options,
    tiny_bert,
    narrow_encoders,  # noqa: F811
    tmp_path,
):
    _, model = narrow(path, tiny_bert, *options)
    with torch.no_grad():
        model(batch())  # statistics of batch norms
    model.float()
    entries = batch()
    together = answers(model, entries)
    assert [answer.shape for answer in together] == [(1, 96, 128), (1, 96, 96)]
    assert all(answer.min() > 0 and answer.max() < 1 and answer.std() > 0 for answer in together)
    for entry, answer in zip(entries, together, strict=True):
        torch.testing.assert_close(answers(model, [entry])[0], answer, rtol=1e-5, atol=1e-6)
    Checkpointer(model, str(tmp_path)).save("model_final")
    whole = ["MODEL.WEIGHTS", str(tmp_path / "model_final.pth")]
    other = narrow(path, tiny_bert, *options, *whole)[1].float()
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.normal_()
    load_weights(other, tmp_path / "model_final.pth")
    assert all(torch.equal(one, two) for one, two in zip(answers(other, entries), together, strict=True))


@pytest.mark.parametrize("path", MINI, ids=lambda path: path.stem)
def test_two_steps_of_a_small_model_reach_all_that_should_train(path, monkeypatch):
    options = ["MODEL.GUIDANCE.WEIGHTS", "", "MODEL.WEIGHTS", "", "MODEL.DEVICE", "cpu", "MODEL.FIXED_SIZE", "64"]
    cfg = load_config(str(path), options)
    torch.manual_seed(0)
    model = awake(build_model(cfg))
    read = model.text_encoder.forward

    def in_double(texts):
        found = read(texts)
        return TextTokens(found.tokens.double(), found.mask, found.pooled.double())

    monkeypatch.setattr(model.text_encoder, "forward", in_double)
    chosen = {name for name, _ in model.named_parameters() if not name.startswith("guidance.encoder.")}
    own = {key for key in running(model) if not key.startswith("guidance.")}
    for _ in range(2):
        model.zero_grad()
        changed, alive, reached = take_a_step(cfg, model, batch())
        assert reached == chosen and chosen - alive == set() and changed == chosen | own
