"""Detectron2's evaluator contract (reset, process, evaluate) for segmentation by words."""

from __future__ import annotations

import logging
import os
from collections import OrderedDict
from typing import Any

from detectron2.evaluation import DatasetEvaluator
from torch import Tensor

from ovrs.errors import DataError
from ovrs.evaluation.confusion import IGNORE_LABEL, ConfusionMatrix
from ovrs.evaluation.reports import build_report, write_report
from ovrs.vocabulary import Vocabulary

logger = logging.getLogger(__name__)


class SegmentationEvaluator(DatasetEvaluator):
    """Compares score maps with the labels that the inputs carry; keeps one confusion matrix and no prediction.

    Args:
        dataset_name: named in the log.
        vocabulary: the classes of the labels, with their seen flags.
        output_dir: where ``report.json`` and ``classes.csv`` go; None writes nothing.
        ignore_label: label of pixels that do not count.
    """

    def __init__(
        self,
        dataset_name: str,
        vocabulary: Vocabulary,
        output_dir: str | os.PathLike[str] | None = None,
        ignore_label: int = IGNORE_LABEL,
    ) -> None:
        self.dataset_name = dataset_name
        self.vocabulary = vocabulary
        self.output_dir = output_dir
        self.confusion = ConfusionMatrix(vocabulary.num_classes, ignore_label)

    def reset(self) -> None:
        """Forget what was counted."""
        self.confusion = ConfusionMatrix(self.vocabulary.num_classes, self.confusion.ignore_label)

    def process(self, inputs: list[dict[str, Any]], outputs: list[dict[str, Tensor]]) -> None:
        """Count a batch: ``sem_seg`` of an input [H, W] are labels, of an output [N, H, W] scores; the best one wins.

        Raises:
            DataError: the scores have another size than the labels, or do not belong to the classes.
        """
        for entry, output in zip(inputs, outputs, strict=True):
            labels, scores = entry["sem_seg"], output["sem_seg"]
            name = entry.get("file_name", "an image")
            if scores.shape[1:] != labels.shape:
                raise DataError(f"{name}: scores are {tuple(scores.shape[1:])} pixels, labels {tuple(labels.shape)}")
            # One channel more than classes is a background, which is none of them.
            if scores.shape[0] - self.vocabulary.num_classes not in (0, 1):
                raise DataError(
                    f"{name}: scores for {scores.shape[0]} names, but {self.dataset_name} has {self.vocabulary.num_classes}"
                )
            self.confusion.add(labels.cpu().numpy(), scores.argmax(dim=0).cpu().numpy())

    def evaluate(self) -> OrderedDict[str, dict[str, float]] | None:
        """Figures in percent on the main process, None on the others."""
        total = self.confusion.gather()
        if total is None:
            return None
        report = build_report(total.counts, self.vocabulary)
        logger.info("%s\n%s", self.dataset_name, report.table())
        if self.output_dir is not None:
            paths = write_report(report, total.counts, self.output_dir)
            logger.info("wrote %s", " and ".join(str(path) for path in paths))
        return report.detectron2_results()
