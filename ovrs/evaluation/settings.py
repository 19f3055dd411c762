"""What an evaluation is asked to measure, apart from any configuration file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from detectron2.config import CfgNode

from ovrs.errors import ConfigError
from ovrs.evaluation.metrics import MeanOver


@dataclass(frozen=True)
class EvaluationSettings:
    """The keys of ``TEST`` that evaluation reads; ovrs/config.py says what each does.

    Args:
        mean_over: classes that mean IoU runs over (``TEST.MIOU``).
        calibration: constant of the calibrated figures, 0 for none.
        grid: constants of the calibration curve.
        boundary_ratio: band of boundary IoU as a share of the diagonal, 0 to leave it out.
        report_images: how many of the best and of the worst images are shown.

    Raises:
        ConfigError: an unknown definition of mean IoU, or a value out of range.
    """

    mean_over: MeanOver = "present"
    calibration: float = 0.0
    grid: tuple[float, ...] = ()
    boundary_ratio: float = 0.02
    report_images: int = 4

    def __post_init__(self) -> None:
        if self.mean_over not in get_args(MeanOver):
            raise ConfigError(f"TEST.MIOU is {self.mean_over!r}; choose {' or '.join(get_args(MeanOver))}")
        if not 0 <= self.boundary_ratio <= 1:
            raise ConfigError(f"TEST.BOUNDARY_RATIO is {self.boundary_ratio}; it is a share of the diagonal, 0 to 1")
        if self.report_images < 0:
            raise ConfigError(f"TEST.REPORT_IMAGES is {self.report_images}; 0 shows none")

    @classmethod
    def from_config(cls, cfg: CfgNode) -> EvaluationSettings:
        """The settings that a configuration asks for."""
        grid = tuple(float(constant) for constant in cfg.TEST.CALIBRATION_GRID)
        return cls(cfg.TEST.MIOU, cfg.TEST.CALIBRATION, grid, cfg.TEST.BOUNDARY_RATIO, cfg.TEST.REPORT_IMAGES)

    @property
    def constants(self) -> tuple[float, ...]:
        """Every constant at which pixels are decided: the grid, and the one that is reported."""
        return (*self.grid, self.calibration) if self.calibration else self.grid
