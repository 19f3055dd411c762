"""Costs that nobody measured."""

from ovrs.benchmark.probe import Ceilings
from ovrs.benchmark.processes import Cost
from ovrs.benchmark.settings import Setting
from ovrs.benchmark.system import Size
from ovrs.modeling.complexity import Operations, Parameters, Work

PARAMETERS = Parameters(30_000_000, 1_500_000, 20_000_000, 0)


def cost(name="a.yaml", *whole, missed=0.0, ceiling=1e10, **setting):
    """Rounds of so many seconds, a quarter of each the image encoder's; 2e9 multiply-adds a run, and a GB moved."""
    setting = Setting(name, **setting)
    rounds = [{"whole": s, "text": 0.0, "image_encoder": s / 4, "decoder": s / 2, "rest": s / 4} for s in whole]
    products = {"text": 0, "image_encoder": 500_000_000, "decoder": 1_500_000_000, "rest": 0}
    moved = {"text": 0, "image_encoder": 10**9, "decoder": 0, "rest": 0}
    work = Work(products, moved)
    if setting.mode == "inference":
        work = Operations(products, moved, 2_100_000_000, {"add": 3}, missed)
    size = Size(PARAMETERS, work, 0.5 if whole else None, 1.25, None)
    at = Ceilings({"fp32": ceiling, "bf16": 2 * ceiling}, 1e9, {(setting.size, setting.classes): 0.1})
    return Cost(setting, size, rounds, [at for _ in whole])
