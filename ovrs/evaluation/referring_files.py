"""The files of a report on referring segmentation: report.json, report.md, groups.csv, samples.csv and pictures of answers.

Each is written whole or not at all, and holds no date and no path of the machine: the same figures give the same files.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from ovrs.evaluation.examples import Example, Examples
from ovrs.evaluation.referring_answers import Answers
from ovrs.evaluation.referring_reports import FIGURES, ReferringReport
from ovrs.evaluation.tables import figure, markdown_table, nulls, plain, relative_names, table_csv
from ovrs.files import written_whole
from ovrs.sentence_pictures import sentence_picture


def write_referring_report(
    report: ReferringReport, answers: Answers, examples: Examples, folder: str | os.PathLike[str], dataset_name: str
) -> list[Path]:
    """Write all files of a report; returns their paths.

    Args:
        examples: by the names of their samples.

    Raises:
        OutputError: the folder or a file cannot be written.
    """
    folder, shown = Path(folder), examples.pictures()
    texts = {
        "report.json": json.dumps(as_json(report, dataset_name), indent=1, allow_nan=False) + "\n",
        "report.md": as_markdown(report, dataset_name, answers, shown),
        "groups.csv": _groups_csv(report),
        "samples.csv": _samples_csv(answers, report.settings.empty_union),
    }
    for name, text in texts.items():
        with written_whole(folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
    for name, example in shown.items():
        expression = answers[example.name].expression
        masks = {"truth": example.truth, "answer (outlined: truth)": example.prediction}
        with written_whole(folder / name) as temporary:
            sentence_picture(example.image, masks, expression, _caption(answers, example)).save(temporary, format="PNG")
    return [folder / name for name in (*texts, *shown)]


def as_json(report: ReferringReport, dataset_name: str) -> dict[str, Any]:
    """The content of report.json; a figure that is undefined is null."""
    return {
        "dataset": dataset_name,
        "task": "referring",
        "notes": report.notes(),
        "summary": nulls(report.summary),
        "samples": report.samples,
        "images": report.images,
        "targetless": report.targetless,
        "empty_answers": report.empty_answers,
        "eval_at": report.settings.eval_at,
        "input_side": report.settings.input_side,
        "empty_union": report.settings.empty_union,
        "groups": {
            kind: [{"name": group.name, "samples": group.samples} | nulls(group.figures) for group in report.of_kind(kind)]
            for kind in report.kinds
        },
    }


def as_markdown(
    report: ReferringReport, dataset_name: str, answers: Answers, pictures: dict[str, Example] | None = None
) -> str:
    """The report as a page: summary, groups, pictures."""
    lines = [f"# {dataset_name}", "", "All figures in percent.", "", *(f"- {note}" for note in report.notes()), ""]
    lines += markdown_table(("figure", "%"), ((name, figure(value)) for name, value in report.summary.items()))
    for kind in report.kinds:
        rows = ([g.name or "-", figure(g.samples), *map(figure, g.figures.values())] for g in report.of_kind(kind))
        lines += ["", f"## By {kind}", "", *markdown_table((kind, "sentences", *FIGURES), rows)]
    if pictures:
        lines += ["", "## Worst and best answers", "", "Image, truth and answer."]
        for path, example in pictures.items():
            sentence = " ".join(answers[example.name].expression.split())
            lines += ["", f"*{sentence}* ({_caption(answers, example)})", "", f"![{Path(path).stem}]({path})"]
    return "\n".join(lines) + "\n"


def _caption(answers: Answers, example: Example) -> str:
    return f"{Path(answers[example.name].file_name).name}, IoU {example.miou:.1f}"


def _groups_csv(report: ReferringReport) -> str:
    """A line a group, behind one of all sentences."""
    rows = [["all", "", str(report.samples), *(plain(report.summary[name]) for name in FIGURES)]]
    rows += [[g.kind, g.name or "", str(g.samples), *map(plain, g.figures.values())] for g in report.groups]
    return table_csv(("kind", "group", "sentences", *FIGURES), rows)


def _samples_csv(answers: Answers, empty_union: int) -> str:
    """A line a sentence, with the counts that every figure can be computed from again."""
    names = relative_names([answer.file_name for answer in answers])
    heads = ("sample", "image", "expression", "category", "attributes", "truth", "answer", "intersection", "union", "iou")
    rows = (
        [
            *(answer.sample, name, answer.expression, answer.category or "", "|".join(answer.attributes)),
            *map(str, (answer.truth, answer.answer, answer.intersection, answer.union)),
            plain(100 * answer.iou(empty_union)),
        ]
        for name, answer in zip(names, answers, strict=True)
    )
    return table_csv(heads, rows)
