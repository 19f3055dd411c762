"""Detectron2's evaluator contract (reset, process, evaluate) for segmentation by words."""

from __future__ import annotations

import functools
import logging
import os
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from detectron2.evaluation import DatasetEvaluator
from torch import Tensor

from ovrs.errors import DataError
from ovrs.evaluation.confusion import IGNORE_LABEL
from ovrs.evaluation.decisions import decide
from ovrs.evaluation.examples import Example, Examples
from ovrs.evaluation.metrics import mean_iou
from ovrs.evaluation.report_files import write_report
from ovrs.evaluation.reports import build_report
from ovrs.evaluation.settings import EvaluationSettings
from ovrs.evaluation.tallies import Tallies, label_map
from ovrs.vocabulary import Vocabulary, VocabularyClass

logger = logging.getLogger(__name__)


class SegmentationEvaluator(DatasetEvaluator):
    """Compares score maps with the labels that the inputs carry; keeps counts, and pictures of a few images.

    Args:
        dataset_name: named in the log and the report.
        vocabulary: the classes of the labels, with their seen flags.
        output_dir: where the report's files go; None writes nothing.
        settings: what is measured.
        trained: the classes that training saw, of whatever data sets; they tell base from novel classes. Without any, the
            report has no such figures.
        ignore_label: label of pixels that do not count.
    """

    def __init__(
        self,
        dataset_name: str,
        vocabulary: Vocabulary,
        output_dir: str | os.PathLike[str] | None = None,
        settings: EvaluationSettings | None = None,
        *,
        trained: Sequence[VocabularyClass] = (),
        ignore_label: int = IGNORE_LABEL,
    ) -> None:
        self.dataset_name = dataset_name
        self.vocabulary = vocabulary
        self.output_dir = output_dir
        self.settings = settings or EvaluationSettings()
        self.trained = tuple(trained)
        self.ignore_label = ignore_label
        self.reset()

    def reset(self) -> None:
        """Forget what was counted."""
        self.tallies = Tallies([cls.seen for cls in self.vocabulary.classes], self.settings, self.ignore_label)
        self.examples = Examples(self.settings.report_images if self.output_dir is not None else 0)

    def process(self, inputs: list[dict[str, Any]], outputs: list[dict[str, Tensor]]) -> None:
        """Count a batch: ``sem_seg`` of an input [H, W] are labels, of an output [N, H, W] scores in 0..1; the best one wins.

        One channel more than classes is a background, which is none of them.

        Raises:
            DataError: the scores have another size than the labels, do not belong to the classes, or are not numbers.
            ValueError: a label is neither a class nor the ignored one.
        """
        for entry, output in zip(inputs, outputs, strict=True):
            self._check(entry, output)
            labels, scores = entry["sem_seg"], output["sem_seg"]
            truth = labels.cpu().numpy()
            try:
                decision = decide(scores, labels, self.tallies.seen, self.ignore_label)
            except ValueError as error:
                raise DataError(f"{entry.get('file_name', 'an image')}: {error}; try MODEL.PRECISION fp32") from error
            own = self.tallies.add(decision, truth, background=len(scores) > self.vocabulary.num_classes)
            if self.examples.size and own.any():
                name, miou = str(entry.get("file_name", "image")), mean_iou(own, "present")
                prediction = label_map(truth, decision.plain, self.ignore_label)
                self.examples.add(
                    name, miou, functools.partial(Example.reduced, name, miou, entry.get("image"), truth, prediction)
                )

    def _check(self, entry: dict[str, Any], output: dict[str, Tensor]) -> None:
        labels, scores, classes = entry["sem_seg"], output["sem_seg"], self.vocabulary.num_classes
        name = entry.get("file_name", "an image")
        if scores.shape[1:] != labels.shape:
            raise DataError(f"{name}: scores are {tuple(scores.shape[1:])} pixels, labels {tuple(labels.shape)}")
        if scores.shape[0] - classes not in (0, 1):
            raise DataError(f"{name}: scores for {scores.shape[0]} names, but {self.dataset_name} has {classes}")

    def evaluate(self) -> OrderedDict[str, dict[str, float]] | None:
        """Figures in percent on the main process, None on the others."""
        tallies, examples = self.tallies.gather(), self.examples.gather()
        if tallies is None or examples is None:
            return None
        report = build_report(tallies, self.vocabulary, self.trained)
        logger.info("%s\n%s", self.dataset_name, report.table())
        if self.output_dir is not None:
            write_report(report, examples, self.output_dir, self.dataset_name, self.vocabulary)
            logger.info("wrote report.md, report.json and the files they name to %s", self.output_dir)
        return report.detectron2_results()
