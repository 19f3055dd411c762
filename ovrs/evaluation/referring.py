"""Detectron2's evaluator contract (reset, process, evaluate) for referring segmentation: a sentence, and the mask it means."""

from __future__ import annotations

import functools
import logging
import os
from collections import OrderedDict
from typing import Any

import numpy as np
import torch.nn.functional as F
from detectron2.evaluation import DatasetEvaluator
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ovrs.errors import DataError
from ovrs.evaluation.examples import Example, Examples
from ovrs.evaluation.referring_answers import Answer, Answers
from ovrs.evaluation.referring_files import write_referring_report
from ovrs.evaluation.referring_reports import build_report
from ovrs.evaluation.referring_settings import ReferringSettings

logger = logging.getLogger(__name__)

# A pixel is in the answer from this score on.
THRESHOLD = 0.5


class ReferringEvaluator(DatasetEvaluator):
    """Compares answers with the masks that the inputs carry; keeps a few integers a sentence, and pictures of a few answers.

    Args:
        dataset_name: named in the log and the report.
        output_dir: where the report's files go; None writes nothing.
        settings: what is measured.
    """

    def __init__(
        self,
        dataset_name: str,
        output_dir: str | os.PathLike[str] | None = None,
        settings: ReferringSettings | None = None,
    ) -> None:
        self.dataset_name = dataset_name
        self.output_dir = output_dir
        self.settings = settings or ReferringSettings()
        self.reset()

    def reset(self) -> None:
        """Forget the answers."""
        self.answers = Answers()
        self.examples = Examples(self.settings.report_images if self.output_dir is not None else 0)

    def process(self, inputs: list[dict[str, Any]], outputs: list[dict[str, Tensor]]) -> None:
        """Count a batch. A sample that was counted before, in this process or another, does not count again.

        Args:
            inputs: each with ``sample_id``, ``expression``, ``mask`` bool [H, W], ``file_name``, and where the data set says
                so ``category`` and ``attributes``; ``image`` [3, h, w].
            outputs: each with ``sem_seg`` [1, H, W], scores in 0..1; or [1, h, w] where sizes are compared at the input's.

        Raises:
            DataError: the scores have another size than the truth, are of several names, or are no numbers; or two samples go
                by one name.
        """
        for entry, output in zip(inputs, outputs, strict=True):
            truth, answer = compared_masks(entry, output["sem_seg"], self.settings)
            counted = Answer(
                sample=str(entry["sample_id"]),
                file_name=str(entry.get("file_name", "image")),
                expression=entry["expression"],
                category=entry.get("category"),
                attributes=tuple(entry.get("attributes") or ()),
                truth=int(np.count_nonzero(truth)),
                answer=int(np.count_nonzero(answer)),
                intersection=int(np.count_nonzero(truth & answer)),
            )
            if self.answers.add(counted) and self.examples.size:
                name, iou = counted.sample, 100 * counted.iou(self.settings.empty_union)
                masks = truth.astype(np.uint8), answer.astype(np.uint8)
                self.examples.add(name, iou, functools.partial(Example.reduced, name, iou, entry.get("image"), *masks))

    def evaluate(self) -> OrderedDict[str, dict[str, float]] | None:
        """Figures in percent on the main process, None on the others."""
        answers, examples = self.answers.gather(), self.examples.gather()
        if answers is None or examples is None:
            return None
        report = build_report(answers, self.settings)
        logger.info("%s\n%s", self.dataset_name, report.table())
        if self.output_dir is not None:
            write_referring_report(report, answers, examples, self.output_dir, self.dataset_name)
            logger.info("wrote report.md, report.json and the files they name to %s", self.output_dir)
        return report.detectron2_results()


def compared_masks(
    entry: dict[str, Any], scores: Tensor, settings: ReferringSettings
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Truth and answer of one sample, bool [h, w], at the size where they are compared.

    At the input's size the truth is resized to the nearest pixel, as Pillow does and RMSIN's authors with it, and scores are
    resized bilinearly; what has that size already stays as it is.

    Raises:
        DataError: see :meth:`ReferringEvaluator.process`.
    """
    name = f"{entry.get('file_name', 'an image')} ({entry['expression']!r})"
    truth = np.asarray(entry["mask"].cpu().numpy(), dtype=bool)
    height, width = truth.shape
    if settings.eval_at == "input":
        height, width = (settings.input_side,) * 2 if settings.input_side else entry["image"].shape[-2:]
    if scores.shape[0] != 1:
        raise DataError(f"{name}: scores for {scores.shape[0]} names, but a sentence is one")
    if tuple(scores.shape[1:]) not in ((height, width), truth.shape):
        raise DataError(f"{name}: scores are {tuple(scores.shape[1:])} pixels, the truth {truth.shape}")
    if scores.isnan().any():
        raise DataError(f"{name}: scores that are not numbers (NaN) decide nothing; try MODEL.PRECISION fp32")
    if truth.shape != (height, width):
        truth = np.array(Image.fromarray(truth.astype(np.uint8)).resize((width, height), Image.Resampling.NEAREST)) > 0
    if tuple(scores.shape[1:]) != (height, width):
        scores = F.interpolate(scores[None].float(), size=(height, width), mode="bilinear", align_corners=False)[0]
    return truth, (scores[0] >= THRESHOLD).cpu().numpy()
