import json

import numpy as np
import pytest
import torch
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.evaluation import inference_on_dataset
from detectron2.utils.events import EventStorage
from PIL import Image
from torch import nn

from ovrs.config import load_config
from ovrs.engine.evaluators import build_evaluator
from ovrs.engine.pictures import EvaluationPictures
from ovrs.engine.run_folder import describe
from ovrs.engine.trainer import Trainer
from ovrs.errors import ConfigError
from ovrs.evaluation.evaluator import SegmentationEvaluator
from ovrs.evaluation.referring import ReferringEvaluator


class Halves(nn.Module):
    """Answers every sentence with the left half of the image."""

    def forward(self, batch):
        return [{"sem_seg": (torch.arange(entry["width"]) < entry["width"] / 2).float().expand(1, *entry["mask"].shape)}
                for entry in batch]  # fmt: skip


def samples(count):
    for number in range(count):
        mask = torch.zeros(8, 10, dtype=torch.bool)
        mask[:, : 5 - number] = True
        entry = {"sample_id": str(number), "file_name": "a.png", "expression": "the left half", "mask": mask}
        yield [{**entry, "image": torch.zeros(3, 8, 10, dtype=torch.uint8), "height": 8, "width": 10}]


@pytest.fixture
def sentences(tmp_path):
    """The data set ``toy_refer_val``: three images of 24 x 24 pixels, two sentences each, all of which mean the left half."""
    entries = []
    for number in range(3):
        image, mask = tmp_path / f"{number}.png", tmp_path / f"{number}_mask.png"
        Image.fromarray(np.full((24, 24, 3), 60 * number, np.uint8)).save(image)
        Image.fromarray(np.repeat([[255, 0]], 12, axis=1).repeat(24, axis=0).astype(np.uint8)).save(mask)
        said = {"expressions": ("the left half", "half of it"), "category": "half", "attributes": None}
        entries.append({"file_name": str(image), "mask_file_name": str(mask), "sample_id": f"toy/{number}", **said})
    DatasetCatalog.register("toy_refer_val", lambda: entries)
    MetadataCatalog.get("toy_refer_val").set(evaluator_type="referring")
    yield ["DATASETS.TASK", "referring", "DATASETS.TRAIN", "()", "DATASETS.TEST", '("toy_refer_val",)']
    DatasetCatalog.remove("toy_refer_val")
    MetadataCatalog.remove("toy_refer_val")


def test_the_task_decides_what_is_measured(config_file, tmp_path):
    assert isinstance(build_evaluator(load_config(str(config_file)), "toy_val"), SegmentationEvaluator)
    options = ["DATASETS.TASK", "referring", "TEST.REFERRING.EVAL_AT", "original", "TEST.REFERRING.EMPTY_UNION", "1"]
    options += ["MODEL.FIXED_SIZE", "480", "TEST.REPORT_IMAGES", "3"]
    evaluator = build_evaluator(load_config(str(config_file), options), "any_val")
    assert isinstance(evaluator, ReferringEvaluator)
    assert vars(evaluator.settings) == {"eval_at": "original", "input_side": 480, "empty_union": 1, "report_images": 3}
    results = inference_on_dataset(Halves(), list(samples(3)), evaluator)
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


def test_every_sentence_of_a_data_set_is_asked_and_scored(config_file, tmp_path, sentences):
    cfg = load_config(str(config_file), sentences)
    figures = Trainer.test(cfg, Halves())["referring"]
    assert figures["oIoU"] == figures["mIoU"] == figures["Pr@0.9"] == figures["mIoU-half"] == 100
    content = json.loads((tmp_path / "output/inference/toy_refer_val/report.json").read_text())
    assert (content["samples"], content["images"]) == (6, 3)


def test_sentences_are_drawn_during_training(config_file, tmp_path, sentences):
    with EventStorage():
        paths = EvaluationPictures(load_config(str(config_file), [*sentences, "TEST.PICTURES", "2"])).draw(Halves(), 7)
    assert [str(path.relative_to(tmp_path / "output/pictures")) for path in paths] == [
        "0000007/toy_refer_val-toy_0.png",
        "0000007/toy_refer_val-toy_2.png",
    ]
    with Image.open(paths[0]) as picture:
        colors = {color for _, color in picture.getcolors(100_000)}
    assert {(128, 98, 0), (0, 95, 128)} <= colors  # of the truth and of the answer, over black


def test_the_account_of_a_run_counts_things_and_sentences(config_file, sentences):
    account = describe(load_config(str(config_file), sentences), "evaluation")
    assert account["data_sets"] == {"toy_refer_val": {"images": 3, "things": 3, "sentences": 6}}
