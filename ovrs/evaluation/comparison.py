"""Several runs side by side: mean and standard deviation over the seeds of each configuration."""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from ovrs.errors import DataError
from ovrs.evaluation.runs import Run
from ovrs.evaluation.tables import markdown_table, table_csv

# The open-vocabulary protocol's figures: plain, calibrated, each group among itself, and what stood in another set's training;
# then those of referring segmentation, which share mIoU.
FIGURES = (
    *("s-mIoU", "u-mIoU", "h-mIoU", "mIoU"),
    *("calibrated-s-mIoU", "calibrated-u-mIoU", "calibrated-h-mIoU"),
    *("s-only-mIoU", "u-only-mIoU"),
    *("base-mIoU", "novel-mIoU", "base-novel-h-mIoU"),
    *("oIoU", "Pr@0.5", "Pr@0.6", "Pr@0.7", "Pr@0.8", "Pr@0.9"),
    *("positional-mIoU", "non-positional-mIoU", "N-acc", "T-acc"),
)

# The summary's figures in tables of land-cover papers, and what they are called there.
LAND_COVER = {"pACC": "OA", "Kappa": "Kappa", "mIoU": "mIoU", "mF1": "mean F1", "F1-of-means": "F1 of means"}


@dataclass(frozen=True)
class Spread:
    """Mean, sample standard deviation (n - 1; NaN of a single run) and number of runs in which a figure is defined."""

    mean: float
    deviation: float
    count: int

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        """The spread of the values that are not NaN."""
        known = [value for value in values if not math.isnan(value)]
        deviation = statistics.stdev(known) if len(known) > 1 else math.nan
        return cls(statistics.fmean(known) if known else math.nan, deviation, len(known))

    def __str__(self) -> str:
        if not self.count:
            return "-"
        return f"{self.mean:.2f} ± {self.deviation:.2f} ({self.count})" if self.count > 1 else f"{self.mean:.2f} (1)"


@dataclass(frozen=True)
class Group:
    """The runs of one configuration on one data set: figures by name."""

    name: str
    dataset: str
    figures: dict[str, Spread]


def without_seed(run: Run) -> str:
    """The run's name without a trailing ``_seedN``: the name of its configuration."""
    return re.sub(r"[_-]seed[_-]?\d+$", "", run.name)


def calibrated(run: Run, constant: float) -> Run:
    """The run with the figures ``calibrated-...`` that its calibration curve has at ``constant``.

    Raises:
        DataError: the report has no curve, or none at this constant.
    """
    for row in run.curve:
        if math.isclose(row["constant"], constant, abs_tol=1e-9):
            figures = {f"calibrated-{name}": value for name, value in row.items() if name != "constant"}
            return replace(run, summary={**run.summary, **figures})
    known = ", ".join(f"{row['constant']:g}" for row in run.curve) or "none"
    raise DataError(
        f"{run.folder}: its report on {run.dataset} has no figures at the constant {constant:g} (there are: {known}); "
        "evaluate it again with this constant in TEST.CALIBRATION_GRID"
    )


def compare(
    runs: Sequence[Run], figures: Sequence[str] = FIGURES, group_of: Callable[[Run], str] = without_seed
) -> list[Group]:
    """Groups in the order in which they first occur; a figure that no run has is left out of all of them."""
    members: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        members.setdefault((group_of(run), run.dataset), []).append(run)
    known = [name for name in figures if any(name in run.summary for run in runs)]
    return [
        Group(group, dataset, {name: Spread.of(run.summary.get(name, math.nan) for run in those) for name in known})
        for (group, dataset), those in members.items()
    ]


def land_cover(runs: Sequence[Run], group_of: Callable[[Run], str] = without_seed) -> list[Group]:
    """Groups as in the tables of land-cover papers: OA, Kappa, mIoU, both means of F1, user's accuracy of every class."""
    classes = dict.fromkeys(name for run in runs for name in run.summary if name.startswith("UA-"))
    groups = compare(runs, [*LAND_COVER, *classes], group_of)
    return [
        replace(group, figures={LAND_COVER.get(name, name): each for name, each in group.figures.items()}) for group in groups
    ]


def as_markdown(groups: Sequence[Group]) -> str:
    """A table, figures in percent as mean ± standard deviation (number of runs)."""
    names = list(groups[0].figures) if groups else []
    rows = ([group.name, group.dataset, *map(str, group.figures.values())] for group in groups)
    return "\n".join(markdown_table(("run", "data set", *names), rows, text_columns=2)) + "\n"


def as_csv(groups: Sequence[Group]) -> str:
    """A line a group: mean, standard deviation and number of runs of each figure; nothing where undefined."""
    names = list(groups[0].figures) if groups else []
    heads = ["run", "dataset", *(f"{name} {part}" for name in names for part in ("mean", "std", "n"))]
    rows = []
    for group in groups:
        cells = [group.name, group.dataset]
        for spread in group.figures.values():
            cells += ["" if math.isnan(value) else f"{value:.4f}" for value in (spread.mean, spread.deviation)]
            cells.append(str(spread.count))
        rows.append(cells)
    return table_csv(heads, rows)
