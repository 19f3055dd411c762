"""Every configuration of MetaSegNet on narrow encoders, a tiny BERT among them: two steps, what they change, what returns."""

from pathlib import Path

import pytest
import torch
from detectron2.modeling import build_model
from shrunk import NO_WEIGHT_FILES, double_stays_double, narrow_encoders, shrunk_config, write_tiny_bert  # noqa: F401 - fixtures

import ovrs.modeling.systems  # noqa: F401 - registers them with Detectron2
from ovrs.climate.bank import NEUTRAL
from ovrs.config import load_config
from ovrs.data.catalog import register_files, vocabulary_of
from ovrs.engine.checkpointer import Checkpointer
from ovrs.engine.ema import WeightAverage
from ovrs.engine.optimizer import build_optimizer
from ovrs.modeling.checkpoints import load_weights
from ovrs.vocabulary import Vocabulary

FOLDER = Path(__file__).parents[2] / "configs/metasegnet"
OPEN, CLOSED = FOLDER / "metasegnet_openearthmap.yaml", FOLDER / "metasegnet_openearthmap_closed.yaml"
# The files of the other data sets differ from these in data alone.
FILES = [OPEN, CLOSED, *sorted((FOLDER / "ablations").glob("*.yaml"))]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
KNOWN = "it is a remote sensing image . roofs are flat and pale trees few steep red"
WORDS = [*SPECIAL, *KNOWN.split()]
PROMPTS = ["Roofs are flat and pale. Trees are few.", "Roofs are steep and red."]
SMALL = ["MODEL.WEIGHTS", "", "MODEL.DEVICE", "cpu", *NO_WEIGHT_FILES]
MINI = Path(__file__).parents[2] / "configs/mini/metasegnet.yaml"
DEAD = 1e-13  # of the largest gradient; rounding in double precision lies at 1e-16


pytestmark = pytest.mark.usefixtures("double_stays_double")


@pytest.fixture(scope="module")
def tiny_bert(tmp_path_factory):
    return write_tiny_bert(tmp_path_factory.mktemp("bert"), WORDS)


def narrow(path, bert, *options):
    """A configuration and its model in double precision, for images of 96 pixels."""
    cfg = shrunk_config(path, ["MODEL.TEXT.WEIGHTS", bert, "MODEL.FIXED_SIZE", "96", *options])
    torch.manual_seed(0)
    return cfg, build_model(cfg).double().train()


def classes_of(cfg):
    register_files(cfg.DATASETS.FILES)
    return vocabulary_of(cfg.DATASETS.TRAIN[0])


def batch(vocabulary, size=96, count=4):
    generator = torch.Generator().manual_seed(0)
    entries = []
    for number in range(count):
        image = torch.randint(0, 256, (3, size, size), generator=generator, dtype=torch.uint8)
        labels = torch.randint(0, vocabulary.num_classes, (size, size), generator=generator)
        entries.append({"image": image, "sem_seg": labels, "description": PROMPTS[number % 2], "vocabulary": vocabulary})
    return entries


def take_a_step(cfg, model, entries):
    """Losses, which parameters and which other tensors of the state a step changes, and which parameters it reaches."""
    optimizer = build_optimizer(cfg, model)
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    losses = model(entries)
    assert all(loss.isfinite() for loss in losses.values())
    model.zero_grad()
    sum(losses.values()).backward()
    sizes = {name: float(p.grad.abs().max()) for name, p in model.named_parameters() if p.grad is not None}
    optimizer.step()
    changed = {key for key, tensor in model.state_dict().items() if not torch.equal(tensor, before[key])}
    alive = {name for name, size in sizes.items() if size > DEAD * max(sizes.values())}
    return losses, changed, alive, set(sizes)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_two_steps_reach_all_that_should_train_and_change_nothing_else(path, tiny_bert, narrow_encoders):  # noqa: F811
    cfg, model = narrow(path, tiny_bert)
    baseline, neutral = path.stem == "table4_baseline", path.stem == "table5_neutral"
    entries = batch(classes_of(cfg))
    if neutral:
        entries = [{**entry, "description": NEUTRAL} for entry in entries]
    parameters = dict(model.named_parameters())
    chosen = {name for name in parameters if not name.startswith("text_encoder.")}
    assert {name for name in chosen if not parameters[name].requires_grad} == set()
    for _ in range(2):
        losses, changed, alive, reached = take_a_step(cfg, model, entries)
        assert set(losses) == {"loss_ce", "loss_dice"} | (set() if baseline else {"loss_matching"})
        assert all(loss > 0 for name, loss in losses.items() if not (neutral and name == "loss_matching"))
        unmatched = {name for name in chosen if neutral and name.startswith("matching.")}
        assert reached == chosen and chosen - alive - unmatched == set()
        states = changed - set(parameters)
        assert changed & set(parameters) >= chosen - unmatched and changed & set(parameters) <= chosen
        assert all(name.startswith(("head.1.", "matching.queue.")) for name in states)
        assert any(name.startswith("matching.queue.") for name in states) != baseline


def test_encoders_that_are_not_frozen_learn_at_the_rate_of_all(tiny_bert, narrow_encoders):  # noqa: F811
    cfg, model = narrow(CLOSED, tiny_bert)
    assert {round(group["lr"], 12) for group in build_optimizer(cfg, model).param_groups} == {3e-4}


def answers(model, entries):
    return [found["sem_seg"] for found in model.eval()(entries)]


@pytest.mark.parametrize("path", [OPEN, CLOSED], ids=["open", "closed"])
def test_a_model_comes_back_from_its_checkpoint_and_without_its_queue_too(path, tiny_bert, narrow_encoders, tmp_path):  # noqa: F811
    cfg, model = narrow(path, tiny_bert)
    entries = batch(classes_of(cfg), count=2)
    with torch.no_grad():
        model(entries)  # statistics of batch norms, and pairs in the queue
    known = answers(model, entries)
    assert [answer.shape for answer in known] == [(9, 96, 96)] * 2
    assert all(answer.std() > 0 for answer in known) and not torch.allclose(known[0], known[1], atol=1e-4)
    Checkpointer(model, str(tmp_path)).save("model_final")
    lean = {"model": {name: value for name, value in model.state_dict().items() if "queue" not in name}}
    torch.save(lean, tmp_path / "lean.pth")
    for file in ("model_final.pth", "lean.pth"):
        other = narrow(path, tiny_bert)[1]
        with torch.no_grad():
            for parameter in other.parameters():
                parameter.normal_()
        load_weights(other, tmp_path / file)
        assert all(torch.equal(one, two) for one, two in zip(answers(other, entries), known, strict=True))
        assert len(other.matching.queue) == (2 if file == "model_final.pth" else 0)


def test_an_open_head_answers_for_words_that_were_not_learnt(tiny_bert, narrow_encoders):  # noqa: F811
    model = narrow(OPEN, tiny_bert)[1].eval()
    (entry,) = batch(Vocabulary.parse("roofs, flat, red, steep, few, trees, pale, it, a, is, image"), count=1)
    found = model([entry])[0]["sem_seg"]
    assert found.shape == (11, 96, 96)
    torch.testing.assert_close(found.sum(dim=0), torch.ones_like(found[0]))


def test_a_running_average_is_none_of_the_pairs_in_the_queue(tiny_bert, narrow_encoders):  # noqa: F811
    cfg, model = narrow(CLOSED, tiny_bert)
    average = WeightAverage(model, 0.9)
    model(batch(classes_of(cfg), count=2))
    average.update()
    held = model.matching.queue.queued_tokens.clone()
    with average.applied():
        pass
    assert torch.equal(model.matching.queue.queued_tokens, held) and held.any()


# ------------------------------------------------------------------------ small


def small(*options):
    cfg = load_config(str(MINI), [*SMALL, *options])
    torch.manual_seed(0)
    return cfg, build_model(cfg)


@pytest.mark.parametrize("head", ["open", "closed"])
def test_a_step_of_the_small_model_reaches_all_that_should_train(head):
    cfg, model = small("MODEL.METASEGNET.HEAD", head)
    _, changed, _, reached = take_a_step(cfg, model.train(), batch(vocabulary_of("scenes_train"), size=64, count=2))
    parameters = dict(model.named_parameters())
    chosen = {
        name for name in parameters if not name.startswith(("vision_language.text_tower.", "vision_language.logit_scale"))
    }
    assert reached == chosen and changed & set(parameters) == chosen
    assert len(model.vision_language.visual.transformer.resblocks) == 3  # what is behind is not kept


def test_the_last_block_of_a_tower_trains_whole_where_it_is_read():
    _, model = small("MODEL.METASEGNET.LAYERS", "['stem1', 'stem2', 3, 4]")
    blocks = model.vision_language.visual.transformer.resblocks
    assert len(blocks) == 4 and all(parameter.requires_grad for parameter in blocks.parameters())
    sum(model.train()(batch(vocabulary_of("scenes_train"), size=64, count=2)).values()).backward()
    assert all(parameter.grad is not None for parameter in blocks.parameters())


def test_the_small_model_answers_for_any_words_and_by_what_is_said():
    _, model = small()
    (entry,) = batch(Vocabulary.parse("a red roof, sand, a pond, wheat"), size=64, count=1)
    one, other = (model.eval()([{**entry, "description": prompt}])[0]["sem_seg"] for prompt in PROMPTS)
    assert one.shape == (4, 64, 64) and not torch.allclose(one, other, atol=1e-6)
    assert model.count_tokens("Roofs are flat.") == 6 and model.most_tokens == 250
