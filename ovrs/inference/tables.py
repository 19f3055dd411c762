"""What a map covers, as a table for the terminal."""

from __future__ import annotations

from textwrap import shorten

from ovrs.inference.segmented import Segmented

# Characters of a name, which may be a sentence.
_MAX_NAME = 60


def coverage_table(segmentation: Segmented) -> str:
    """Class, share of the valid pixels and, where known, area: one line per class, in the order of the map's values."""
    shares, areas = segmentation.shares(), segmentation.areas()
    header = ["class", "share"] + (["area"] if areas is not None else [])
    rows = [header]
    for name, share in shares.items():
        rows.append(
            [shorten(name, _MAX_NAME, placeholder=" ...") or name[:_MAX_NAME], f"{share:.1%}"]
            + ([format_area(areas[name])] if areas is not None else [])
        )
    valid = segmentation.valid_share
    footer = "" if valid == 1.0 else f"\nnodata: {1 - valid:.1%} of the image"
    return _align(rows) + footer


def format_area(square_metres: float) -> str:
    """Square metres, and beside them hectares or square kilometres where these are easier to grasp."""
    digits = 1 if 0 < square_metres < 100 else 0
    text = f"{square_metres:,.{digits}f} m2"
    if square_metres >= 1e6:
        return f"{text} ({square_metres / 1e6:,.2f} km2)"
    if square_metres >= 1e4:
        return f"{text} ({square_metres / 1e4:,.2f} ha)"
    return text


def _align(rows: list[list[str]]) -> str:
    """Columns of equal width, the first to the left, the shares to the right, and a rule under the header."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            row[0].ljust(widths[0]),
            *(cell.rjust(width) for cell, width in zip(row[1:2], widths[1:2], strict=True)),
            *row[2:],
        ]
        lines.append("  ".join(cells).rstrip())
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)
