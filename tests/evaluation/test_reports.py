import csv
import json
import math

import numpy as np
import pytest
import torch
from PIL import Image

from ovrs.errors import ConfigError, OutputError
from ovrs.evaluation.confusion import ConfusionMatrix
from ovrs.evaluation.evaluator import SegmentationEvaluator
from ovrs.evaluation.metrics import harmonic_mean, kappa
from ovrs.evaluation.settings import EvaluationSettings
from ovrs.vocabulary import Vocabulary, VocabularyClass

VOCABULARY = Vocabulary(
    (
        VocabularyClass("ship"),
        VocabularyClass("bridge", seen=False),
        VocabularyClass("road"),
        VocabularyClass("plane", seen=False),
    )
)


@pytest.fixture
def maps():
    """Truth without plane, and a prediction that is right on most pixels."""
    rng = np.random.default_rng(3)
    truth = rng.choice([0, 1, 2, 255], size=(30, 50), p=[0.5, 0.2, 0.2, 0.1])
    prediction = np.where(rng.random((30, 50)) < 0.6, np.minimum(truth, 3), rng.integers(0, 4, (30, 50)))
    return truth, prediction


def one_hot(labels, channels=4):
    return torch.nn.functional.one_hot(torch.as_tensor(labels), channels).permute(2, 0, 1).float() * 0.8 + 0.1


def evaluated(folder, *pairs, settings=None, vocabulary=VOCABULARY):
    evaluator = SegmentationEvaluator("toy_val", vocabulary, folder, settings)
    for number, (truth, prediction) in enumerate(pairs):
        image = torch.full((3, *truth.shape), 40 * number, dtype=torch.uint8)
        entry = {"sem_seg": torch.as_tensor(truth), "image": image, "file_name": f"tiles/{number}.png"}
        evaluator.process([entry], [{"sem_seg": one_hot(prediction)}])
    evaluator.evaluate()
    return json.loads((folder / "report.json").read_text())


def test_counts_are_those_of_a_plain_loop(maps):
    truth, prediction = maps
    expected = np.zeros((4, 5), int)
    for true, chosen in zip(truth.flat, prediction.flat, strict=True):
        if true != 255:
            expected[true, chosen] += 1
    matrix = ConfusionMatrix(4)
    assert np.array_equal(matrix.add(*maps), expected)
    assert np.array_equal(matrix.counts, expected)


def test_wrong_labels_and_shapes_are_refused():
    matrix = ConfusionMatrix(3)
    with pytest.raises(ValueError, match="outside 0 to 2"):
        matrix.add(np.array([3]), np.array([0]))
    with pytest.raises(ValueError, match="differ in shape"):
        matrix.add(np.zeros((2, 3), int), np.zeros((3, 2), int))


@pytest.mark.parametrize(("seen", "unseen", "expected"), [(60.0, 30.0, 40.0), (50.0, 0.0, 0.0), (0.0, 0.0, 0.0)])
def test_harmonic_mean(seen, unseen, expected):
    assert harmonic_mean(seen, unseen) == pytest.approx(expected)


def test_kappa_is_exact_where_floating_point_would_not_be():
    # Observed and chance agreement differ by about 1e-12 here.
    counts = np.array([[10**12, 1, 0], [1, 0, 0]])
    assert kappa(counts) == pytest.approx(-1e-10, rel=1e-6)
    assert math.isnan(kappa(np.array([[7, 0]])))


def test_a_perfect_map_scores_100_and_a_wrong_one_0(tmp_path):
    truth = np.arange(4).repeat(9).reshape(6, 6)
    perfect = evaluated(tmp_path, (truth, truth))["summary"]
    assert perfect == pytest.approx(dict.fromkeys(perfect, 100.0))
    wrong = evaluated(tmp_path, (truth, (truth + 1) % 4))["summary"]
    # Among its own group's names alone, a pixel of the first class of each group is right by the order of names.
    assert {name for name, value in wrong.items() if value > 0} == {"s-only-mIoU", "u-only-mIoU"}


def test_files_hold_the_figures_and_no_temporary_one_stays(maps, tmp_path):
    content = evaluated(tmp_path / "a" / "b", maps)
    folder = tmp_path / "a" / "b"
    assert content["dataset"] == "toy_val"
    assert sum(map(sum, content["confusion"])) == (maps[0] != 255).sum()
    rows = list(csv.DictReader((folder / "classes.csv").open()))
    assert [row["class"] for row in rows] == list(VOCABULARY.names)
    assert [row["split"] for row in rows] == ["seen", "unseen", "seen", "unseen"]
    assert float(rows[0]["iou"]) == pytest.approx(content["classes"][0]["iou"], abs=1e-4)
    assert rows[3]["iou"] == ""
    names = {path.name for path in folder.iterdir()}
    assert names == {"report.json", "report.md", "classes.csv", "images.csv", "confusion.png", "pictures"}


def test_the_same_counts_give_the_same_bytes(maps, tmp_path):
    for name in ("one", "two"):
        evaluated(tmp_path / name, maps)
    for path in (tmp_path / "one").rglob("*.*"):
        assert path.read_bytes() == (tmp_path / "two" / path.relative_to(tmp_path / "one")).read_bytes(), path.name


def test_absent_and_never_predicted_classes_are_named(tmp_path):
    truth = np.array([[0, 0, 1, 2]])
    content = evaluated(tmp_path, (truth, np.array([[0, 0, 3, 2]])))
    assert content["absent"] == ["plane"] and content["classes"][3]["iou"] is None
    assert content["never_predicted"] == ["bridge"] and content["classes"][1]["precision"] is None
    page = (tmp_path / "report.md").read_text()
    assert "absent from the ground truth, hence without figures: plane" in page
    assert "never predicted: bridge" in page


def test_both_definitions_of_mean_iou(tmp_path):
    pair = np.array([[0, 0, 1, 2]]), np.array([[0, 0, 3, 2]])
    present = evaluated(tmp_path, pair)["summary"]
    assert present["mIoU"] == pytest.approx(200 / 3) and present["mIoU-0.6"] == pytest.approx(200 / 4)
    content = evaluated(tmp_path, pair, settings=EvaluationSettings(mean_over="union"))
    assert content["summary"]["mIoU"] == pytest.approx(200 / 4) and content["summary"]["mIoU-present"] == pytest.approx(200 / 3)
    assert "Detectron2 0.6" in content["notes"][0]


def test_a_vocabulary_without_unseen_classes_has_no_split_figure(tmp_path):
    vocabulary = Vocabulary.from_names(["a", "b", "c", "d"])
    truth = np.array([[0, 1, 2, 3]])
    summary = evaluated(tmp_path, (truth, truth), vocabulary=vocabulary, settings=EvaluationSettings(calibration=2.0))[
        "summary"
    ]
    assert not {name for name in summary if "s-" in name or "u-" in name or "calibrated" in name} - {"F1-of-means"}


def test_the_markdown_page_links_pictures_that_exist(maps, tmp_path):
    truth, prediction = maps
    mixed = np.where(truth == 0, prediction, np.minimum(truth, 3))
    pairs = [(truth, prediction), (truth, np.minimum(truth, 3)), (truth, np.full_like(truth, 3)), (truth, mixed)]
    evaluated(tmp_path, *pairs, settings=EvaluationSettings(report_images=1))
    page = (tmp_path / "report.md").read_text()
    linked = [line.split("(")[1].rstrip(")") for line in page.splitlines() if line.startswith("![")]
    assert linked == ["confusion.png", "pictures/worst_1.png", "pictures/best_1.png"]
    for path in linked:
        with Image.open(tmp_path / path) as picture:
            assert min(picture.size) > 100
    assert page.index("2.png: mIoU 0.0") < page.index("1.png: mIoU 100.0")
    scores = list(csv.DictReader((tmp_path / "images.csv").open()))
    assert [row["image"] for row in scores] == [f"{number}.png" for number in range(4)]


def test_a_confusion_matrix_of_forty_classes_is_drawn(tmp_path):
    vocabulary = Vocabulary.from_names([f"class number {number}" for number in range(40)])
    evaluator = SegmentationEvaluator("toy_val", vocabulary, tmp_path)
    truth = np.arange(40)[None].repeat(3, axis=0)
    evaluator.process([{"sem_seg": torch.as_tensor(truth)}], [{"sem_seg": one_hot(truth[:, ::-1].copy(), 41)}])
    evaluator.evaluate()
    with Image.open(tmp_path / "confusion.png") as picture:
        assert min(picture.size) > 900


def test_images_without_a_counted_pixel_are_not_ranked(tmp_path):
    truth = np.zeros((4, 4), int)
    evaluated(tmp_path, (truth + 255, truth), (truth, truth))
    assert [row["image"] for row in csv.DictReader((tmp_path / "images.csv").open())] == ["1.png"]


def test_an_unwritable_folder_is_named(maps, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file"):
        evaluated(tmp_path / "file" / "folder", maps)


def test_the_table_names_every_class_and_split(maps, caplog, tmp_path):
    with caplog.at_level("INFO"):
        evaluated(tmp_path, maps)
    lines = caplog.text.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("class "))
    assert [line.split()[:2] for line in lines[start + 1 : start + 5]] == [
        ["ship", "seen"],
        ["bridge", "unseen"],
        ["road", "seen"],
        ["plane", "unseen"],
    ]
    assert "h-mIoU" in caplog.text


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"mean_over": "all"}, "TEST.MIOU"),
        ({"boundary_ratio": 2.0}, "BOUNDARY_RATIO"),
        ({"report_images": -1}, "REPORT_IMAGES"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings, key):
    with pytest.raises(ConfigError, match=key):
        EvaluationSettings(**settings)
