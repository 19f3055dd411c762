import pytest
import torch
from detectron2.config import get_cfg
from torch import nn

from ovrs.config import add_ovrs_config
from ovrs.engine.optimizer import build_optimizer, parameter_groups
from ovrs.errors import ConfigError


class LayerNorm2d(nn.Module):
    """A norm that is none of PyTorch's own."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(4))


class Parts(nn.Module):
    """One parameter of each kind that is treated on its own."""

    def __init__(self):
        super().__init__()
        self.vision_language = nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4))
        self.vision_language.positional_embedding = nn.Parameter(torch.zeros(4))
        self.guidance_encoder = nn.Sequential(nn.Linear(4, 4), LayerNorm2d())
        self.head = nn.Linear(4, 4)
        self.padding_tokens = nn.Parameter(torch.zeros(4))
        self.words = nn.Embedding(3, 4)
        self.again = self.head
        self.frozen = nn.Parameter(torch.zeros(4), requires_grad=False)


@pytest.fixture
def cfg():
    cfg = get_cfg()
    add_ovrs_config(cfg)
    cfg.SOLVER.BASE_LR = 1.0
    cfg.SOLVER.VISION_LANGUAGE_MULTIPLIER = 0.01
    cfg.SOLVER.GUIDANCE_MULTIPLIER = 0.1
    cfg.SOLVER.WEIGHT_DECAY = 0.5
    cfg.SOLVER.WEIGHT_DECAY_NORM = 0.0
    cfg.SOLVER.WEIGHT_DECAY_EMBED = 0.0
    return cfg


def settings(cfg, model):
    names = {parameter: name for name, parameter in model.named_parameters()}
    groups = parameter_groups(cfg, model)
    return {names[parameter]: (group["lr"], group["weight_decay"]) for group in groups for parameter in group["params"]}


def test_each_parameter_gets_its_learning_rate_and_decay(cfg):
    assert settings(cfg, Parts()) == {
        "padding_tokens": (1.0, 0.5),
        "vision_language.positional_embedding": (0.01, 0.0),
        "vision_language.0.weight": (0.01, 0.5),
        "vision_language.0.bias": (0.01, 0.5),
        "vision_language.1.weight": (0.01, 0.0),
        "vision_language.1.bias": (0.01, 0.0),
        "guidance_encoder.0.weight": (0.1, 0.5),
        "guidance_encoder.0.bias": (0.1, 0.5),
        "guidance_encoder.1.weight": (0.1, 0.0),
        "head.weight": (1.0, 0.5),
        "head.bias": (1.0, 0.5),
        "words.weight": (1.0, 0.0),
    }


def test_groups_are_few_and_hold_every_trained_parameter_once(cfg):
    model = Parts()
    groups = parameter_groups(cfg, model)
    held = [parameter for group in groups for parameter in group["params"]]
    assert len(groups) == 6
    assert len(held) == len(set(held)) == sum(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize("share", [1.0, 0.2])
def test_what_has_a_rate_of_its_own_has_a_name_of_its_own(cfg, share):
    cfg.SOLVER.STEM_MULTIPLIER = share
    model = Parts()
    model.vision_language.visual = nn.Module()
    model.vision_language.visual.conv1 = nn.Module()
    model.vision_language.visual.conv1.backbone = nn.Linear(4, 4)
    rates = {}
    for group in parameter_groups(cfg, model):
        assert rates.setdefault(group["name"], group["lr"]) == group["lr"]
    own = {"vision_language+stem": 0.01} if share == 1 else {"vision_language": 0.01, "stem": 0.002}
    assert rates == pytest.approx({**own, "guidance_encoder": 0.1, "head": 1.0})


@pytest.mark.parametrize(("name", "kind"), [("AdamW", torch.optim.AdamW), ("sgd", torch.optim.SGD)])
def test_the_optimizer_is_the_one_asked_for(cfg, name, kind):
    cfg.SOLVER.OPTIMIZER = name
    assert isinstance(build_optimizer(cfg, Parts()), kind)


def test_what_cannot_work_is_refused(cfg):
    cfg.SOLVER.OPTIMIZER = "magic"
    with pytest.raises(ConfigError, match="'magic'; choose AdamW or SGD"):
        build_optimizer(cfg, Parts())
    with pytest.raises(ConfigError, match="no parameter of the model trains"):
        build_optimizer(cfg, Parts().requires_grad_(False))
