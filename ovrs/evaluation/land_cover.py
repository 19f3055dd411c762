"""The tables of land-cover papers: overall figures in a line, then a column a class with user's and producer's accuracy."""

from __future__ import annotations

from ovrs.evaluation.comparison import LAND_COVER
from ovrs.evaluation.reports import SegmentationReport
from ovrs.evaluation.runs import CLASS_FIGURES
from ovrs.evaluation.tables import figure, markdown_table


def land_cover_lines(report: SegmentationReport) -> list[str]:
    """Two tables in Markdown and what must be known to set them beside a paper's; the figures are those of the report."""
    without = {name: name.replace("pACC", "OA") for name in report.summary if name.startswith(("pACC-without", "mIoU-without"))}
    columns = LAND_COVER | without
    lines = markdown_table(list(columns.values()), [[figure(report.summary[name]) for name in columns]], text_columns=0)
    heads = ["", *(score.name for score in report.classes)]
    rows = ([each.title, *(figure(getattr(score, each.key)) for score in report.classes)] for each in CLASS_FIGURES)
    notes = [
        "OA is the share of pixels that are right. The user's accuracy is the precision (of what the map shows as a class, the "
        "share that is it), the producer's accuracy the recall (of what is a class, the share that the map shows as it).",
        "Mean F1 is the mean of the classes' F1; F1 of means is the harmonic mean of mean precision and mean recall.",
    ]
    if without:
        notes.append(
            "A class of what is left over counts as any other. The figures without it leave out the pixels that truly are of "
            "it; a pixel of another class that is mapped as it stays an error."
        )
    return [*lines, "", *markdown_table(heads, rows), "", *(f"- {note}" for note in notes)]
