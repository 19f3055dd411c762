import csv
import json
import math

import numpy as np
import pytest

from ovrs.errors import OutputError
from ovrs.evaluation.confusion import ConfusionMatrix
from ovrs.evaluation.reports import build_report, harmonic_mean, write_report
from ovrs.vocabulary import Vocabulary, VocabularyClass

VOCABULARY = Vocabulary(
    (
        VocabularyClass("ship"),
        VocabularyClass("bridge", seen=False),
        VocabularyClass("road"),
        VocabularyClass("plane", seen=False),
    )
)


def plain_iou(truth, prediction, label):
    """IoU written as it is defined, over pixels that count."""
    truth, prediction = truth[truth != 255], prediction[truth != 255]
    return 100 * ((truth == label) & (prediction == label)).sum() / ((truth == label) | (prediction == label)).sum()


@pytest.fixture
def maps():
    rng = np.random.default_rng(3)
    truth = rng.choice([0, 1, 2, 255], size=(30, 50), p=[0.5, 0.2, 0.2, 0.1])
    prediction = np.where(rng.random((30, 50)) < 0.6, np.minimum(truth, 3), rng.integers(0, 4, (30, 50)))
    return truth, prediction


def counts_of(*pairs):
    matrix = ConfusionMatrix(4)
    for truth, prediction in pairs:
        matrix.add(truth, prediction)
    return matrix.counts


def test_counts_are_those_of_a_plain_loop(maps):
    truth, prediction = maps
    expected = np.zeros((4, 5), int)
    for true, chosen in zip(truth.flat, prediction.flat, strict=True):
        if true != 255:
            expected[true, chosen] += 1
    assert np.array_equal(counts_of(maps), expected)


def test_counting_in_parts_is_counting_the_whole(maps):
    truth, prediction = maps
    assert np.array_equal(counts_of((truth[:10], prediction[:10]), (truth[10:], prediction[10:])), counts_of(maps))


def test_figures_are_the_definitions(maps):
    report = build_report(counts_of(maps), VOCABULARY)
    ious = [plain_iou(*maps, label) for label in range(3)]
    assert [score.iou for score in report.classes[:3]] == pytest.approx(ious)
    assert math.isnan(report.classes[3].iou)
    assert report.summary["mIoU"] == pytest.approx(np.mean(ious))
    # "plane" was predicted but never true: Detectron2 0.6 counts it as a class of IoU 0.
    assert report.summary["mIoU-0.6"] == pytest.approx(sum(ious) / 4)
    assert report.summary["s-mIoU"] == pytest.approx((ious[0] + ious[2]) / 2)
    assert report.summary["u-mIoU"] == pytest.approx(ious[1])
    assert report.summary["h-mIoU"] == pytest.approx(2 / (2 / (ious[0] + ious[2]) + 1 / ious[1]))
    truth, prediction = (array[maps[0] != 255] for array in maps)
    assert report.summary["pACC"] == pytest.approx(100 * (truth == prediction).mean())


def test_a_perfect_map_scores_100_and_a_wrong_one_0():
    truth = np.array([[0, 1], [2, 3]])
    assert build_report(counts_of((truth, truth)), VOCABULARY).summary == pytest.approx(
        dict.fromkeys(("mIoU", "fwIoU", "mACC", "pACC", "mIoU-0.6", "s-mIoU", "u-mIoU", "h-mIoU"), 100.0)
    )
    wrong = build_report(counts_of((truth, (truth + 1) % 4)), VOCABULARY)
    assert set(wrong.summary.values()) == {0.0}


def test_background_takes_pixels_from_a_class_and_gives_them_to_none():
    report = build_report(counts_of((np.array([0, 0, 1, 1]), np.array([0, 4, 1, 1]))), VOCABULARY)
    assert [score.iou for score in report.classes[:2]] == [50.0, 100.0]


def test_without_unseen_classes_there_is_no_split_figure():
    report = build_report(np.diag([3, 4]).astype(np.int64)[:, [0, 1, 1]] * [1, 1, 0], Vocabulary.from_names(["a", "b"]))
    assert "h-mIoU" not in report.summary
    assert report.summary["mIoU"] == 100


@pytest.mark.parametrize(("seen", "unseen", "expected"), [(60.0, 30.0, 40.0), (50.0, 0.0, 0.0), (0.0, 0.0, 0.0)])
def test_harmonic_mean(seen, unseen, expected):
    assert harmonic_mean(seen, unseen) == pytest.approx(expected)


def test_wrong_labels_and_shapes_are_refused():
    matrix = ConfusionMatrix(3)
    with pytest.raises(ValueError, match="outside 0 to 2"):
        matrix.add(np.array([3]), np.array([0]))
    with pytest.raises(ValueError, match="differ in shape"):
        matrix.add(np.zeros((2, 3), int), np.zeros((3, 2), int))


def test_written_files_hold_the_report_and_no_temporary_one_stays(maps, tmp_path):
    counts = counts_of(maps)
    report = build_report(counts, VOCABULARY)
    json_path, csv_path = write_report(report, counts, tmp_path / "a" / "b")
    content = json.loads(json_path.read_text())
    assert content["summary"]["h-mIoU"] == pytest.approx(report.summary["h-mIoU"])
    assert content["confusion"] == counts.tolist()
    assert content["classes"][3]["iou"] is None
    assert "ground truth" in content["convention"]
    rows = list(csv.DictReader(csv_path.open()))
    assert [row["class"] for row in rows] == list(VOCABULARY.names)
    assert [row["split"] for row in rows] == ["seen", "unseen", "seen", "unseen"]
    assert rows[3]["iou"] == ""
    assert sorted(path.name for path in csv_path.parent.iterdir()) == ["classes.csv", "report.json"]


def test_an_unwritable_folder_is_named(maps, tmp_path):
    (tmp_path / "file").write_text("")
    counts = counts_of(maps)
    with pytest.raises(OutputError, match="file"):
        write_report(build_report(counts, VOCABULARY), counts, tmp_path / "file" / "folder")


def test_the_table_names_every_class_and_split(maps):
    table = build_report(counts_of(maps), VOCABULARY).table()
    assert [line.split()[:2] for line in table.splitlines()[1:5]] == [
        ["ship", "seen"],
        ["bridge", "unseen"],
        ["road", "seen"],
        ["plane", "unseen"],
    ]
    assert "h-mIoU" in table.splitlines()[-1]
