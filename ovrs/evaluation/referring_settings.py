"""What an evaluation of referring segmentation is asked to measure, apart from any configuration file."""

from __future__ import annotations

from dataclasses import dataclass

from detectron2.config import CfgNode

from ovrs.errors import ConfigError


@dataclass(frozen=True)
class ReferringSettings:
    """The keys of ``TEST`` and ``TEST.REFERRING`` that it reads; ovrs/config_referring.py says what each does.

    Args:
        eval_at: ``input`` or ``original``, the size at which answer and truth are compared.
        input_side: side of the square that the model sees of every image (``MODEL.FIXED_SIZE``); 0 where it sees the image as
            it is given.
        empty_union: IoU, 0 or 1, where truth and answer are both empty.
        report_images: how many of the best and of the worst answers are shown.

    Raises:
        ConfigError: a value that cannot work.
    """

    eval_at: str = "input"
    input_side: int = 0
    empty_union: int = 0
    report_images: int = 4

    def __post_init__(self) -> None:
        if self.eval_at not in ("input", "original"):
            raise ConfigError(f"TEST.REFERRING.EVAL_AT is {self.eval_at!r}; choose input or original")
        if self.empty_union not in (0, 1):
            raise ConfigError(f"TEST.REFERRING.EMPTY_UNION is {self.empty_union!r}; choose 0 (RMSIN) or 1 (GRES)")
        if self.report_images < 0:
            raise ConfigError(f"TEST.REPORT_IMAGES is {self.report_images}; 0 shows none")

    @classmethod
    def from_config(cls, cfg: CfgNode) -> ReferringSettings:
        """The settings that a configuration asks for."""
        keys = cfg.TEST.REFERRING
        return cls(keys.EVAL_AT, cfg.MODEL.FIXED_SIZE, keys.EMPTY_UNION, cfg.TEST.REPORT_IMAGES)

    def size(self) -> str:
        """The size at which pixels are compared, in words."""
        if self.eval_at == "original":
            return "the size of the truth"
        return f"the model's input size, {self.input_side} x {self.input_side}" if self.input_side else "the model's input size"
