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
        files: seconds to read one image and to write its maps, as the setting's size and classes have it.
    """

    products: dict[str, float]
    copy: float
    files: float


class Probe:
    """Measures what stands beside the systems of one group; files lie in ``folder``."""

    def __init__(self, settings: Sequence[Setting], folder: Path) -> None:
        self.setting = settings[0]
        self.precisions = list(dict.fromkeys(setting.precision for setting in settings))
        if self.setting.threads:
            torch.set_num_threads(self.setting.threads)
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.vocabulary = self.setting.vocabulary
        self.folder = folder

    def run(self) -> Ceilings:
        """One round."""
        from ovrs.benchmark.scenes import input_and_output  # by itself, for a process that never comes here needs none of it

        products = {precision: product_ceiling(precision, self.device) for precision in self.precisions}
        files = input_and_output(self.folder, self.setting.size, self.vocabulary)
        return Ceilings(products, copy_ceiling(self.device), files)
