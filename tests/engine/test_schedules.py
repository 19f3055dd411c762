"""How the learning rate falls to a power, as in the code of MAFN's authors, and what cannot be asked for."""

from pathlib import Path

import pytest
import torch

from ovrs.config import load_config
from ovrs.engine.schedules import build_lr_scheduler
from ovrs.errors import ConfigError

MAIN = Path(__file__).parents[2] / "configs/mafn/mafn_swinb.yaml"
RATE, STEPS = 3e-5, 50


def rates(*options):
    """The learning rate of every step of a training of 50."""
    cfg = load_config(str(MAIN), ["SOLVER.MAX_ITER", str(STEPS), *options])
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=cfg.SOLVER.BASE_LR)
    schedule, found = build_lr_scheduler(cfg, optimizer), []
    for _ in range(STEPS):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


@pytest.mark.parametrize("power", [0.9, 2.0])
def test_a_rate_falls_as_what_is_left_of_the_training_to_a_power(power):
    expected = [RATE * (1 - step / STEPS) ** power for step in range(STEPS)]
    assert rates("SOLVER.POLY_POWER", str(power)) == pytest.approx(expected, rel=1e-9)
    assert (rates()[0], rates()[-1]) == pytest.approx((RATE, RATE * 0.02**0.9))


def test_it_may_rise_first_to_where_it_would_have_been():
    warmed, plain = rates("SOLVER.WARMUP_ITERS", "10", "SOLVER.WARMUP_FACTOR", "0.1"), rates()
    assert warmed[:10] == sorted(warmed[:10]) and warmed[0] == pytest.approx(0.1 * RATE)
    assert warmed[10:] == pytest.approx(plain[10:])


def test_other_schedules_are_detectron2_s():
    assert rates("SOLVER.LR_SCHEDULER_NAME", "WarmupCosineLR")[25] == pytest.approx(RATE / 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["SOLVER.LR_SCHEDULER_NAME", "PolyLR"], "'PolyLR'; not WarmupCosineLR, WarmupPolyLR or WarmupMultiStepLR"),
        (["SOLVER.POLY_POWER", "0.0"], "POLY_POWER is 0.0; a learning rate falls by a power above 0"),
        (["SOLVER.POLY_POWER", "-1.0"], "POLY_POWER is -1.0"),
    ],
)
def test_what_cannot_be_followed_is_named(options, message):
    with pytest.raises(ConfigError, match=message):
        rates(*options)
