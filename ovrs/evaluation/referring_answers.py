"""What is kept of every answer to a sentence: a few integers under the sample's name, so that nothing counts twice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from detectron2.utils import comm

from ovrs.errors import DataError
from ovrs.positions import is_positional


@dataclass(frozen=True)
class Answer:
    """One sentence on one image, and the pixels of the truth, of the answer, and of both.

    Attributes:
        sample: its name, unique in the data set.
        file_name: of the image.
        category: of what is meant; None where the data set does not say.
        attributes: what the sentence tells it by (``color``, ``absolute location``), as the data set names them.
    """

    sample: str
    file_name: str
    expression: str
    category: str | None
    attributes: tuple[str, ...]
    truth: int
    answer: int
    intersection: int

    @property
    def union(self) -> int:
        """Pixels of truth or answer."""
        return self.truth + self.answer - self.intersection

    @property
    def positional(self) -> bool:
        """Whether the sentence names a place in the image."""
        return is_positional(self.expression)

    def iou(self, empty_union: int) -> float:
        """Intersection over union in 0..1; ``empty_union`` where truth and answer are empty."""
        return self.intersection / self.union if self.union else float(empty_union)

    def reaches(self, tenths: int, empty_union: int) -> bool:
        """Whether the IoU is at least ``tenths`` / 10, compared exactly."""
        if not self.union:
            return 10 * empty_union >= tenths
        return 10 * self.intersection >= tenths * self.union

    def _identity(self) -> tuple[str, str, int]:
        return self.file_name, self.expression, self.truth


class Answers:
    """The answers of a data set, one a sample, in whatever order they come."""

    def __init__(self) -> None:
        self._of: dict[str, Answer] = {}

    def __len__(self) -> int:
        return len(self._of)

    def __iter__(self) -> Iterator[Answer]:
        """By the samples' names."""
        return (self._of[sample] for sample in sorted(self._of))

    def __getitem__(self, sample: str) -> Answer:
        return self._of[sample]

    def add(self, answer: Answer) -> bool:
        """Keep an answer unless there is one of the same sample already; whether it was kept.

        Raises:
            DataError: another sentence, image or truth goes by the same name.
        """
        known = self._of.setdefault(answer.sample, answer)
        if known._identity() != answer._identity():
            raise DataError(
                f"two samples are called {answer.sample!r}: {known.expression!r} on {known.file_name} and "
                f"{answer.expression!r} on {answer.file_name}; every sample_id of a data set must be unique"
            )
        return known is answer

    def gather(self) -> Answers | None:
        """Those of all processes on the main one, None on the others; of one sample, the first process's answer."""
        comm.synchronize()
        parts = comm.gather(self)
        if not comm.is_main_process():
            return None
        total = Answers()
        for part in parts:
            for answer in part:
                total.add(answer)
        return total
