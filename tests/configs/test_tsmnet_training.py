"""Every configuration of TSMNet on narrow encoders, a tiny BERT among them: two steps, what they change, what comes back."""

from pathlib import Path

import pytest
import torch
from detectron2.modeling import build_model
from shrunk import NO_WEIGHT_FILES, double_stays_double, narrow_encoders, shrunk_config, write_tiny_bert  # noqa: F401 - fixtures

import ovrs.modeling.systems  # noqa: F401 - registers them with Detectron2
from ovrs.config import load_config
from ovrs.data.catalog import vocabulary_of
from ovrs.engine.checkpointer import Checkpointer
from ovrs.engine.optimizer import build_optimizer
from ovrs.modeling.checkpoints import load_weights
from ovrs.modeling.encoders.text_tokens import TextTokens

CONFIGS = Path(__file__).parents[2] / "configs"
FOLDER = CONFIGS / "tsmnet"
MAIN, CODE = FOLDER / "tsmnet_swjtu.yaml", FOLDER / "tsmnet_swjtu_code.yaml"
# The files of the other data set differ from these in data alone.
FILES = [MAIN, CODE, FOLDER / "tsmnet_swjtu_bert.yaml", *sorted((FOLDER / "ablations").glob("*_swjtu.yaml"))]
MINI = CONFIGS / "mini/tsmnet.yaml"
SMALL = ["MODEL.WEIGHTS", "", "MODEL.DEVICE", "cpu", *NO_WEIGHT_FILES]
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "river", "town", "after", "flood", "harbour", "with", "many", "ships"]
DESCRIPTIONS = ["a river town after a flood", "a harbour with many ships"]
DEAD = 1e-13  # of the largest gradient; rounding in double precision lies at 1e-16

WITHOUT_WORDS, WITHOUT_SCENE = {"table5_a_swjtu", "table5_c_swjtu"}, {"table5_a_swjtu", "table5_b_swjtu"}


pytestmark = pytest.mark.usefixtures("double_stays_double")


@pytest.fixture(scope="module")
def tiny_bert(tmp_path_factory):
    return write_tiny_bert(tmp_path_factory.mktemp("bert"), WORDS)


def narrow(path, bert, *options):
    """A configuration and its model in double precision, awake: words move by more than a gamma of 1e-4."""
    cfg = shrunk_config(path, ["MODEL.TEXT.WEIGHTS", bert, "MODEL.TSMNET.GAMMA", "1.0", *options])
    torch.manual_seed(0)
    return cfg, build_model(cfg).double().train()


def batch(vocabulary, sizes=((96, 128), (96, 96)), bands=1):
    generator = torch.Generator().manual_seed(0)
    entries = []
    for number, (height, width) in enumerate(sizes):
        entry = {"image": torch.randint(0, 256, (3, height, width), generator=generator, dtype=torch.uint8)}
        entry["sar"] = torch.rand(bands, height, width, generator=generator) * 255
        entry["sem_seg"] = torch.randint(0, vocabulary.num_classes, (height, width), generator=generator)
        entries.append({**entry, "description": DESCRIPTIONS[number], "vocabulary": vocabulary})
    return entries


def should_train(name, path):
    """By a parameter's name alone: the image towers whole, the text tower not."""
    if name.startswith("vision_language."):
        read = ".visual." in name
        if path.stem in WITHOUT_WORDS:  # nothing reads the embeddings of patches
            read = read and not name.endswith(("visual.proj", "ln_post.weight", "ln_post.bias"))
        if path == MINI:  # no level is read behind the last block, and the dense path leaves its attention out
            read = read and not name.endswith(("resblocks.3.attn.q_proj_weight", "resblocks.3.attn.k_proj_weight"))
        return read
    return not name.startswith("scene_encoder.")


def take_a_step(cfg, model, entries):
    """Losses, which tensors of the state a step changes, and which parameters its gradient reaches."""
    optimizer = build_optimizer(cfg, model)
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    losses = model(entries)
    assert all(loss.isfinite() and loss > 0 for loss in losses.values())
    model.zero_grad()
    sum(losses.values()).backward()
    sizes = {name: float(p.grad.abs().max()) for name, p in model.named_parameters() if p.grad is not None}
    optimizer.step()
    changed = {key for key, tensor in model.state_dict().items() if not torch.equal(tensor, before[key])}
    return set(losses), changed, {name for name, size in sizes.items() if size > DEAD * max(sizes.values())}, set(sizes)


def running(model):
    """Names of the statistics of batch norms that learn."""
    norms = [name for name, module in model.named_modules() if isinstance(module, torch.nn.modules.batchnorm._BatchNorm)]
    learning = tuple(f"{name}." for name in norms if model.get_submodule(name).training)
    ends = ("running_mean", "running_var", "num_batches_tracked")
    return {key for key, _ in model.named_buffers() if key.startswith(learning) and key.endswith(ends)}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_two_steps_reach_all_that_should_train_and_change_nothing_else(path, tiny_bert, narrow_encoders):  # noqa: F811
    cfg, model = narrow(path, tiny_bert)
    vocabulary = vocabulary_of(cfg.DATASETS.TRAIN[0])
    chosen = {name for name, _ in model.named_parameters() if should_train(name, path)}
    expected = {"loss_object", "loss_scene", "loss_ce", "loss_dice"}
    expected -= {"loss_object"} if path.stem in WITHOUT_WORDS else set()
    expected -= {"loss_scene"} if path.stem in WITHOUT_SCENE else set()
    expected -= {"loss_dice"} if path == CODE else set()
    for _ in range(2):
        losses, changed, alive, reached = take_a_step(cfg, model, batch(vocabulary))
        assert losses == expected
        assert reached == chosen and chosen - alive == set()
        assert changed == chosen | running(model)


@pytest.mark.parametrize("modalities", ["optical", "sar"])
def test_a_model_of_one_modality_trains_what_reads_it(modalities, tiny_bert, narrow_encoders):  # noqa: F811
    cfg, model = narrow(MAIN, tiny_bert, "MODEL.TSMNET.MODALITIES", modalities)
    other = {"optical": "towers.sar_", "sar": ("vision_language.visual.", "towers.optical_adapters.")}[modalities]
    chosen = {n for n, _ in model.named_parameters() if should_train(n, MAIN) and not n.startswith(other)}
    _, changed, alive, reached = take_a_step(cfg, model, batch(vocabulary_of(cfg.DATASETS.TRAIN[0])))
    assert reached == chosen and chosen - alive == set()
    assert {key for key in changed if key in dict(model.named_parameters())} == chosen


def test_all_keep_their_place_in_the_graph_where_a_modality_or_a_description_is_missing(tiny_bert, narrow_encoders):  # noqa: F811
    cfg, model = narrow(MAIN, tiny_bert)
    chosen = {name for name, _ in model.named_parameters() if should_train(name, MAIN)}
    entries = batch(vocabulary_of(cfg.DATASETS.TRAIN[0]))
    for entry in entries:
        del entry["sar"], entry["description"]
    losses = model(entries)
    sum(losses.values()).backward()
    assert {name for name, p in model.named_parameters() if p.grad is not None} == chosen


def test_both_towers_learn_at_the_rate_of_the_encoder(tiny_bert, narrow_encoders):  # noqa: F811
    cfg, model = narrow(MAIN, tiny_bert)
    towers = {*model.vision_language.parameters(), *model.towers.sar_tower.parameters()}
    groups = build_optimizer(cfg, model).param_groups
    rates = {(round(group["lr"], 12), parameter in towers) for group in groups for parameter in group["params"]}
    assert rates == {(1e-5, True), (1e-4, False)}
    assert {group["name"] for group in groups} == {"vision_language+sar_tower", "head"}


def answers(model, entries):
    return [found["sem_seg"] for found in model.eval()(entries)]


@pytest.mark.parametrize("path", [MAIN, CODE], ids=["text prior", "concat"])
def test_a_batch_is_its_images_and_a_model_comes_back_from_its_checkpoint(path, tiny_bert, narrow_encoders, tmp_path):  # noqa: F811
    cfg, model = narrow(path, tiny_bert)
    vocabulary = vocabulary_of(cfg.DATASETS.TRAIN[0])
    entries = batch(vocabulary)
    with torch.no_grad():
        model(entries)  # statistics of batch norms
    model.float()
    together = answers(model, entries)
    assert [answer.shape for answer in together] == [(7, 96, 128), (7, 96, 96)]
    assert all(answer.min() > 0 and answer.max() < 1 and answer.std() > 0 for answer in together)
    images = torch.stack([model.image_of(entry)[..., :96] for entry in entries])
    text = model.text_of(vocabulary)
    with torch.no_grad():
        alone = torch.cat([model.logits(image[None], text) for image in images])
        torch.testing.assert_close(model.logits(images, text), alone, rtol=1e-4, atol=1e-4)
    Checkpointer(model, str(tmp_path)).save("model_final")
    other = narrow(path, tiny_bert)[1].float()
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.normal_()
    load_weights(other, tmp_path / "model_final.pth")
    assert all(torch.equal(one, two) for one, two in zip(answers(other, entries), together, strict=True))


def test_the_learned_context_stands_before_every_name_and_is_cut_into_no_name(tiny_bert, narrow_encoders):  # noqa: F811
    _, model = narrow(MAIN, tiny_bert)
    model.float().eval()
    tower, context = model.vision_language.text_tower, model.context
    with torch.no_grad():
        plain, said = tower(["water"]), context(tower, ["water"])
        x = tower.token_embedding(tower.tokenizer(["water"]))[:, :3]  # start, water, end
        by_hand = torch.cat([x[:, :1], context.vectors[None], x[:, 1:]], dim=1) + tower.positional_embedding[:11]
        for block in tower.transformer.resblocks:
            by_hand = by_the_book(block, by_hand)
        by_hand = tower.ln_final(by_hand[:, -1]) @ tower.text_projection
        long = context(tower, ["water " * 100])
    torch.testing.assert_close(said, by_hand, rtol=1e-5, atol=1e-5)
    assert long.isfinite().all() and not torch.allclose(plain, said, atol=1e-4)


def by_the_book(block, x):
    """A causal residual block, without the fused kernels."""
    mask = torch.full((x.shape[1], x.shape[1]), float("-inf")).triu(1)
    attention = block.attn
    normal = block.ln_1(x)
    weights = (attention.q_proj_weight, attention.k_proj_weight, attention.v_proj_weight)
    q, k, v = (
        torch.nn.functional.linear(normal, w, b).unflatten(2, (attention.heads, -1)).transpose(1, 2)
        for w, b in zip(weights, attention.in_proj_bias.chunk(3), strict=True)
    )
    shares = (q @ k.mT / q.shape[-1] ** 0.5 + mask).softmax(dim=-1)
    x = x + attention.out_proj((shares @ v).transpose(1, 2).flatten(2))
    return x + block.mlp(block.ln_2(x))


def test_clips_tokens_of_a_description_end_with_its_embedding(tiny_bert, narrow_encoders):  # noqa: F811
    _, model = narrow(MAIN, tiny_bert)
    tower = model.vision_language.text_tower.float()
    with torch.no_grad():
        found, embedded = tower.read(DESCRIPTIONS), tower(DESCRIPTIONS)
    torch.testing.assert_close(found.pooled, embedded)
    assert found.mask.sum(dim=1).tolist() == [8, 7]  # words, start and end
    torch.testing.assert_close(found.tokens[1, 6], embedded[1])


# ------------------------------------------------------------------------ small


def test_two_steps_of_the_small_model_reach_all_that_should_train(monkeypatch):
    cfg = load_config(str(MINI), [*SMALL, "MODEL.TSMNET.GAMMA", "1.0", "MODEL.TSMNET.TRAINING.DROP_MODALITY", "0.0"])
    torch.manual_seed(0)
    model = build_model(cfg).double().train()
    sentences = model.vision_language.text_tower.sentences
    monkeypatch.setattr(sentences, "_embed", in_double(sentences._embed))
    monkeypatch.setattr(model.scene_encoder, "forward", in_double(model.scene_encoder.forward))
    chosen = {name for name, _ in model.named_parameters() if should_train(name, MINI)}
    entries = batch(vocabulary_of(cfg.DATASETS.TRAIN[0]), ((64, 64), (64, 64)))
    for _ in range(2):
        _, changed, alive, reached = take_a_step(cfg, model, entries)
        assert reached == chosen and chosen - alive == set()
        assert changed == chosen | running(model)


def in_double(read):
    def read_in_double(texts):
        found = read(texts)
        if isinstance(found, TextTokens):
            return TextTokens(found.tokens.double(), found.mask, found.pooled.double())
        return found.double()

    return read_in_double
