"""How large a system is, and how much it computes for one image: its parameters, and its operations as fvcore counts them.

fvcore counts one multiplication and one addition together as one operation, as most papers do that print GFLOPs; PyTorch's own
counter, and papers that follow it, count two.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from fvcore.nn import FlopCountAnalysis
from fvcore.nn.jit_handles import get_shape
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from ovrs.modeling.segmentation_model import SegmentationModel
from ovrs.vocabulary import Vocabulary

ATTENTION = "scaled_dot_product_attention"
# Modules that are a stage, and the methods by which systems call them; what is left is the head.
STAGES = {
    "vision_language": ("image",),
    "image_encoder": ("embed", "stage"),
    "guidance_encoder": ("forward",),
    "guidance": ("forward",),
}
# The operators that are products of matrices, under fvcore's names; what else it counts are norms and resizing.
_PRODUCTS = ("conv", "linear", "matmul", "mm", "addmm", "bmm", "einsum", ATTENTION)


@dataclass(frozen=True)
class Parameters:
    """How many parameters there are.

    Attributes:
        every: all that the configuration builds, those included that only training uses, and a sentence encoder outside.
        trained: those that learn.
        text: those of the text tower, which runs once a vocabulary.
        text_trained: those of the text tower that learn.
    """

    every: int
    trained: int
    text: int
    text_trained: int


@dataclass(frozen=True)
class Operations:
    """What a forward pass computes, in multiply-adds.

    Attributes:
        whole: all that is counted: products, norms, resizing.
        stages: of that, what each encoder takes, and as ``head`` all the rest.
        uncounted: operators without a count, and how often they ran: activations, sums and moves of elements.
        missed: share of the products that PyTorch's own counter finds and this count does not, in 0..1. Above a hundredth, an
            operator among the uncounted ones is a product.
    """

    whole: int
    stages: dict[str, int]
    uncounted: dict[str, int]
    missed: float


def count_parameters(model: SegmentationModel) -> Parameters:
    """The parameters of a system as it is built."""
    tower = model.text_tower
    outside = int(getattr(tower, "parameters_outside", 0))
    return Parameters(
        every=_parameters(model) + outside,
        trained=_parameters(model, trained=True),
        text=_parameters(tower) + outside,
        text_trained=_parameters(tower, trained=True),
    )


def count_image(model: SegmentationModel, size: int, vocabulary: Vocabulary) -> Operations:
    """The operations of one pass over an image of ``size`` x ``size`` pixels; the words have been read already.

    The pass is run twice, where the model is.
    """
    image = torch.zeros(1, 3, size, size, device=model.device)
    return count_operations(_Scoring(model, vocabulary), (image,), [f"model.{name}" for name in STAGES])


def count_operations(module: nn.Module, inputs: tuple[Tensor, ...], stages: Sequence[str] = ()) -> Operations:
    """The operations of ``module(*inputs)``.

    Args:
        stages: submodules to name apart, by their path; the name is the path's end, and those that do not exist are left out.
    """
    analysis = FlopCountAnalysis(module, inputs).set_op_handle(f"aten::{ATTENTION}", _attention)
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
    with torch.no_grad():
        by_operator = analysis.by_operator()
        with FlopCounterMode(display=False) as other:
            module(*inputs)
    # The tracer gives each module's operators to its parents as well, so a stage's count holds all that is below it.
    by_module = analysis.by_module()
    parts = {path.rpartition(".")[2]: round(by_module[path]) for path in stages if path in by_module}
    whole = round(analysis.total())
    products, twice = sum(by_operator[name] for name in _PRODUCTS), other.get_total_flops()
    return Operations(
        whole=whole,
        stages=parts | {"head": whole - sum(parts.values())},
        uncounted={name.removeprefix("aten::"): times for name, times in analysis.unsupported_ops().most_common()},
        missed=max(0.0, 1 - 2 * products / twice) if twice else 0.0,
    )


class _Scoring(nn.Module):
    """A system as a function of tensors alone, which is what can be traced."""

    def __init__(self, model: SegmentationModel, vocabulary: Vocabulary) -> None:
        super().__init__()
        self.model = model
        self.vocabulary = vocabulary
        self.training = model.training
        with torch.no_grad():
            self.text = model.text_of(vocabulary)

    def forward(self, image: Tensor) -> Tensor:
        return self.model.scores_of(image, self.text, self.vocabulary)


def _parameters(module: nn.Module, *, trained: bool = False) -> int:
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad or not trained)


def _attention(inputs: list[Any], outputs: list[Any]) -> int:
    """Of ``scaled_dot_product_attention``: q k' and its product with v; a mask, causal or not, saves nothing."""
    query, key, value = (get_shape(tensor) for tensor in inputs[:3])
    return math.prod(query[:-1]) * key[-2] * (query[-1] + value[-1])
