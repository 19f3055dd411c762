"""The files of a report: report.json, report.md, classes.csv, images.csv, confusion.png and pictures of a few images.

Each is written whole or not at all, and holds no date and no path of the machine: the same figures give the same files.
"""

from __future__ import annotations

import json
import os
from itertools import zip_longest
from pathlib import Path
from typing import Any

from ovrs.evaluation.confusion_picture import confusion_figure
from ovrs.evaluation.examples import Example, Examples
from ovrs.evaluation.land_cover import land_cover_lines
from ovrs.evaluation.reports import SegmentationReport
from ovrs.evaluation.tables import figure, markdown_table, nulls, plain, relative_names, table_csv
from ovrs.files import written_whole
from ovrs.pictures import side_by_side
from ovrs.vocabulary import Vocabulary

CLASS_COLUMNS = ("iou", "precision", "recall", "f1", "boundary_iou", "pixels", "predicted")


def write_report(
    report: SegmentationReport,
    examples: Examples,
    folder: str | os.PathLike[str],
    dataset_name: str,
    vocabulary: Vocabulary,
) -> list[Path]:
    """Write all files of a report; returns their paths.

    Raises:
        OutputError: the folder or a file cannot be written.
    """
    folder = Path(folder)
    texts = {
        "report.json": json.dumps(as_json(report, dataset_name), indent=1, allow_nan=False) + "\n",
        "classes.csv": _classes_csv(report),
    }
    shown = examples.pictures()
    if examples.scores:
        names = relative_names([name for name, _ in examples.scores])
        rows = ([name, plain(miou)] for name, (_, miou) in zip(names, examples.scores, strict=True))
        texts["images.csv"] = table_csv(("image", "miou"), rows)
    texts["report.md"] = as_markdown(report, dataset_name, shown)
    for name, text in texts.items():
        with written_whole(folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
    with written_whole(folder / "confusion.png") as temporary:
        confusion_figure(report.counts, vocabulary).savefig(temporary, format="png", metadata={"Software": None})
    for name, example in shown.items():
        with written_whole(folder / name) as temporary:
            maps = {"truth": example.truth, "prediction": example.prediction}
            title = f"{Path(example.name).name}, mIoU {example.miou:.1f}"
            side_by_side(example.image, maps, vocabulary, title).save(temporary, format="PNG")
    return [folder / name for name in (*texts, "confusion.png", *shown)]


def as_json(report: SegmentationReport, dataset_name: str) -> dict[str, Any]:
    """The content of report.json; a figure that is undefined is null."""
    return {
        "dataset": dataset_name,
        "notes": report.notes(),
        "summary": nulls(report.summary),
        "classes": [nulls(vars(score)) | cells for score, cells in zip(report.classes, _training(report), strict=True)],
        "absent": report.absent,
        "never_predicted": report.never_predicted,
        "calibration": report.settings.calibration,
        "calibration_curve": [nulls(row) for row in report.curve],
        "confusion": report.counts.tolist(),
    }


def as_markdown(report: SegmentationReport, dataset_name: str, pictures: dict[str, Example] | None = None) -> str:
    """The report as a page: summary, classes, calibration curve, pictures."""
    lines = [f"# {dataset_name}", "", "All figures in percent.", "", *(f"- {note}" for note in report.notes()), ""]
    lines += markdown_table(("figure", "%"), ((name, figure(value)) for name, value in report.summary.items()))
    texts = ("class", "split", *(("group", "trained as") if report.members else ()))
    heads = (*texts, "IoU", "precision", "recall", "F1", "boundary IoU", "pixels", "predicted")
    rows = (
        [
            *(s.name, _split(s.seen)),
            *((member.group, str(member)) if member else ()),
            *(figure(getattr(s, name)) for name in CLASS_COLUMNS),
        ]
        for s, member in zip_longest(report.classes, report.members)
    )
    lines += ["", "## Classes", "", *markdown_table(heads, rows, text_columns=len(texts))]
    lines += ["", "## Land cover", "", *land_cover_lines(report)]
    if report.curve:
        names = list(report.curve[0])
        lines += ["", "## Calibration", "", "Read off this data set's own labels: a constant chosen here is no fair one.", ""]
        lines += markdown_table(names, ([f"{row['constant']:g}", *map(figure, list(row.values())[1:])] for row in report.curve))
    lines += ["", "## Confusion", "", "Rows are shares of the true class.", "", "![confusion matrix](confusion.png)"]
    if pictures:
        lines += ["", "## Worst and best images", "", "Image, truth and prediction; what is ignored is hatched."]
        for path, example in pictures.items():
            lines += ["", f"{Path(example.name).name}: mIoU {example.miou:.1f}", "", f"![{Path(path).stem}]({path})"]
    return "\n".join(lines) + "\n"


def _classes_csv(report: SegmentationReport) -> str:
    training = _training(report)
    rows = (
        [
            *(s.name, _split(s.seen)),
            *(plain(getattr(s, name)) for name in CLASS_COLUMNS),
            *(cell or "" for cell in cells.values()),
        ]
        for s, cells in zip(report.classes, training, strict=True)
    )
    return table_csv(("class", "split", *CLASS_COLUMNS, *training[0]), rows)


def _training(report: SegmentationReport) -> list[dict[str, Any]]:
    """What each class's line says of training; nothing where nothing is known."""
    return [member.cells() for member in report.members] or [{}] * len(report.classes)


def _split(seen: bool) -> str:
    return "seen" if seen else "unseen"
