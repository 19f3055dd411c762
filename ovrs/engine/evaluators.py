"""The evaluator that a configuration asks for."""

from __future__ import annotations

import os

from detectron2.config import CfgNode
from detectron2.evaluation import DatasetEvaluator

from ovrs.data.catalog import vocabulary_of
from ovrs.data.folds import evaluated_vocabulary
from ovrs.data.loaders import training_classes
from ovrs.errors import ConfigError
from ovrs.evaluation.evaluator import SegmentationEvaluator
from ovrs.evaluation.referring import ReferringEvaluator
from ovrs.evaluation.referring_settings import ReferringSettings
from ovrs.evaluation.settings import EvaluationSettings


def build_evaluator(cfg: CfgNode, dataset_name: str) -> DatasetEvaluator:
    """Counts over a data set as ``DATASETS.TASK`` and ``TEST`` ask for; the report goes to ``OUTPUT_DIR/inference/<data set>``.

    Raises:
        ConfigError: an unknown task, or a setting that cannot work.
        DataError: an unknown data set.
    """
    folder = os.path.join(cfg.OUTPUT_DIR, "inference", dataset_name)
    if cfg.DATASETS.TASK == "referring":
        return ReferringEvaluator(dataset_name, folder, ReferringSettings.from_config(cfg))
    if cfg.DATASETS.TASK != "segmentation":
        raise ConfigError(f"DATASETS.TASK is {cfg.DATASETS.TASK!r}; choose segmentation or referring")
    vocabulary = evaluated_vocabulary(vocabulary_of(dataset_name), cfg.DATASETS.HIDDEN_CLASSES)
    settings, trained = EvaluationSettings.from_config(cfg), training_classes(cfg)
    return SegmentationEvaluator(dataset_name, vocabulary, folder, settings, trained=trained)
