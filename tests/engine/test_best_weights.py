import logging
import math

import pytest
import torch
from torch import nn

from ovrs.config import load_config
from ovrs.engine.best_weights import BestWeights
from ovrs.engine.checkpointer import Checkpointer
from ovrs.engine.trainer import Trainer


@pytest.fixture
def best(tmp_path):
    return BestWeights(Checkpointer(nn.Linear(1, 1), str(tmp_path)), "h-mIoU")


def stored(best):
    return torch.load(best.path, weights_only=True)["best"]


def test_only_a_better_one_replaces_the_best(best):
    assert best.consider({"h-mIoU": 10.0, "mIoU": 20.0}, 5)
    with torch.no_grad():
        best.checkpointer.model.weight.fill_(7.0)
    assert not best.consider({"h-mIoU": 9.0, "mIoU": 90.0}, 10)
    assert not best.consider({"h-mIoU": 10.0, "mIoU": 20.0}, 15)
    assert stored(best) == {"metric": "h-mIoU", "value": 10.0, "mIoU": 20.0, "iteration": 5}
    assert not (torch.load(best.path, weights_only=True)["model"]["weight"] == 7.0).any()
    assert best.consider({"h-mIoU": 11.0, "mIoU": 1.0}, 20)
    assert stored(best)["iteration"] == 20
    assert (torch.load(best.path, weights_only=True)["model"]["weight"] == 7.0).all()


def test_while_no_unseen_class_is_found_the_better_miou_counts(best):
    assert best.consider({"h-mIoU": 0.0, "mIoU": 20.0}, 1)
    assert best.consider({"h-mIoU": 0.0, "mIoU": 21.0}, 2)
    assert not best.consider({"h-mIoU": 0.0, "mIoU": 19.0}, 3)


def test_without_unseen_classes_it_is_miou_and_the_log_says_so(best, caplog):
    with caplog.at_level(logging.INFO):
        assert best.consider({"mIoU": 20.0}, 1)
    assert "no h-mIoU" in caplog.text and "chosen by mIoU" in caplog.text
    assert best.consider({"mIoU": 21.0}, 2) and stored(best)["metric"] == "mIoU"


def test_a_metric_that_does_not_exist_is_warned_of_with_those_that_do(best, caplog):
    best.metric = "hIoU"
    assert best.consider({"mIoU": 20.0, "h-mIoU": 10.0}, 1) and stored(best)["metric"] == "mIoU"
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert "no hIoU" in warnings[0] and warnings[1].endswith("can be mIoU, h-mIoU")


def test_where_all_classes_are_unseen_it_is_miou_and_the_log_says_so(best, caplog):
    def figures(miou):
        return {"s-mIoU": math.nan, "u-mIoU": miou, "h-mIoU": math.nan, "mIoU": miou}

    with caplog.at_level(logging.INFO):
        assert best.consider(figures(20.0), 1)
    assert "gives h-mIoU no value" in caplog.text and "chosen by mIoU" in caplog.text
    assert not best.consider(figures(19.0), 2)
    assert best.consider(figures(21.0), 3) and stored(best)["metric"] == "mIoU"
    assert not best.consider(figures(math.nan), 4) and stored(best)["iteration"] == 3


def test_a_figure_that_is_not_known_replaces_nothing(best, caplog):
    best.consider({"h-mIoU": 1.0, "mIoU": 1.0}, 1)
    assert not best.consider({"h-mIoU": math.nan, "mIoU": 99.0}, 2)
    assert stored(best)["iteration"] == 1 and "h-mIoU is not known at iteration 2" in caplog.text


def test_the_best_survives_a_new_start_and_a_damaged_file_does_not_stop_it(best, caplog):
    best.consider({"h-mIoU": 10.0, "mIoU": 20.0}, 5)
    again = BestWeights(best.checkpointer, "h-mIoU")
    again.resume()
    assert not again.consider({"h-mIoU": 9.0, "mIoU": 20.0}, 10)
    best.path.write_bytes(best.path.read_bytes()[:100])
    broken = BestWeights(best.checkpointer, "h-mIoU")
    broken.resume()
    assert "model_best.pth cannot be read" in caplog.text
    assert broken.consider({"h-mIoU": 1.0, "mIoU": 2.0}, 10)


def evaluations(monkeypatch, figures):
    """Evaluations that give these h-mIoU, one after the other."""
    left = iter(figures)
    monkeypatch.setattr(
        Trainer, "test", classmethod(lambda *_: {"sem_seg": {"h-mIoU": next(left), "mIoU": 50.0}}), raising=True
    )


def train(config_file, *options, resume=False):
    trainer = Trainer(load_config(str(config_file), ["TEST.EVAL_PERIOD", "1", *options]))
    trainer.resume_or_load(resume=resume)
    trainer.train()
    return trainer


def test_a_training_keeps_its_best_through_a_resume(config_file, tmp_path, monkeypatch):
    path = tmp_path / "output/model_best.pth"
    evaluations(monkeypatch, [5.0, 30.0, 20.0])
    train(config_file, "SOLVER.MAX_ITER", "3")
    assert torch.load(path, weights_only=True)["best"]["iteration"] == 2
    evaluations(monkeypatch, [25.0, 31.0])
    train(config_file, "SOLVER.MAX_ITER", "5", resume=True)
    content = torch.load(path, weights_only=True)
    assert content["best"] == {"metric": "h-mIoU", "value": 31.0, "mIoU": 50.0, "iteration": 5}
    assert (tmp_path / "output/last_checkpoint").read_text() == "model_final.pth", (
        "a resume goes on from the last, not the best"
    )
    # A training that starts over owes nothing to the one before.
    evaluations(monkeypatch, [1.0])
    train(config_file, "SOLVER.MAX_ITER", "1")
    assert torch.load(path, weights_only=True)["best"]["value"] == 1.0


def test_the_best_weights_score_what_their_file_says(config_file, tmp_path):
    trained = train(config_file, "SOLVER.CLIP_GRADIENTS.CLIP_VALUE", "1.0")
    path = tmp_path / "output/model_best.pth"
    best = torch.load(path, weights_only=True)["best"]
    assert best["metric"] == "h-mIoU"
    cfg = load_config(str(config_file), ["MODEL.WEIGHTS", str(path), "OUTPUT_DIR", str(tmp_path / "again")])
    model = Trainer.build_model(cfg)
    Checkpointer(model).load(str(path))
    figures = Trainer.test(cfg, model)["sem_seg"]
    assert (figures["h-mIoU"], figures["mIoU"]) == pytest.approx((best["value"], best["mIoU"]), abs=1e-6)
    history = trained.storage.histories()
    values = [[value for value, _ in history[f"sem_seg/{name}"].values()] for name in ("h-mIoU", "mIoU")]
    assert (best["value"], best["mIoU"]) == pytest.approx(max(zip(*values, strict=True)), abs=1e-6)
    assert trained.best.best == best
