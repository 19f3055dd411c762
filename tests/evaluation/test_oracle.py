"""The evaluator against :mod:`oracle` on many small random cases, among them all the awkward ones."""

import math

import numpy as np
import pytest
import torch
from oracle import IGNORED, summary

from ovrs.evaluation.evaluator import SegmentationEvaluator
from ovrs.evaluation.settings import EvaluationSettings
from ovrs.vocabulary import Vocabulary, VocabularyClass

CASES, PARTS = 1200, 4


def draw_case(rng):
    """Images of one random case, its classes' seen flags, and whether there is a background, as a channel or as a class."""
    classes = int(rng.integers(1, 6))
    seen = rng.random(classes) < rng.choice([0.0, 0.5, 0.5, 0.5, 1.0])
    background = bool(rng.random() < 0.3)
    background_class = int(rng.integers(classes)) if not background and rng.random() < 0.3 else None
    # Some classes never occur, some are never predicted, and sometimes nothing counts.
    occurring = rng.permutation(classes)[: rng.integers(1, classes + 1)]
    lifted = rng.random(classes + background) < 0.7
    ignored = rng.choice([0.0, 0.2, 0.9, 1.0], p=[0.4, 0.4, 0.15, 0.05])
    images = []
    for _ in range(rng.integers(1, 4)):
        shape = tuple(rng.integers(1, 8, 2))
        truth = rng.choice(occurring, shape)
        truth[rng.random(shape) < ignored] = IGNORED
        # Few distinct scores, 0 and 1 among them: equal ones are common.
        scores = rng.integers(0, 9, (classes + background, *shape)) / 8
        scores[~lifted] = 0.0
        right = rng.random(shape) < 0.4
        for y, x in zip(*np.nonzero(right & (truth != IGNORED)), strict=True):
            scores[truth[y, x], y, x] += 0.1 * (1 - scores[truth[y, x], y, x])
        images.append((truth, scores.astype(np.float32)))
    return images, seen, background, background_class


def evaluate(images, seen, background_class, settings):
    names = ["background" if index == background_class else f"class {index}" for index in range(len(seen))]
    classes = tuple(VocabularyClass(name, seen=bool(flag)) for name, flag in zip(names, seen, strict=True))
    evaluator = SegmentationEvaluator("random", Vocabulary(classes), None, settings)
    for truth, scores in images:
        evaluator.process([{"sem_seg": torch.from_numpy(truth)}], [{"sem_seg": torch.from_numpy(scores)}])
    results = evaluator.evaluate()["sem_seg"]
    return {name: value for name, value in results.items() if not name.startswith(("IoU-", "ACC-", "UA-"))}


@pytest.mark.parametrize("part", range(PARTS))
def test_every_figure_is_the_oracles(part):
    for number in range(part, CASES, PARTS):
        rng = np.random.default_rng(number)
        images, seen, background, background_class = draw_case(rng)
        over = str(rng.choice(["present", "union"]))
        constant = float(rng.choice([0.0, 1.2345, -0.777]))
        ratio = float(rng.choice([0.0, 0.02, 0.3]))
        settings = EvaluationSettings(over, constant, (), ratio, 0)
        expected = summary(
            images,
            seen,
            over=over,
            constant=constant,
            ratio=ratio,
            background=background,
            background_class=background_class,
        )
        actual = evaluate(images, seen, background_class, settings)
        assert actual.keys() == expected.keys(), f"case {number}"
        for name, value in expected.items():
            same = math.isnan(actual[name]) if math.isnan(value) else abs(actual[name] - value) <= 1e-9
            assert same, f"case {number}: {name} is {actual[name]}, the oracle says {value}"
