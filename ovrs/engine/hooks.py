"""What the trainer does around a step, beside Detectron2's own hooks."""

from __future__ import annotations

import numpy as np
from detectron2.engine import HookBase
from detectron2.utils import comm
from detectron2.utils.env import seed_all_rng

from ovrs.engine.ema import WeightAverage


class LearningRates(HookBase):
    """Logs the learning rate of every part of the model as ``lr/<part>``, beside Detectron2's ``lr`` of the largest group."""

    def after_step(self) -> None:
        """Runs before the scheduler, so that it is the rate of this step."""
        rates = {group.get("name", f"group {i}"): group["lr"] for i, group in enumerate(self.trainer.optimizer.param_groups)}
        self.trainer.storage.put_scalars(**{f"lr/{name}": rate for name, rate in rates.items()}, smoothing_hint=False)


class StepSeeds(HookBase):
    """Seeds each step by its number, so that a resumed training draws (in dropout, say) what an uninterrupted one would."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def before_step(self) -> None:
        """All of Python's, NumPy's and PyTorch's global states; the images draw from states of their own."""
        drawn = np.random.SeedSequence([self.seed, self.trainer.iter, comm.get_rank()]).generate_state(1)
        seed_all_rng(int(drawn[0]))


class AverageWeights(HookBase):
    """Updates the running average after every step, before anything is saved."""

    def __init__(self, average: WeightAverage) -> None:
        self.average = average

    def after_step(self) -> None:
        """One update."""
        self.average.update()
