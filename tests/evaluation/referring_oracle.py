"""The figures of referring segmentation, written a second time on whole masks, as the published evaluations do it in NumPy."""

import numpy as np


def figures(pairs, empty_union):
    """Of (truth, answer) masks: overall and mean IoU, and the share whose IoU is at least 0.5 to 0.9, in percent."""
    if not pairs:
        return dict.fromkeys(("oIoU", "mIoU", "Pr@0.5", "Pr@0.6", "Pr@0.7", "Pr@0.8", "Pr@0.9"), np.nan)
    inside = np.array([np.logical_and(truth, answer).sum() for truth, answer in pairs], dtype=np.float64)
    covered = np.array([np.logical_or(truth, answer).sum() for truth, answer in pairs], dtype=np.float64)
    ious = np.array([i / u if u > 0 else float(empty_union) for i, u in zip(inside, covered, strict=True)])
    found = {"oIoU": inside.sum() * 100.0 / covered.sum() if covered.sum() else np.nan, "mIoU": ious.mean() * 100.0}
    return found | {f"Pr@{x}": (ious >= x).sum() * 100.0 / len(ious) for x in (0.5, 0.6, 0.7, 0.8, 0.9)}


def no_target_figures(pairs):
    """Of the sentences without a target, the share that got an empty answer; of the others, the share that got one."""
    without = [not answer.any() for truth, answer in pairs if not truth.any()]
    with_one = [answer.any() for truth, answer in pairs if truth.any()]
    if not without:
        return {}
    return {"N-acc": 100 * np.mean(without), "T-acc": 100 * np.mean(with_one) if with_one else np.nan}


def random_pair(rng):
    """A truth and an answer; often empty, equal, or with an IoU that is a threshold exactly."""
    height, width = rng.integers(3, 9, 2)
    kind = rng.integers(6)
    if kind == 0:  # no target, and sometimes an empty answer
        return np.zeros((height, width), bool), rng.random((height, width)) < rng.choice([0, 0, 0.2])
    if kind == 1:  # an IoU of exactly tenths / 10
        truth, answer = np.zeros((2, 10, width), bool)
        truth[:, 0] = True
        answer[: rng.integers(0, 11), 0] = True
        return (truth, answer) if rng.random() < 0.5 else (answer, truth)
    if kind == 2:  # halves by other sizes: 2 of 4, 3 of 6
        truth, answer = np.zeros((2, 6, width), bool)
        size = rng.integers(1, 4)
        truth[:size], answer[: 2 * size] = True, True
        return truth, answer
    truth = rng.random((height, width)) < rng.choice([0.1, 0.5, 0.9])
    answer = truth ^ (rng.random((height, width)) < rng.choice([0, 0.05, 0.2, 0.5]))
    return truth, answer
