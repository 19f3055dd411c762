"""Evaluations that a killed training owes, and earlier trainings in its folder."""

import pytest
import torch
from detectron2.utils.env import seed_all_rng

from ovrs.config import load_config
from ovrs.engine.trainer import Trainer

PERIODS = ["TEST.EVAL_PERIOD", "2", "SOLVER.CHECKPOINT_PERIOD", "2", "TEST.PICTURES", "1"]


def train(config_file, *options, resume=False):
    seed_all_rng(7)
    trainer = Trainer(load_config(str(config_file), [*PERIODS, *options]))
    trainer.resume_or_load(resume=resume)
    trainer.train()
    return trainer


@pytest.fixture
def evaluations(monkeypatch):
    """The h-mIoU that evaluations give, one after the other; an exception is raised instead."""
    left = []

    def test(*_):
        figure = left.pop(0)
        if isinstance(figure, BaseException):
            raise figure
        return {"sem_seg": {"h-mIoU": figure, "mIoU": 50.0}}

    monkeypatch.setattr(Trainer, "test", classmethod(test))
    return left


def test_an_evaluation_that_was_not_finished_comes_first_on_resume(config_file, tmp_path, evaluations):
    output = tmp_path / "output"
    evaluations[:] = [KeyboardInterrupt()]
    with pytest.raises(KeyboardInterrupt):
        train(config_file)
    assert (output / "last_checkpoint").read_text() == "model_0000001.pth" and not (output / "last_evaluation").exists()
    evaluations[:] = [40.0, 30.0, 20.0]
    resumed = train(config_file, resume=True)
    assert resumed.start_iter == 2 and evaluations == []
    assert resumed.best.best["iteration"] == 2 and (output / "last_evaluation").read_text() == "5"
    assert {path.name for path in (output / "pictures").iterdir()} == {"0000002", "0000004", "0000005"}
    figures = resumed.storage.history("sem_seg/h-mIoU").values()
    assert figures == [(40.0, 1), (30.0, 3), (20.0, 5)]

    evaluations[:] = [40.0, 30.0, 20.0]
    whole = train(config_file, "OUTPUT_DIR", str(tmp_path / "whole"))
    assert whole.storage.history("sem_seg/h-mIoU").values() == figures
    assert torch.equal(resumed.model.head.weight, whole.model.head.weight)


def test_a_finished_evaluation_is_not_repeated_on_resume(config_file, tmp_path, evaluations):
    evaluations[:] = [10.0, 10.0]
    train(config_file, "SOLVER.MAX_ITER", "4")
    evaluations[:] = [20.0]
    assert train(config_file, resume=True).start_iter == 4 and evaluations == []


def test_a_new_training_sets_an_earlier_one_aside(config_file, tmp_path, evaluations, caplog):
    output = tmp_path / "output"
    evaluations[:] = [30.0, 20.0, 10.0]
    train(config_file)
    held = {"model_0000001.pth", "model_0000003.pth", "model_final.pth", "model_best.pth", "last_checkpoint"}
    final = (output / "model_final.pth").read_bytes()
    # From the earlier one's weights, as an error advises; and killed before it has saved anything.
    weights = ["MODEL.WEIGHTS", str(output / "model_final.pth")]
    anew = Trainer(load_config(str(config_file), [*PERIODS, *weights]))
    anew.checkpointer.logger.propagate = True
    anew.resume_or_load(resume=False)
    assert torch.equal(anew.model.head.weight, torch.load(output / "earlier-1/model_final.pth")["model"]["head.weight"])
    warning = next(record.getMessage() for record in caplog.records if "held an earlier training" in record.getMessage())
    assert str(output / "earlier-1") in warning and "--resume" in warning and "another OUTPUT_DIR" in warning
    assert {path.name for path in (output / "earlier-1").iterdir()} == held and not list(output.glob("*.pth"))
    assert (output / "earlier-1/model_final.pth").read_bytes() == final

    evaluations[:] = [5.0, KeyboardInterrupt()]
    with pytest.raises(KeyboardInterrupt):
        train(config_file, resume=True)
    evaluations[:] = [4.0, 3.0]
    resumed = train(config_file, resume=True)
    assert resumed.start_iter == 4 and resumed.best.best["value"] == 5.0 and evaluations == []
    resumed.resume_or_load(resume=False)
    assert (output / "earlier-2/model_final.pth").is_file() and (output / "earlier-1/model_final.pth").read_bytes() == final
