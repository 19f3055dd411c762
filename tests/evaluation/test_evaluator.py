import json

import pytest
import torch
from detectron2.evaluation import print_csv_format

from ovrs.errors import DataError
from ovrs.evaluation.evaluator import SegmentationEvaluator
from ovrs.vocabulary import Vocabulary, VocabularyClass

VOCABULARY = Vocabulary((VocabularyClass("ship"), VocabularyClass("bridge", seen=False), VocabularyClass("road")))


def pair(labels, channels=3, prediction=None):
    """An input with these labels, and an output whose best channel is ``prediction`` (the labels themselves by default)."""
    labels = torch.tensor(labels)
    best = labels if prediction is None else torch.tensor(prediction)
    scores = torch.nn.functional.one_hot(best.clamp(max=channels - 1), channels).permute(2, 0, 1).float()
    return {"sem_seg": labels, "file_name": "tile.png"}, {"sem_seg": scores}


def run(evaluator, *pairs):
    evaluator.reset()
    for entry, output in pairs:
        evaluator.process([entry], [output])
    return evaluator.evaluate()


def test_results_have_detectron2s_form_and_files(tmp_path):
    evaluator = SegmentationEvaluator("toy_val", VOCABULARY, tmp_path)
    results = run(evaluator, pair([[0, 1], [2, 255]]), pair([[0, 0], [1, 1]], prediction=[[0, 0], [0, 1]]))
    figures = results["sem_seg"]
    assert figures["IoU-ship"] == pytest.approx(100 * 3 / 4)
    assert figures["IoU-bridge"] == pytest.approx(100 * 2 / 3)
    assert figures["IoU-road"] == pytest.approx(100)
    assert figures["u-mIoU"] == pytest.approx(100 * 2 / 3)
    assert json.loads((tmp_path / "report.json").read_text())["summary"]["mIoU"] == pytest.approx(figures["mIoU"])
    print_csv_format(results)


def test_reset_forgets():
    evaluator = SegmentationEvaluator("toy_val", VOCABULARY)
    run(evaluator, pair([[0, 1]], prediction=[[1, 0]]))
    assert run(evaluator, pair([[0, 1]]))["sem_seg"]["mIoU"] == 100


def test_no_prediction_is_kept():
    evaluator = SegmentationEvaluator("toy_val", VOCABULARY)
    evaluator.process(*zip(*[pair([[0] * 64] * 64)] * 5, strict=True))
    held = [value for value in vars(evaluator).values() if isinstance(value, (list, torch.Tensor))]
    assert held == []
    assert evaluator.confusion.counts.nbytes < 200


def test_a_background_channel_counts_against_the_class():
    evaluator = SegmentationEvaluator("toy_val", VOCABULARY)
    assert run(evaluator, pair([[0, 0]], channels=4, prediction=[[0, 3]]))["sem_seg"]["IoU-ship"] == 50


def test_scores_of_another_size_or_vocabulary_are_refused():
    evaluator = SegmentationEvaluator("toy_val", VOCABULARY)
    entry, output = pair([[0, 1]])
    with pytest.raises(DataError, match=r"tile\.png: scores are \(1, 2\) pixels, labels \(2, 1\)"):
        evaluator.process([{**entry, "sem_seg": entry["sem_seg"].T}], [output])
    with pytest.raises(DataError, match="scores for 7 names, but toy_val has 3"):
        evaluator.process(*([item] for item in pair([[0, 1]], channels=7)))
