import pytest
import torch
from detectron2.evaluation import inference_on_dataset
from torch import nn

from ovrs.config import load_config
from ovrs.engine.evaluators import build_evaluator
from ovrs.engine.trainer import Trainer
from ovrs.errors import ConfigError
from ovrs.evaluation.evaluator import SegmentationEvaluator
from ovrs.evaluation.referring import ReferringEvaluator


class Halves(nn.Module):
    """Answers every sentence with the left half of the image."""

    def forward(self, batch):
        return [{"sem_seg": (torch.arange(entry["width"]) < entry["width"] / 2).float().expand(1, *entry["mask"].shape)}
                for entry in batch]  # fmt: skip


def sentences(count):
    for number in range(count):
        mask = torch.zeros(8, 10, dtype=torch.bool)
        mask[:, : 5 - number] = True
        image = torch.zeros(3, 8, 10, dtype=torch.uint8)
        yield [
            {
                **{"sample_id": str(number), "file_name": "a.png", "expression": "the left half", "image": image, "mask": mask},
                **{"height": 8, "width": 10},
            }
        ]


def test_the_task_decides_what_is_measured(config_file, tmp_path):
    assert isinstance(build_evaluator(load_config(str(config_file)), "toy_val"), SegmentationEvaluator)
    options = ["DATASETS.TASK", "referring", "TEST.REFERRING.EVAL_AT", "original", "TEST.REFERRING.EMPTY_UNION", "1"]
    options += ["MODEL.FIXED_SIZE", "480", "TEST.REPORT_IMAGES", "3"]
    evaluator = build_evaluator(load_config(str(config_file), options), "any_val")
    assert isinstance(evaluator, ReferringEvaluator)
    assert vars(evaluator.settings) == {"eval_at": "original", "input_side": 480, "empty_union": 1, "report_images": 3}
    results = inference_on_dataset(Halves(), list(sentences(3)), evaluator)
    assert results["referring"]["mIoU"] == pytest.approx(100 * (1 + 0.8 + 0.6) / 3)
    assert (tmp_path / "output/inference/any_val/report.json").is_file()
    with pytest.raises(ConfigError, match=r"DATASETS\.TASK is 'referral'; choose segmentation or referring"):
        build_evaluator(load_config(str(config_file), ["DATASETS.TASK", "referral"]), "toy_val")


@pytest.mark.parametrize(("metric", "best"), [("mIoU", 2), ("Pr@0.9", 1), ("h-mIoU", 2)])
def test_the_best_weights_are_those_of_a_referring_figure(config_file, tmp_path, monkeypatch, metric, best):
    left = iter([{"oIoU": 50.0, "mIoU": 20.0, "Pr@0.9": 9.0}, {"oIoU": 10.0, "mIoU": 30.0, "Pr@0.9": 1.0}])
    monkeypatch.setattr(Trainer, "test", classmethod(lambda *_: {"referring": next(left)}))
    options = ["TEST.EVAL_PERIOD", "1", "SOLVER.MAX_ITER", "2", "TEST.PICTURES", "0", "TEST.BEST_METRIC", metric]
    Trainer(load_config(str(config_file), options)).train()
    kept = torch.load(tmp_path / "output/model_best.pth", weights_only=True)["best"]
    assert kept["iteration"] == best and kept["metric"] == ("mIoU" if metric == "h-mIoU" else metric)
