"""The optimizer: which parameters learn how fast and decay how much, in as few groups as that takes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from detectron2.config import CfgNode
from torch import nn

from ovrs.errors import ConfigError

NORMS = (
    nn.LayerNorm,
    nn.GroupNorm,
    nn.LocalResponseNorm,
    nn.modules.batchnorm._BatchNorm,
    nn.modules.instancenorm._InstanceNorm,
)
# Parameters held by a module directly that are positions or a stand-in for the image, not weights of a map.
EMBEDDING_WORDS = ("embed", "position", "cls_token", "pos_")

ENCODERS = ("vision_language", "guidance_encoder", "sar_tower")
# Where MAFN has its guidance encoder, with projections of its own beside it.
STAGE_GUIDANCE = "guidance.encoder"
# Where TSMNet has the second of its image towers, a copy of the vision-language encoder's.
SAR_TOWER = "towers.sar_tower"
# The backbone in front of a small encoder, which may have a rate of its own.
STEMS = tuple(f"{tower}.conv1.backbone" for tower in ("vision_language.visual", SAR_TOWER))


def build_optimizer(cfg: CfgNode, model: nn.Module) -> torch.optim.Optimizer:
    """The optimizer under ``SOLVER``, over the parameters of ``model`` that train.

    Raises:
        ConfigError: an unknown ``SOLVER.OPTIMIZER``, or nothing to train.
    """
    groups = parameter_groups(cfg, model)
    if not groups:
        raise ConfigError("no parameter of the model trains; see MODEL.VISION_LANGUAGE.TRAIN and MODEL.GUIDANCE.TRAIN")
    name, rate = cfg.SOLVER.OPTIMIZER.lower(), cfg.SOLVER.BASE_LR
    if name == "adamw":
        return torch.optim.AdamW(groups, lr=rate)
    if name == "sgd":
        return torch.optim.SGD(groups, lr=rate, momentum=cfg.SOLVER.MOMENTUM, nesterov=cfg.SOLVER.NESTEROV)
    raise ConfigError(f"SOLVER.OPTIMIZER is {cfg.SOLVER.OPTIMIZER!r}; choose AdamW or SGD")


def parameter_groups(cfg: CfgNode, model: nn.Module) -> list[dict[str, Any]]:
    """One group for each pair of learning rate and weight decay that occurs, with every trained parameter exactly once.

    The ``name`` of a group says which parts of the model learn at its rate: the encoders, the ``stem`` of a small one,
    and ``head``, which is all beside.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    parts: dict[float, dict[str, None]] = {}
    for path, module, name, parameter in _trained(model):
        rate = cfg.SOLVER.BASE_LR * _multiplier(cfg, path)
        groups.setdefault((rate, _weight_decay(cfg, module, name)), []).append(parameter)
        parts.setdefault(rate, {})[_part(path)] = None
    return [
        {"params": parameters, "lr": rate, "weight_decay": decay, "name": "+".join(parts[rate])}
        for (rate, decay), parameters in groups.items()
    ]


def _trained(model: nn.Module) -> Iterator[tuple[str, nn.Module, str, nn.Parameter]]:
    """Module path, module, name in the module and parameter; one that several modules share comes once."""
    known: set[nn.Parameter] = set()
    for path, module in model.named_modules():
        for name, parameter in module.named_parameters(recurse=False):
            if parameter.requires_grad and parameter not in known:
                known.add(parameter)
                yield path, module, name, parameter


def _part(path: str) -> str:
    if path.startswith(STEMS):
        return "stem"
    inside = {STAGE_GUIDANCE: "guidance_encoder", SAR_TOWER: "sar_tower"}
    encoder = next((name for place, name in inside.items() if path.startswith(place)), path.partition(".")[0])
    return encoder if encoder in ENCODERS else "head"


def _multiplier(cfg: CfgNode, path: str) -> float:
    solver = cfg.SOLVER
    return {
        "vision_language": solver.VISION_LANGUAGE_MULTIPLIER,
        "sar_tower": solver.VISION_LANGUAGE_MULTIPLIER,
        "stem": solver.VISION_LANGUAGE_MULTIPLIER * solver.STEM_MULTIPLIER,
        "guidance_encoder": solver.GUIDANCE_MULTIPLIER,
    }.get(_part(path), 1.0)


def _weight_decay(cfg: CfgNode, module: nn.Module, name: str) -> float:
    # Some libraries have norms of their own, so the name of the class counts too ("LayerNorm2d", "RMSNorm").
    if isinstance(module, NORMS) or type(module).__name__.rstrip("0123456789d").endswith("Norm"):
        return cfg.SOLVER.WEIGHT_DECAY_NORM
    if isinstance(module, nn.Embedding) or any(word in name for word in EMBEDDING_WORDS):
        return cfg.SOLVER.WEIGHT_DECAY_EMBED
    if name == "bias" and cfg.SOLVER.WEIGHT_DECAY_BIAS is not None:
        return cfg.SOLVER.WEIGHT_DECAY_BIAS
    return cfg.SOLVER.WEIGHT_DECAY
