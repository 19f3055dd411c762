"""The files that an evaluation of referring segmentation writes."""

import csv
import json

import numpy as np
import pytest
import torch
from PIL import Image

from ovrs.errors import OutputError
from ovrs.evaluation.referring import ReferringEvaluator
from ovrs.evaluation.referring_settings import ReferringSettings
from ovrs.evaluation.runs import read_runs

LONG = "the long grey ship that lies at the southern end of the pier, " * 20
SENTENCES = (
    ("the ship on the left", "ship", ("location",), 0.8),
    ("the ship | nearest\nthe pier", "ship", ("relation", "size"), 0.4),
    ("the pier", "pier", (), 0.0),
    ("the upper tank", None, ("location", "size"), 1.0),
    (LONG, "ship", ("location",), 0.6),
)


@pytest.fixture
def evaluated(tmp_path):
    """Evaluates :data:`SENTENCES`, each with an IoU of its own; returns the folder of the report."""

    def run(*more, settings=None, folder=tmp_path / "run/inference/toy_val"):
        evaluator = ReferringEvaluator("toy_val", folder, settings or ReferringSettings(report_images=1))
        for number, (expression, category, attributes, iou) in enumerate((*SENTENCES, *more)):
            truth = torch.zeros(10, 12, dtype=torch.bool)
            truth[:, :2] = iou is not None
            answer = torch.zeros(10, 12)
            answer[: round(10 * (iou or 0)), :2] = 1
            entry = {
                "sample_id": f"toy/{number}",
                "file_name": f"/somewhere/tiles/{number // 2}.png",
                "image": torch.full((3, 10, 12), 90, dtype=torch.uint8),
                "mask": truth,
                "expression": expression,
                "category": category,
                "attributes": attributes,
            }
            evaluator.process([entry], [{"sem_seg": answer[None]}])
        evaluator.evaluate()
        return folder

    return run


def groups_of(folder):
    content = json.loads((folder / "report.json").read_text())
    return {kind: {row["name"]: row for row in rows} for kind, rows in content["groups"].items()}


def test_sentences_are_told_apart_by_category_attribute_and_place(evaluated):
    groups = groups_of(evaluated())
    assert list(groups) == ["position", "category", "attribute"]
    assert {name: row["samples"] for name, row in groups["category"].items()} == {"pier": 1, "ship": 3, None: 1}
    assert {name: row["mIoU"] for name, row in groups["category"].items()} == pytest.approx({"pier": 0, "ship": 60, None: 100})
    assert {name: row["mIoU"] for name, row in groups["attribute"].items()} == pytest.approx(
        {"location": 80, "relation": 40, "size": 70, None: 0}
    )
    assert groups["position"]["positional"]["mIoU"] == pytest.approx(80) and groups["position"]["positional"]["samples"] == 3
    assert groups["position"]["not positional"] == pytest.approx(
        {"name": "not positional", "samples": 2, "oIoU": 20.0, "mIoU": 20.0}
        | {f"Pr@0.{tenths}": 0.0 for tenths in (5, 6, 7, 8, 9)}
    )


def test_the_summary_is_that_of_all_and_of_both_kinds_of_sentences(evaluated):
    content = json.loads((evaluated() / "report.json").read_text())
    assert content["task"] == "referring" and (content["samples"], content["images"]) == (5, 3)
    assert content["summary"] == pytest.approx(
        {"oIoU": 56.0, "mIoU": 56.0, "Pr@0.5": 60.0, "Pr@0.6": 60.0, "Pr@0.7": 40.0, "Pr@0.8": 40.0, "Pr@0.9": 20.0}
        | {"positional-oIoU": 80.0, "positional-mIoU": 80.0, "non-positional-oIoU": 20.0, "non-positional-mIoU": 20.0}
    )
    run = read_runs([evaluated().parents[1]])[0]
    assert run.dataset == "toy_val" and run.summary["oIoU"] == pytest.approx(56.0)


def test_sentences_without_a_target_are_noted_with_the_rule(evaluated):
    nothing = (("the helicopter", "helicopter", (), None),)
    for rule, words in ((0, "0, as by RMSIN's authors"), (1, "1, as by GRES's")):
        folder = evaluated(*nothing, settings=ReferringSettings("original", empty_union=rule))
        page = (folder / "report.md").read_text()
        assert f"the truth is empty: 1; answers to them that are empty too: 1, whose IoU is {words}" in page
        assert "sentences: 6, images: 3; pixels are compared at the size of the truth" in page
        assert "## By target" in page and "| N-acc | 100.00 |" in page
        assert groups_of(folder)["target"]["no target"]["mIoU"] == 100 * rule
        assert groups_of(folder)["target"]["no target"]["oIoU"] is None
    assert "mean nothing" not in (evaluated() / "report.md").read_text()


def test_the_tables_of_samples_and_groups_can_be_computed_with(evaluated):
    folder = evaluated()
    samples = list(csv.DictReader((folder / "samples.csv").open(newline="")))
    assert [row["sample"] for row in samples] == [f"toy/{number}" for number in range(5)]
    assert samples[1] == {
        **{"sample": "toy/1", "image": "0.png", "expression": "the ship | nearest\nthe pier", "category": "ship"},
        **{"attributes": "relation|size", "truth": "20", "answer": "8", "intersection": "8", "union": "20", "iou": "40.0000"},
    }
    groups = list(csv.DictReader((folder / "groups.csv").open(newline="")))
    assert [(row["kind"], row["group"], row["sentences"]) for row in groups][:3] == [
        ("all", "", "5"),
        ("position", "not positional", "2"),
        ("position", "positional", "3"),
    ]
    assert groups[0]["mIoU"] == "56.0000"


def test_the_page_shows_the_worst_and_the_best_answers_under_their_sentences(evaluated):
    folder = evaluated(settings=ReferringSettings(report_images=2))
    page = (folder / "report.md").read_text()
    linked = [line.split("(")[1].rstrip(")") for line in page.splitlines() if line.startswith("![")]
    assert linked == [f"pictures/{name}.png" for name in ("worst_1", "worst_2", "best_1", "best_2")]
    assert page.index("*the pier* (1.png, IoU 0.0)") < page.index("*the ship | nearest the pier* (0.png, IoU 40.0)")
    assert page.index("IoU 40.0") < page.index("*the upper tank* (1.png, IoU 100.0)") < page.index("IoU 80.0")
    for path in linked:
        with Image.open(folder / path) as picture:
            assert picture.width > 700 and min(picture.size) > 200
    assert not list(evaluated(settings=ReferringSettings(report_images=0), folder=folder.parent / "none").glob("pictures"))


def test_a_report_holds_no_path_of_the_machine(evaluated):
    for path in evaluated().glob("*.*"):
        assert "somewhere" not in path.read_text()


def test_the_log_has_a_line_a_group(evaluated, caplog):
    with caplog.at_level("INFO"):
        evaluated()
    lines = caplog.text.splitlines()
    assert any(line.startswith("oIoU 56.00  mIoU 56.00  Pr@0.5 60.00") for line in lines)
    rows = {line.split()[0]: line.split()[1:] for line in lines if line.split()[:1] in (["ship"], ["relation"], ["-"])}
    assert rows["ship"][:3] == ["3", "60.00", "60.00"] and rows["relation"][0] == "1"


def test_an_unwritable_folder_is_named(evaluated, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file"):
        evaluated(folder=tmp_path / "file" / "folder")


def test_an_answer_of_any_size_is_drawn(tmp_path):
    evaluator = ReferringEvaluator("toy_val", tmp_path, ReferringSettings(input_side=30, report_images=1))
    truth = np.zeros((700, 900), bool)
    truth[100:400, 200:500] = True
    entry = {"sample_id": "a", "mask": torch.from_numpy(truth), "expression": "the field", "file_name": "a.png"}
    entry["image"] = torch.zeros(3, 700, 900, dtype=torch.uint8)
    evaluator.process([entry], [{"sem_seg": torch.from_numpy(truth)[None].float()}])
    figures = evaluator.evaluate()["referring"]
    assert figures["mIoU"] > 80 and (tmp_path / "pictures/worst_1.png").is_file()
