"""Tables of figures as Markdown and as CSV, and how a figure stands in each; NaN is a figure that is undefined."""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def markdown_table(heads: Sequence[str], rows: Iterable[Sequence[str]], text_columns: int = 1) -> list[str]:
    """Lines of a Markdown table; the first columns are text, the others figures."""
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * text_columns + "---:|" * (len(heads) - text_columns)]
    return lines + ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]


def table_csv(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """The text of a CSV file."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(heads)
    writer.writerows(rows)
    return text.getvalue()


def figure(value: float) -> str:
    """For people: two decimals, a count with its thousands apart, ``-`` where undefined."""
    return "-" if math.isnan(value) else f"{value:.2f}" if isinstance(value, float) else f"{value:,}"


def plain(value: float) -> str:
    """For a CSV file: four decimals, nothing where undefined."""
    return "" if math.isnan(value) else f"{value:.4f}" if isinstance(value, float) else str(value)


def nulls(figures: Mapping[str, Any]) -> dict[str, Any]:
    """For a JSON file: null where undefined."""
    return {name: None if isinstance(value, float) and math.isnan(value) else value for name, value in figures.items()}


def relative_names(names: Sequence[str]) -> list[str]:
    """Paths of files as seen from the folder that holds all of them."""
    root = os.path.commonpath([os.path.dirname(name) for name in names]) if names else ""
    return [os.path.relpath(name, root or None) for name in names]
