"""What is not of a system, measured in a process of its own, in turn with the systems: ceilings, and files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from ovrs.benchmark.ceilings import copy_ceiling, product_ceiling
from ovrs.benchmark.settings import Setting


@dataclass(frozen=True)
class Ceilings:
    """What the machine did in one round.

    Attributes:
        products: floating-point operations a second of a large product of matrices, by precision; a multiplication and an
            addition are two.
        copy: bytes a second that a large copy reads and writes together.
        files: seconds to read one image and to write its maps, by the image's side in pixels and the number of classes.
    """

    products: dict[str, float]
    copy: float
    files: dict[tuple[int, int], float]


class Probe:
    """Measures what stands beside the systems of one group; files lie in ``folder``."""

    def __init__(self, settings: Sequence[Setting], folder: Path) -> None:
        self.precisions = list(dict.fromkeys(setting.precision for setting in settings))
        self.vocabularies = {(setting.size, setting.classes): setting.vocabulary for setting in settings}
        if settings[0].threads:
            torch.set_num_threads(settings[0].threads)
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.folder = folder

    def run(self) -> Ceilings:
        """One round."""
        from ovrs.benchmark.scenes import input_and_output  # by itself, for a process that never comes here needs none of it

        products = {precision: product_ceiling(precision, self.device) for precision in self.precisions}
        files = {
            (size, classes): input_and_output(self.folder, size, words) for (size, classes), words in self.vocabularies.items()
        }
        return Ceilings(products, copy_ceiling(self.device), files)
