"""What is wrong with a data set, and how it is told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

# Of each kind of problem so many are printed.
SHOWN = 10


@dataclass(frozen=True)
class Problem:
    """Something that would stop a training: its kind, which heads a list of such, and the file with what is wrong."""

    kind: str
    text: str


def problem_lines(problems: Sequence[Problem]) -> Iterator[str]:
    """The end of a report: the problems by kind, a few of each, or that there is none."""
    for kind, count in Counter(problem.kind for problem in problems).items():
        texts = [problem.text for problem in problems if problem.kind == kind]
        yield f"  PROBLEM: {kind} ({count:,})"
        yield from (f"    {text}" for text in texts[:SHOWN])
        if count > SHOWN:
            yield f"    and {count - SHOWN:,} more"
    if not problems:
        yield "  no problem found"


def common_sizes(sizes: Counter[tuple[int, int]]) -> str:
    """The most frequent widths and heights of images, with how many have them; empty where there is none."""
    if not sizes:
        return ""
    common = [f"{count:,} of {width} x {height}" for (width, height), count in sizes.most_common(3)]
    rest = len(sizes) - len(common)
    return f"; {', '.join(common)} pixels{f', and {rest} more sizes' if rest > 0 else ''}"
