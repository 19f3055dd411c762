import json

import pytest
import torch
from detectron2.utils.events import EventStorage
from torch import nn

from ovrs.config import load_config
from ovrs.engine.setup import choose_device
from ovrs.engine.trainer import Trainer, TrainingStep


def trained(config_file, *options, resume=False):
    trainer = Trainer(load_config(str(config_file), options))
    trainer.resume_or_load(resume=resume)
    trainer.train()
    return trainer


def test_training_evaluates_logs_and_saves(config_file, tmp_path):
    trainer = trained(config_file, "TEST.EVAL_PERIOD", "3")
    output = tmp_path / "output"
    assert trainer.iter == 5
    assert (output / "last_checkpoint").read_text() == "model_final.pth"
    assert any(path.name.startswith("events.out.tfevents") for path in output.iterdir())
    lines = [json.loads(line) for line in (output / "metrics.json").read_text().splitlines()]
    assert {"total_loss", "lr", "grad_norm", "sem_seg/mIoU", "sem_seg/u-mIoU"} <= {key for line in lines for key in line}
    report = json.loads((output / "inference" / "toy_val" / "report.json").read_text())
    assert [entry["name"] for entry in report["classes"]] == ["dark", "bright", "red"]
    assert sum(map(sum, report["confusion"])) == 4 * 24 * 24


def test_a_longer_training_learns(config_file, tmp_path):
    faster = ["SOLVER.CLIP_GRADIENTS.CLIP_VALUE", "1.0", "SOLVER.VISION_LANGUAGE_MULTIPLIER", "1.0"]
    trained(config_file, "SOLVER.MAX_ITER", "80", "DATASETS.TRAIN_CLASSES", "all", "INPUT.COLOR_JITTER", "False", *faster)
    summary = json.loads((tmp_path / "output" / "inference" / "toy_val" / "report.json").read_text())["summary"]
    assert summary["s-mIoU"] > 80


def test_resuming_restores_optimizer_schedule_and_iteration(config_file):
    first = trained(config_file, "SOLVER.MAX_ITER", "3")
    second = Trainer(load_config(str(config_file)))
    second.resume_or_load(resume=True)
    assert second.start_iter == 3
    assert second.scheduler.last_epoch == 3
    for mine, theirs in zip(second.model.state_dict().values(), first.model.state_dict().values(), strict=True):
        assert torch.equal(mine, theirs)
    for mine, theirs in zip(second.optimizer.state.values(), first.optimizer.state.values(), strict=True):
        assert torch.equal(mine["exp_avg"], theirs["exp_avg"]) and mine["step"] == theirs["step"] == 3
    # The schedule is that of the new length, at the iteration reached.
    expected = Trainer(load_config(str(config_file)))
    for _ in range(3):
        expected.optimizer.step()
        expected.scheduler.step()
    rates = [group["lr"] for group in second.optimizer.param_groups]
    assert rates == pytest.approx([group["lr"] for group in expected.optimizer.param_groups])
    second.train()
    assert second.iter == 5
    assert all(state["step"] == 5 for state in second.optimizer.state.values())


def test_a_resumed_training_reads_from_its_own_class_s_loader(config_file):
    trained(config_file, "SOLVER.MAX_ITER", "1", "DATASETS.TEST", "()")
    starts = []

    class Own(Trainer):
        @classmethod
        def build_train_loader(cls, cfg, *, start=0):
            starts.append(start)
            return super().build_train_loader(cfg, start=start)

    Own(load_config(str(config_file))).resume_or_load(resume=True)
    assert starts == [0, 1]


def test_without_resume_a_training_starts_over(config_file):
    trained(config_file, "SOLVER.MAX_ITER", "2")
    again = Trainer(load_config(str(config_file)))
    again.resume_or_load(resume=False)
    assert again.start_iter == 0


def test_the_same_seed_gives_the_same_weights(config_file):
    from detectron2.utils.env import seed_all_rng

    states = []
    for seed in (7, 7, 8):
        seed_all_rng(seed)
        states.append(trained(config_file, "SOLVER.MAX_ITER", "2").model.state_dict())
    assert torch.equal(states[0]["head.weight"], states[1]["head.weight"])
    assert not torch.equal(states[0]["head.weight"], states[2]["head.weight"])


class Squares(nn.Module):
    """Loss with gradient (30, 40) in one tensor and (0.5,) in another."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(1))

    def forward(self, batch):
        return {"loss": 30 * self.a[0] + 40 * self.a[1] + 0.5 * self.b.sum()}


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("full_model", (0.6, 0.8, 0.01)), ("norm", (0.6, 0.8, 0.5)), ("value", (1.0, 1.0, 0.5)), (None, (30.0, 40.0, 0.5))],
)
def test_gradients_are_clipped_as_configured(kind, expected, config_file):
    clip = load_config(str(config_file)).SOLVER.CLIP_GRADIENTS.clone()
    clip.defrost()
    clip.ENABLED, clip.CLIP_TYPE, clip.CLIP_VALUE = kind is not None, kind or "norm", 1.0
    model = Squares()
    step = TrainingStep(model, [[]], torch.optim.SGD(model.parameters(), lr=1.0), clip=clip)
    with EventStorage():
        step.run_step()
    assert (-torch.cat([model.a, model.b])).tolist() == pytest.approx(expected, rel=1e-3)


def test_a_loss_that_is_not_finite_stops_the_training(config_file):
    class Broken(Squares):
        def forward(self, batch):
            return {"loss": self.a.sum() * float("nan")}

    model = Broken()
    step = TrainingStep(
        model, [[]], torch.optim.SGD(model.parameters(), lr=1.0), clip=load_config(str(config_file)).SOLVER.CLIP_GRADIENTS
    )
    with EventStorage(), pytest.raises(FloatingPointError):
        step.run_step()
    assert not model.a.isnan().any()


def test_a_missing_cuda_device_becomes_the_cpu(config_file, monkeypatch):
    cfg = load_config(str(config_file), ["MODEL.DEVICE", "cuda"])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device(cfg).MODEL.DEVICE == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device(cfg).MODEL.DEVICE == "cuda"
