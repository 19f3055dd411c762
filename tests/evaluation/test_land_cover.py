"""The land-cover figures: a matrix worked out by hand, a loop over pixels on random maps, and the tables that show them."""

import importlib.util
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from oracle import kappa, mean, of_class, without

from ovrs.evaluation.evaluator import SegmentationEvaluator
from ovrs.evaluation.report_files import as_markdown
from ovrs.evaluation.reports import build_report
from ovrs.evaluation.runs import read_runs
from ovrs.evaluation.settings import EvaluationSettings
from ovrs.evaluation.tallies import Tallies
from ovrs.vocabulary import Vocabulary

# Rows are the truth: of 60 pixels of bare ground the map shows 50 as such, and so on. No two sums of rows and columns agree
# but those of others, so that precision and recall cannot be taken for each other.
COUNTS = np.array([[50, 10, 0], [5, 20, 5], [0, 5, 5]])
NAMES = ("bare ground", "trees", "others")
TOOL = Path(__file__).parents[2] / "tools" / "compare_runs.py"


def report_of(counts, names=NAMES):
    tallies = Tallies([True] * len(names), EvaluationSettings(boundary_ratio=0.0), 255)
    tallies.plain.counts = np.concatenate([counts, np.zeros_like(counts[:, :1])], axis=1)
    return build_report(tallies, Vocabulary.from_names(names))


def maps_of(counts):
    """A truth and a prediction [1, P] with these counts."""
    truth, prediction = np.divmod(np.repeat(np.arange(counts.size), counts.flat), len(counts))
    return truth[None], prediction[None]


def scores_of(prediction, channels):
    return torch.nn.functional.one_hot(torch.as_tensor(prediction), channels).permute(2, 0, 1).float()


def evaluated(folder, counts, names=NAMES):
    evaluator = SegmentationEvaluator("land_val", Vocabulary.from_names(names), folder, EvaluationSettings(report_images=0))
    truth, prediction = maps_of(counts)
    evaluator.process([{"sem_seg": torch.as_tensor(truth)}], [{"sem_seg": scores_of(prediction, len(names))}])
    return evaluator.evaluate()["sem_seg"]


def table(lines, first):
    """Cells of the Markdown table whose head begins with ``first``."""
    start = next(number for number, line in enumerate(lines) if line.startswith(f"| {first} |"))
    rows = []
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def test_the_figures_of_a_matrix_worked_out_by_hand():
    report = report_of(COUNTS)
    assert [score.precision for score in report.classes] == pytest.approx([100 * 50 / 55, 100 * 20 / 35, 50.0])
    assert [score.recall for score in report.classes] == pytest.approx([100 * 50 / 60, 100 * 20 / 30, 50.0])
    assert [score.f1 for score in report.classes] == pytest.approx([100 * 100 / 115, 100 * 40 / 65, 50.0])
    assert [score.iou for score in report.classes] == pytest.approx([100 * 50 / 65, 100 * 20 / 45, 100 * 5 / 15])
    # By chance 0.60 x 0.55 + 0.30 x 0.35 + 0.10 x 0.10 = 0.445 of the pixels would agree.
    hand = {"pACC": 75.0, "Kappa": 100 * (0.75 - 0.445) / (1 - 0.445), "mIoU": 51.5670, "mF1": 66.1650, "F1-of-means": 66.3404}
    assert {name: report.summary[name] for name in hand} == pytest.approx(hand, abs=1e-4)


def test_what_is_left_over_counts_and_is_left_out_by_the_truth_alone():
    report = report_of(COUNTS)
    assert report.summary["pACC"] == 75.0
    # 70 of the 90 pixels that are no others; the 5 trees mapped as others are wrong, though an inner matrix would forget them.
    assert report.summary["pACC-without-others"] == pytest.approx(100 * 70 / 90)
    assert report.summary["mIoU-without-others"] == pytest.approx((100 * 50 / 65 + 100 * 20 / 45) / 2)
    inner = COUNTS[:2, :2]
    assert report.summary["pACC-without-others"] < 100 * inner.trace() / inner.sum()


def test_only_classes_of_what_is_left_over_are_left_out():
    assert not [name for name in report_of(COUNTS, ("roads", "other vehicle", "trees")).summary if "without" in name]
    names = [name for name in report_of(COUNTS, ("Background", "trees", "Other")).summary if "without" in name]
    assert names == [f"{figure}-without-{rest}" for rest in ("background", "other") for figure in ("mIoU", "pACC")]


def test_random_maps_have_the_figures_of_a_loop_over_pixels(tmp_path):
    for seed in range(200):
        rng = np.random.default_rng(seed)
        classes = int(rng.integers(2, 6))
        counts = rng.integers(0, 6, (classes, classes)) * (rng.random((classes, classes)) < 0.7)
        names = [*(f"class {number}" for number in range(classes - 1)), "others"]
        report = report_of(counts, names)
        pairs = list(zip(*(values.ravel().tolist() for values in maps_of(counts)), strict=True))
        expected = [of_class(pairs, label) for label in range(classes)]
        actual = [{"IoU": s.iou, "UA": s.precision, "PA": s.recall, "F1": s.f1} for s in report.classes]
        assert actual == [pytest.approx(figures, nan_ok=True, abs=1e-9) for figures in expected], f"seed {seed}"
        figures = {"Kappa": kappa(pairs), "mF1": mean([each["F1"] for each in expected])}
        without(figures, pairs, "others", range(classes - 1), "present")
        assert {name: report.summary[name] for name in figures} == pytest.approx(figures, nan_ok=True, abs=1e-9), f"seed {seed}"


def test_the_page_shows_users_accuracy_as_precision_and_producers_as_recall():
    lines = as_markdown(report_of(COUNTS), "land_val").splitlines()
    heads, _, row = table(lines, "OA")
    assert heads == ["OA", "Kappa", "mIoU", "mean F1", "F1 of means", "mIoU-without-others", "OA-without-others"]
    assert row == ["75.00", "54.95", "51.57", "66.16", "66.34", "60.68", "77.78"]
    heads, _, *rows = table(lines, "")
    assert heads == ["", *NAMES]
    assert rows[0] == ["user's accuracy", "90.91", "57.14", "50.00"]
    assert rows[1] == ["producer's accuracy", "83.33", "66.67", "50.00"]
    assert any("mean of the classes' F1" in line for line in lines)


def test_a_class_that_is_never_mapped_has_no_users_accuracy_and_one_that_is_not_there_none_at_all(tmp_path):
    report = report_of(np.array([[4, 0, 2], [1, 0, 1], [0, 0, 0]]))
    _, _, *rows = table(as_markdown(report, "land_val").splitlines(), "")
    assert [row[2:] for row in rows] == [["-", "-"], ["0.00", "-"], ["0.00", "-"], ["0.00", "-"]]


def test_detectron2_is_told_both_accuracies_by_name(tmp_path):
    results = evaluated(tmp_path, COUNTS)
    assert (results["UA-trees"], results["ACC-trees"]) == pytest.approx((100 * 20 / 35, 100 * 20 / 30))
    assert math.isnan(evaluated(tmp_path, np.array([[0, 0], [3, 4]]), ("a", "b"))["UA-a"])


def test_runs_stand_side_by_side_as_in_a_papers_table(tmp_path, capsys):
    spec = importlib.util.spec_from_file_location("compare_runs", TOOL)
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    for seed, counts in enumerate((COUNTS, COUNTS.T.copy())):
        evaluated(tmp_path / f"tsmnet_seed{seed}" / "inference" / "land_val", counts)
    content = json.loads((tmp_path / "tsmnet_seed0" / "inference" / "land_val" / "report.json").read_text())
    assert content["classes"][1]["precision"] == pytest.approx(100 * 20 / 35)
    runs = [str(path) for path in sorted(tmp_path.iterdir())]
    assert tool.main([*runs, "--land-cover"]) == 0
    heads, _, row = table(capsys.readouterr().out.splitlines(), "run")
    assert heads[2:] == ["OA", "Kappa", "mIoU", "mean F1", "F1 of means", *(f"UA-{name}" for name in NAMES)]
    assert row[2] == "75.00 ± 0.00 (2)"
    # Turned round, user's accuracy is what producer's accuracy was.
    assert row[8] == f"{(100 * 20 / 35 + 100 * 20 / 30) / 2:.2f} ± {100 * (2 / 3 - 4 / 7) / math.sqrt(2):.2f} (2)"
    assert tool.main([runs[0], "--figures", "PA-trees"]) == 0
    assert table(capsys.readouterr().out.splitlines(), "run")[2][2] == "66.67 (1)"


def test_a_report_from_before_a_figure_of_classes_is_read_without_it(tmp_path):
    path = tmp_path / "run" / "inference" / "land_val" / "report.json"
    evaluated(path.parent, COUNTS)
    content = json.loads(path.read_text())
    for score in content["classes"]:
        del score["precision"]
    path.write_text(json.dumps(content))
    (run,) = read_runs([tmp_path / "run"])
    assert run.summary["PA-trees"] == pytest.approx(100 * 20 / 30) and run.summary["pACC"] == pytest.approx(75)
    assert not [name for name in run.summary if name.startswith("UA-")]
