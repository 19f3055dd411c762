import json

import numpy as np
import pytest
import torch

from ovrs.errors import DataError
from ovrs.evaluation.calibration import choose_constant
from ovrs.evaluation.evaluator import SegmentationEvaluator
from ovrs.evaluation.settings import EvaluationSettings
from ovrs.vocabulary import Vocabulary, VocabularyClass

SEEN = np.array([True, False, True, False, True])
VOCABULARY = Vocabulary(tuple(VocabularyClass(f"class {i}", seen=bool(flag)) for i, flag in enumerate(SEEN)))


def evaluate(folder, truth, scores, **settings):
    evaluator = SegmentationEvaluator("toy_val", VOCABULARY, folder, EvaluationSettings(**settings))
    evaluator.process([{"sem_seg": torch.from_numpy(truth)}], [{"sem_seg": torch.from_numpy(scores)}])
    evaluator.evaluate()
    return json.loads((folder / "report.json").read_text())


def summary(truth, scores, **settings):
    """The same figures without any file."""
    evaluator = SegmentationEvaluator("toy_val", VOCABULARY, None, EvaluationSettings(**settings))
    evaluator.process([{"sem_seg": torch.from_numpy(truth)}], [{"sem_seg": torch.from_numpy(scores)}])
    return evaluator.evaluate()["sem_seg"]


@pytest.fixture
def image():
    """Labels and scores of 40 x 40 pixels; scores of seen names are lifted, as training does."""
    rng = np.random.default_rng(5)
    truth = rng.integers(0, 5, (40, 40))
    logits = rng.normal(0, 1, (5, 40, 40)) + 2.5 * SEEN[:, None, None]
    logits[truth, np.arange(40)[:, None], np.arange(40)] += 1.5
    return truth, (1 / (1 + np.exp(-logits))).astype(np.float32)


def test_one_pass_over_the_grid_is_a_pass_for_each_constant(tmp_path, image):
    grid = (-1.0, 0.0, 0.5, 2.5, 20.0, 40.0)
    curve = evaluate(tmp_path, *image, grid=grid)["calibration_curve"]
    assert [row["constant"] for row in curve] == list(grid)
    for row in curve:
        alone = summary(*image, calibration=row["constant"])
        prefix = "calibrated-" if row["constant"] else ""
        assert {name: alone[prefix + name] for name in ("mIoU", "s-mIoU", "u-mIoU", "h-mIoU")} == {
            name: value for name, value in row.items() if name != "constant"
        }


def test_the_constant_takes_the_bias_off_and_at_last_the_seen_names_out(tmp_path, image):
    curve = evaluate(tmp_path, *image, grid=(0.0, 2.5, 40.0))["calibration_curve"]
    assert curve[1]["h-mIoU"] > curve[0]["h-mIoU"] + 5
    assert curve[2]["s-mIoU"] == 0 < curve[2]["u-mIoU"]


def test_plain_figures_do_not_depend_on_the_constant(image):
    plain, calibrated = summary(*image), summary(*image, calibration=2.5)
    assert {name: calibrated[name] for name in plain} == plain
    assert calibrated["calibrated-h-mIoU"] > plain["h-mIoU"]


def test_saturated_scores_are_decided_as_the_plain_argmax_does_at_0(tmp_path):
    # Logits of all of these are clamped to the same value: only the scores themselves tell them apart.
    scores = np.array([0.0, 1e-9, 0.0, 2e-9, 0.0], np.float32)[:, None, None]
    report = evaluate(tmp_path, np.array([[3]]), scores, grid=(0.0,))
    assert report["summary"]["u-mIoU"] == 100 == report["calibration_curve"][0]["u-mIoU"]


def test_a_certain_seen_name_is_worth_a_logit_of_less_than_14(tmp_path):
    scores = np.array([1.0, 0.5, 0.0, 0.0, 0.0], np.float32)[:, None, None]
    curve = evaluate(tmp_path, np.array([[1]]), scores, grid=(13.5, 14.0))["calibration_curve"]
    assert [row["u-mIoU"] for row in curve] == [0, 100]


def test_the_choice_is_the_best_mean_over_folds():
    choice = choose_constant([0.0, 1.0, 2.0, 3.0], {"a": [0, 30, 20, 0], "b": [0, 10, 28, 0], "c": [0, 20, 12.5, 0]})
    assert (choice.constant, choice.mean, choice.at_edge) == (2.0, pytest.approx(60.5 / 3), False)
    assert choose_constant([0.0, 1.0], {"a": [5, 5]}).constant == 0.0
    assert choose_constant([0.0, 1.0], {"a": [5, 6]}).at_edge


@pytest.mark.parametrize(
    ("folds", "message"),
    [({}, "no fold"), ({"a": [1.0]}, "a: 1 values for 2"), ({"b": [1.0, float("nan")]}, "b: h-mIoU is undefined")],
)
def test_folds_that_cannot_be_compared_are_refused(folds, message):
    with pytest.raises(DataError, match=message):
        choose_constant([0.0, 1.0], folds)
