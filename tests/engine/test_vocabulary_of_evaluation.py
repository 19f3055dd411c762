"""Training on the seen names and evaluating on all, while the text tower learns: no evaluation sees old text features."""

import copy
import sys
from pathlib import Path

import torch
from detectron2.modeling import META_ARCH_REGISTRY

from ovrs.config import load_config
from ovrs.engine.trainer import Trainer

sys.path.append(str(Path(__file__).parents[1] / "modeling"))
from parts import tiny_aeroseg


@META_ARCH_REGISTRY.register()
def TinyWithText(cfg):  # noqa: N802 - a system's name
    """An AerOSeg whose text tower trains."""
    return tiny_aeroseg(train="full", back_projection=None)


class Watched(Trainer):
    """At each evaluation, compares the model with a copy that never computed anything before."""

    def evaluate(self):
        entry = next(iter(self.build_test_loader(self.cfg, "toy_val")))[0]
        with torch.no_grad():
            before = self.model.training
            with self.average.applied():
                fresh = tiny_aeroseg(train="full", back_projection=None)
                fresh.load_state_dict(copy.deepcopy(self.model.state_dict()))
                mine, theirs = (model.eval()([entry])[0]["sem_seg"] for model in (self.model, fresh))
            self.model.train(before)
        self.seen.append((entry["vocabulary"].names, mine, theirs))
        return super().evaluate()


def test_every_evaluation_scores_all_names_with_the_weights_it_has(config_file):
    options = ["MODEL.META_ARCHITECTURE", "TinyWithText", "TEST.EVAL_PERIOD", "1", "SOLVER.MAX_ITER", "3"]
    options += ["SOLVER.VISION_LANGUAGE_MULTIPLIER", "1.0", "SOLVER.EMA_DECAY", "0.5", "TEST.PICTURES", "1"]
    trainer = Watched(load_config(str(config_file), options))
    trained_names = []
    trainer.model.register_forward_pre_hook(
        lambda model, inputs: trained_names.append(inputs[0][0]["vocabulary"].names) if model.training else None
    )
    trainer.seen = []
    trainer.train()
    assert set(trained_names) == {("dark", "bright")} and len(trainer.seen) == 3
    for names, mine, theirs in trainer.seen:
        assert names == ("dark", "bright", "red") and mine.shape[0] == 3
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-6)
    changes = [(one[1] - other[1]).abs().max() for one, other in zip(trainer.seen, trainer.seen[1:], strict=False)]
    assert min(changes) > 1e-4, "the weights did change in between"
