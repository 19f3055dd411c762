"""A baseline for referring segmentation: the mask of the class that a sentence names, whatever else the sentence says."""

from __future__ import annotations

from typing import Any

from detectron2.config import CfgNode
from torch import Tensor, nn

from ovrs.data.loaders import dataset_dicts
from ovrs.errors import ConfigError, DataError
from ovrs.vocabulary import Vocabulary


class ClassAnswers(nn.Module):
    """A system that is asked for all classes of a data set, and answers a sentence with the pixels that its class wins.

    Args:
        model: a system of ovrs.
        names: the classes.
        threshold: score from which on a pixel is of any class.
    """

    def __init__(self, model: nn.Module, names: list[str], *, threshold: float = 0.5) -> None:
        super().__init__()
        self.model = model
        self.vocabulary = Vocabulary.from_names(names)
        self.numbers = {name: number for number, name in enumerate(names)}
        self.threshold = threshold

    def forward(self, inputs: list[dict[str, Any]]) -> list[dict[str, Tensor]]:
        """Answers [1, H, W] of 0 and 1 to entries with a ``category``.

        Raises:
            DataError: an entry has none, or one that is not among the names.
        """
        answers = []
        for entry in inputs:
            number = self.numbers.get(entry.get("category") or "")
            if number is None:
                raise DataError(f"{entry.get('file_name')}: its class {entry.get('category')!r} is none of those asked for")
            kept = {key: value for key, value in entry.items() if key != "expression"}
            (found,) = self.model([kept | {"vocabulary": self.vocabulary}])
            scores = found["sem_seg"]
            mask = (scores.argmax(dim=0) == number) & (scores[number] >= self.threshold)
            answers.append({"sem_seg": mask[None].float()})
        return answers


def asked(cfg: CfgNode, model: nn.Module) -> nn.Module:
    """What is evaluated: the model, or as ``TEST.REFERRING.ASK`` says, the masks of classes that it makes.

    Raises:
        ConfigError: another word for what is asked, a threshold that is no score, or data sets that do not say the classes of
            their sentences.
    """
    ask = cfg.TEST.REFERRING.ASK
    if ask not in ("sentence", "class"):
        raise ConfigError(f"TEST.REFERRING.ASK is {ask!r}; choose sentence or class")
    if cfg.DATASETS.TASK != "referring" or ask == "sentence":
        return model
    if not 0 <= cfg.TEST.REFERRING.CLASS_THRESHOLD <= 1:
        raise ConfigError(f"TEST.REFERRING.CLASS_THRESHOLD is {cfg.TEST.REFERRING.CLASS_THRESHOLD}; scores lie in 0..1")
    entries = [entry for name in cfg.DATASETS.TEST for entry in dataset_dicts(cfg, name)]
    names = sorted({entry.get("category") or "" for entry in entries})
    if not names or "" in names:
        raise ConfigError(f"TEST.REFERRING.ASK class: not every sentence of {', '.join(cfg.DATASETS.TEST)} has a category")
    return ClassAnswers(model, names, threshold=cfg.TEST.REFERRING.CLASS_THRESHOLD)
