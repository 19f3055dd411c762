import copy

import pytest
import torch
from detectron2.utils.env import seed_all_rng
from torch import nn

from ovrs.config import load_config
from ovrs.engine.checkpointer import Checkpointer
from ovrs.engine.ema import WeightAverage
from ovrs.engine.trainer import Trainer
from ovrs.errors import ConfigError, WeightsError
from ovrs.modeling.weights_files import read_state_dict

AVERAGED = ["SOLVER.EMA_DECAY", "0.5"]


def model_with_every_kind():
    """A trained and a frozen parameter, and a batch norm with running statistics and a count."""
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    model[0].bias.requires_grad_(False)
    return model


def test_the_average_follows_its_definition():
    model = model_with_every_kind()
    average = WeightAverage(model, 0.9)
    expected = model[0].weight.detach().clone()
    for number in range(20):
        with torch.no_grad():
            model[0].weight.add_(torch.randn(3, 2))
        average.update()
        decay = min(0.9, (1 + number) / (10 + number))
        expected = decay * expected + (1 - decay) * model[0].weight.detach()
    torch.testing.assert_close(average.weights["0.weight"], expected)


def test_what_does_not_train_is_not_kept_twice_and_running_statistics_are():
    average = WeightAverage(model_with_every_kind(), 0.9)
    assert set(average.weights) == {"0.weight", "1.weight", "1.bias", "1.running_mean", "1.running_var"}


def test_applied_weights_are_the_average_and_leave_without_a_trace():
    model = model_with_every_kind()
    average = WeightAverage(model, 0.5)
    with torch.no_grad():
        model[0].weight.fill_(3.0)
    before = copy.deepcopy(model.state_dict())
    version = model[0].weight._version
    with pytest.raises(KeyboardInterrupt), average.applied():
        assert torch.equal(model[0].weight, average.weights["0.weight"]) and not (model[0].weight == 3.0).any()
        assert model[0].weight._version > version, "caches of text features see the change"
        raise KeyboardInterrupt
    torch.testing.assert_close(dict(model.state_dict()), dict(before), rtol=0, atol=0)


def test_the_state_comes_back_and_ends_where_it_would_have():
    model = model_with_every_kind()
    average = WeightAverage(model, 0.9)
    average.update()
    other = WeightAverage(model_with_every_kind(), 0.9)
    other.load_state_dict(copy.deepcopy(average.state_dict()))
    assert other.updates == 1
    torch.testing.assert_close(other.weights, average.weights, rtol=0, atol=0)
    assert all(other.weights[name] is not average.weights[name] for name in other.weights)


@pytest.mark.parametrize("decay", [1.0, -0.5, 1.5])
def test_a_decay_outside_its_range_is_refused(decay):
    with pytest.raises(ConfigError, match=f"EMA_DECAY is {decay}"):
        WeightAverage(nn.Linear(1, 1), decay)


@pytest.mark.parametrize("shape", [(4, 2), (1, 2)], ids=["more", "one that would be repeated"])
def test_an_average_of_another_shape_names_the_file(tmp_path, shape):
    model = model_with_every_kind()
    average = WeightAverage(model, 0.9)
    average.weights["0.weight"] = torch.zeros(shape)
    Checkpointer(model, str(tmp_path), ema=average).save("model_0000004")
    own = model_with_every_kind()
    with pytest.raises(WeightsError, match=r"model_0000004.pth: the training's state \(ema\).*0.weight is .*it is \(3, 2\)"):
        Checkpointer(own, str(tmp_path), ema=WeightAverage(own, 0.9)).resume_or_load("", resume=True)


def run(config_file, folder, *options, resume=False):
    seed_all_rng(7)
    trainer = Trainer(load_config(str(config_file), [*AVERAGED, "OUTPUT_DIR", str(folder), *options]))
    trainer.resume_or_load(resume=resume)
    trainer.train()
    return trainer


def test_a_checkpoint_holds_both_and_whoever_wants_weights_gets_the_average(config_file, tmp_path):
    trainer = run(config_file, tmp_path)
    content = torch.load(tmp_path / "model_final.pth", weights_only=True)
    assert torch.equal(content["model"]["head.weight"], trainer.model.head.weight)
    average = content["ema"]["weights"]["head.weight"]
    assert torch.equal(average, trainer.average.weights["head.weight"])
    assert not torch.equal(average, content["model"]["head.weight"])
    weights = read_state_dict(tmp_path / "model_final.pth")
    assert torch.equal(weights["head.weight"], average)
    assert torch.equal(weights["frozen"], trainer.model.frozen)
    best = torch.load(tmp_path / "model_best.pth", weights_only=True)
    assert torch.equal(best["model"]["head.weight"], average)

    later = Trainer(load_config(str(config_file), ["MODEL.WEIGHTS", str(tmp_path / "model_final.pth"), *AVERAGED]))
    later.resume_or_load(resume=False)
    assert torch.equal(later.model.head.weight, average) and later.average.updates == 0
    assert torch.equal(later.average.weights["head.weight"], average)


def test_the_average_is_evaluated(config_file, tmp_path, monkeypatch):
    seen = []

    def note(cls, cfg, model):
        seen.append(model.head.weight.detach().clone())
        return {}

    monkeypatch.setattr(Trainer, "test", classmethod(note))
    trainer = run(config_file, tmp_path)
    assert torch.equal(seen[-1], trainer.average.weights["head.weight"])
    assert not torch.equal(seen[-1], trainer.model.head.weight)


def test_a_resumed_average_is_that_of_an_uninterrupted_training(config_file, tmp_path):
    whole = run(config_file, tmp_path / "whole")
    run(config_file, tmp_path / "parts", "SOLVER.CHECKPOINT_PERIOD", "3")
    for path in ("model_final.pth", "last_checkpoint"):
        (tmp_path / "parts" / path).unlink()
    resumed = run(config_file, tmp_path / "parts", resume=True)
    assert resumed.start_iter == 3 and resumed.average.updates == whole.average.updates == 5
    torch.testing.assert_close(resumed.average.weights, whole.average.weights, rtol=0, atol=1e-6)
    torch.testing.assert_close(resumed.model.head.weight, whole.model.head.weight, rtol=0, atol=1e-6)


def test_a_training_can_leave_its_average_behind(config_file, tmp_path):
    run(config_file, tmp_path, "SOLVER.MAX_ITER", "3")
    raw = torch.load(tmp_path / "model_final.pth", weights_only=True)["model"]["head.weight"]
    trainer = Trainer(load_config(str(config_file), ["OUTPUT_DIR", str(tmp_path)]))
    trainer.resume_or_load(resume=True)
    assert trainer.average is None and torch.equal(trainer.model.head.weight, raw)
