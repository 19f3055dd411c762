import json

import numpy as np
import pytest
import torch
from detectron2.evaluation import print_csv_format
from detectron2.utils import comm

from ovrs.engine.launch import launch
from ovrs.errors import DataError
from ovrs.evaluation.boundary import band
from ovrs.evaluation.evaluator import SegmentationEvaluator
from ovrs.evaluation.settings import EvaluationSettings
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


def test_results_have_detectron2s_form(tmp_path):
    evaluator = SegmentationEvaluator("toy_val", VOCABULARY, tmp_path)
    results = run(evaluator, pair([[0, 1], [2, 255]]), pair([[0, 0], [1, 1]], prediction=[[0, 0], [0, 1]]))
    figures = results["sem_seg"]
    assert {"mIoU", "s-mIoU", "u-mIoU", "h-mIoU", "mACC", "pACC", "fwIoU"} <= figures.keys()
    assert figures["IoU-ship"] == pytest.approx(100 * 3 / 4)
    assert figures["IoU-bridge"] == pytest.approx(100 * 2 / 3)
    assert figures["IoU-road"] == pytest.approx(100)
    assert figures["ACC-bridge"] == pytest.approx(100 * 2 / 3)
    assert figures["u-mIoU"] == pytest.approx(100 * 2 / 3)
    assert json.loads((tmp_path / "report.json").read_text())["summary"]["mIoU"] == pytest.approx(figures["mIoU"])
    print_csv_format(results)


def test_reset_forgets():
    evaluator = SegmentationEvaluator("toy_val", VOCABULARY)
    run(evaluator, pair([[0, 1]], prediction=[[1, 0]]))
    assert run(evaluator, pair([[0, 1]]))["sem_seg"]["mIoU"] == 100


def test_what_is_kept_does_not_grow_with_the_data(tmp_path):
    evaluator = SegmentationEvaluator("toy_val", VOCABULARY, tmp_path, EvaluationSettings(report_images=2))
    rng = np.random.default_rng(0)
    for number in range(12):
        entry, output = pair(rng.integers(0, 3, (700, 8)).tolist(), prediction=rng.integers(0, 3, (700, 8)).tolist())
        evaluator.process([{**entry, "file_name": f"{number}.png"}], [output])
    kept = [*evaluator.examples.worst, *evaluator.examples.best]
    assert len(kept) == 4 and max(max(example.truth.shape) for example in kept) <= 512
    assert all(example.image.shape[:2] == example.truth.shape for example in kept)
    scores = sorted((miou, name) for name, miou in evaluator.examples.scores)
    assert [example.rank for example in kept] == [*scores[:2], *scores[-2:]]


def test_a_background_channel_counts_against_the_class():
    evaluator = SegmentationEvaluator("toy_val", VOCABULARY)
    figures = run(evaluator, pair([[0, 0]], channels=4, prediction=[[0, 3]]))["sem_seg"]
    assert figures["IoU-ship"] == 50
    # Without the background all of the classes score 0 there, and the first of equals is the ship.
    assert figures["mIoU-without-background"] == 100


def test_a_class_named_background_can_be_left_out_of_the_mean():
    vocabulary = Vocabulary.from_names(["Background", "road"])
    entry, output = pair([[0, 0, 0, 1]], channels=2, prediction=[[0, 0, 1, 1]])
    figures = run(SegmentationEvaluator("toy_val", vocabulary), (entry, output))["sem_seg"]
    assert figures["mIoU-without-background"] == pytest.approx(50)
    assert figures["mIoU"] == pytest.approx((200 / 3 + 50) / 2)


def test_unseen_names_that_never_win_are_ranked_among_themselves():
    vocabulary = Vocabulary((VocabularyClass("a"), VocabularyClass("b", seen=False), VocabularyClass("c", seen=False)))
    scores = torch.tensor([[[0.9, 0.9]], [[0.5, 0.2]], [[0.4, 0.4]]])
    evaluator = SegmentationEvaluator("toy_val", vocabulary)
    figures = run(evaluator, ({"sem_seg": torch.tensor([[1, 2]])}, {"sem_seg": scores}))["sem_seg"]
    assert figures["u-mIoU"] == 0 and figures["u-only-mIoU"] == 100


def test_scores_of_another_size_or_vocabulary_are_refused():
    evaluator = SegmentationEvaluator("toy_val", VOCABULARY)
    entry, output = pair([[0, 1]])
    with pytest.raises(DataError, match=r"tile\.png: scores are \(1, 2\) pixels, labels \(2, 1\)"):
        evaluator.process([{**entry, "sem_seg": entry["sem_seg"].T}], [output])
    with pytest.raises(DataError, match="scores for 7 names, but toy_val has 3"):
        evaluator.process(*([item] for item in pair([[0, 1]], channels=7)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_scores_of_any_precision_are_read(dtype):
    entry, output = pair([[0, 1, 2]])
    evaluator = SegmentationEvaluator("toy_val", VOCABULARY, None, EvaluationSettings(calibration=1.0))
    assert run(evaluator, (entry, {"sem_seg": output["sem_seg"].to(dtype)}))["sem_seg"]["mIoU"] == 100


@pytest.mark.parametrize("channel", range(4), ids=["seen", "unseen", "seen, last", "background"])
def test_scores_that_are_not_numbers_are_refused_where_they_count(channel):
    evaluator = SegmentationEvaluator("toy_val", VOCABULARY)
    entry, output = pair([[0, 1, 255]], channels=4)
    output["sem_seg"][channel, 0, 2] = torch.nan
    evaluator.process([entry], [output])
    output["sem_seg"][channel, 0, 1] = torch.nan
    with pytest.raises(DataError, match=r"tile\.png: scores that are not numbers"):
        evaluator.process([entry], [output])
    assert evaluator.tallies.plain.counts.sum() == 2


def test_a_band_runs_along_changes_and_the_border():
    labels = np.zeros((9, 12), int)
    labels[:, 8:] = 1
    expected = np.ones((9, 12), bool)
    expected[2:7, 2:6] = False  # two pixels from the border and from the change between columns 7 and 8
    assert np.array_equal(band(labels, 2), expected)
    assert band(labels, 9).all()


def shares(rank, size):
    """What process ``rank`` of ``size`` sees of nine random images, by turns."""
    rng = np.random.default_rng(11)
    for number in range(9):
        labels = rng.choice([0, 1, 2, 255], (12, 14))
        scores = rng.random((3, 12, 14)).astype(np.float32)
        if number % size == rank:
            image = torch.full((3, 12, 14), 20 * number, dtype=torch.uint8)
            entry = {"sem_seg": torch.from_numpy(labels), "file_name": f"{number}.png", "image": image}
            yield entry, {"sem_seg": torch.from_numpy(scores)}


def evaluate_share(folder, size):
    settings = EvaluationSettings(calibration=0.5, grid=(-1.0, 0.0, 1.0), report_images=2)
    results = run(SegmentationEvaluator("toy_val", VOCABULARY, folder, settings), *shares(comm.get_rank(), size))
    assert (results is not None) == comm.is_main_process()


def test_two_processes_write_the_report_of_one_byte_by_byte(tmp_path):
    evaluate_share(tmp_path / "one", 1)
    launch(evaluate_share, 0, num_processes=2, args=(tmp_path / "two", 2))
    paths = [path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.*")]
    assert len(paths) == 5 + 4
    for path in paths:
        assert (tmp_path / "one" / path).read_bytes() == (tmp_path / "two" / path).read_bytes(), path
