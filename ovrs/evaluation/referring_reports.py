"""From answers to the figures of referring segmentation: of all sentences, and of groups of them.

All figures are percentages; docs/evaluation.md defines each as a formula.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from ovrs.evaluation.referring_answers import Answer, Answers
from ovrs.evaluation.referring_settings import ReferringSettings

# Thresholds of Pr@X, in tenths.
TENTHS = (5, 6, 7, 8, 9)
FIGURES = ("oIoU", "mIoU", *(f"Pr@0.{tenths}" for tenths in TENTHS))

EMPTY_UNION = {0: "0, as by RMSIN's authors", 1: "1, as by GRES's"}


@dataclass(frozen=True)
class Group:
    """Some of the sentences, by what they have in common.

    Attributes:
        kind: ``position``, ``category``, ``attribute`` or ``target``.
        name: None for the sentences of which the data set does not say.
        samples: how many.
        figures: by the names of :data:`FIGURES`.
    """

    kind: str
    name: str | None
    samples: int
    figures: dict[str, float]


@dataclass(frozen=True)
class ReferringReport:
    """Figures of one evaluation: their summary by name, and those of groups.

    Attributes:
        samples: sentences.
        images: images that they stand on.
        targetless: sentences that mean nothing in the image: their truth is empty.
        empty_answers: those of them whose answer is empty too.
    """

    summary: dict[str, float]
    groups: tuple[Group, ...]
    settings: ReferringSettings
    samples: int
    images: int
    targetless: int
    empty_answers: int

    @property
    def kinds(self) -> list[str]:
        """The kinds of groups that there are, each once."""
        return list(dict.fromkeys(group.kind for group in self.groups))

    def of_kind(self, kind: str) -> list[Group]:
        """The groups of one kind."""
        return [group for group in self.groups if group.kind == kind]

    def detectron2_results(self) -> OrderedDict[str, dict[str, float]]:
        """The nested form in which Detectron2 logs, prints and verifies results."""
        figures = {f"mIoU-{group.name}": group.figures["mIoU"] for group in self.of_kind("category") if group.name}
        return OrderedDict(referring={**self.summary, **figures})

    def notes(self) -> list[str]:
        """What must be known to read the figures."""
        lines = [f"sentences: {self.samples:,}, images: {self.images:,}; pixels are compared at {self.settings.size()}"]
        if self.targetless:
            lines.append(
                f"sentences that mean nothing in their image, so that the truth is empty: {self.targetless:,}; answers to them "
                f"that are empty too: {self.empty_answers:,}, whose IoU is {EMPTY_UNION[self.settings.empty_union]}"
            )
        if "attribute" in self.kinds:
            lines.append("a sentence counts under each of its attributes")
        return lines

    def table(self) -> str:
        """The summary, the groups and the notes, for a terminal."""
        names = list(self.summary)
        lines = [
            "  ".join(f"{name} {self.summary[name]:.2f}" for name in names[start : start + 7])
            for start in range(0, len(names), 7)
        ]
        width = max((len(group.name or "-") for group in self.groups), default=0)
        for kind in self.kinds:
            lines.append("  ".join([f"{kind:<{max(width, 9)}}", f"{'samples':>8}", *(f"{name:>6}" for name in FIGURES)]))
            for group in self.of_kind(kind):
                cells = [f"{'-':>6}" if math.isnan(value) else f"{value:6.2f}" for value in group.figures.values()]
                lines.append("  ".join([f"{group.name or '-':<{max(width, 9)}}", f"{group.samples:>8,}", *cells]))
        return "\n".join(lines + self.notes())


def build_report(answers: Answers, settings: ReferringSettings) -> ReferringReport:
    """The report of all answers, of all processes."""
    every, rule = list(answers), settings.empty_union
    targetless = [answer for answer in every if not answer.truth]
    empty = [answer for answer in targetless if not answer.answer]
    groups = (
        *_groups("position", every, lambda answer: ["positional" if answer.positional else "not positional"], rule),
        *_groups("target", every, lambda answer: ["a target" if answer.truth else "no target"] if targetless else [], rule),
        *_groups("category", every, lambda answer: [answer.category], rule),
        *_groups("attribute", every, lambda answer: answer.attributes or [None], rule),
    )
    summary = measure(every, rule)
    for group in groups:
        if group.kind == "position":
            prefix = "positional" if group.name == "positional" else "non-positional"
            summary |= {f"{prefix}-{name}": group.figures[name] for name in ("oIoU", "mIoU")}
    if targetless:
        found = sum(answer.answer > 0 for answer in every if answer.truth)
        summary |= {"N-acc": _percent(len(empty), len(targetless)), "T-acc": _percent(found, len(every) - len(targetless))}
    images = len({answer.file_name for answer in every})
    return ReferringReport(summary, groups, settings, len(every), images, len(targetless), len(empty))


def measure(answers: Sequence[Answer], empty_union: int) -> dict[str, float]:
    """The :data:`FIGURES` of some answers in percent, NaN where there are none; their order changes nothing.

    Args:
        empty_union: IoU, 0 or 1, where truth and answer are both empty.
    """
    count = len(answers)
    overall = _percent(sum(answer.intersection for answer in answers), sum(answer.union for answer in answers))
    # fsum rounds once, at the end: sums of floats depend on their order.
    mean = 100 * math.fsum(answer.iou(empty_union) for answer in answers) / count if count else math.nan
    reached = (_percent(sum(answer.reaches(tenths, empty_union) for answer in answers), count) for tenths in TENTHS)
    return dict(zip(FIGURES, (overall, mean, *reached), strict=True))


def _groups(
    kind: str, answers: Sequence[Answer], names_of: Callable[[Answer], Iterable[str | None]], empty_union: int
) -> list[Group]:
    """The groups of one kind by name, the unnamed one last; none where nothing tells sentences apart."""
    members: dict[str | None, list[Answer]] = {}
    for answer in answers:
        for name in dict.fromkeys(names_of(answer)):
            members.setdefault(name, []).append(answer)
    if set(members) <= {None} or (kind == "position" and len(members) < 2):
        return []
    order = sorted(members, key=lambda name: (name is None, name or ""))
    return [Group(kind, name, len(members[name]), measure(members[name], empty_union)) for name in order]


def _percent(part: int, whole: int) -> float:
    return 100 * part / whole if whole else math.nan
