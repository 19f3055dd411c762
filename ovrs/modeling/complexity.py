"""How large a system is and how much it computes: its parameters, its operations, and the bytes that these read and write.

One multiplication and one addition together are one operation here, as in most papers that print GFLOPs; PyTorch's own counter,
and papers that follow it, count two. fvcore counts the whole of a pass, norms and resizing included; products of matrices, by
stages and in training too, are counted by PyTorch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from fvcore.nn import FlopCountAnalysis
from fvcore.nn.jit_handles import get_shape
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from ovrs.modeling.segmentation_model import SegmentationModel
from ovrs.modeling.stages import StageMeter
from ovrs.vocabulary import Vocabulary

ATTENTION = "scaled_dot_product_attention"
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
class Work:
    """What a piece of work asks of a machine, of each stage (:mod:`ovrs.modeling.stages`).

    Attributes:
        products: multiply-adds of products of matrices, convolutions and attention among them.
        moved: bytes that operators read and write, each by itself, as if no cache kept anything between two of them. Views
            move nothing.
    """

    products: dict[str, int]
    moved: dict[str, int]


@dataclass(frozen=True)
class Operations(Work):
    """What a forward pass asks of a machine.

    Attributes:
        whole: multiply-adds of all that fvcore counts: products, norms, resizing.
        uncounted: operators without a count, and how often they ran: activations, sums and moves of elements.
        missed: share of the products that PyTorch's own counter finds and fvcore does not, in 0..1. Above a hundredth, an
            operator among the uncounted ones is a product.
    """

    whole: int
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


def count_image(model: SegmentationModel[Any], images: Tensor, vocabulary: Vocabulary) -> Operations:
    """What one pass over ``images`` [B, C, H, W] computes; the words have been read already.

    The pass is run twice, where the model is.
    """
    return count_operations(_Scoring(model, vocabulary), (images.to(model.device),), model)


def count_operations(module: nn.Module, inputs: tuple[Tensor, ...], model: nn.Module | None = None) -> Operations:
    """The operations of ``module(*inputs)``; ``model`` is what in it has stages, if not itself."""
    analysis = FlopCountAnalysis(module, inputs).set_op_handle(f"aten::{ATTENTION}", _attention)
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
    with torch.no_grad():
        by_operator = analysis.by_operator()
        work = count_work(module if model is None else model, lambda parts: module(*inputs))
    counted, found = sum(by_operator[name] for name in _PRODUCTS), sum(work.products.values())
    return Operations(
        work.products,
        work.moved,
        whole=round(analysis.total()),
        uncounted={name.removeprefix("aten::"): times for name, times in analysis.unsupported_ops().most_common()},
        missed=max(0.0, 1 - counted / found) if found else 0.0,
    )


def count_work(model: nn.Module, run: Callable[[StageMeter], object]) -> Work:
    """The products and bytes of ``run``, by the stages of ``model``.

    Args:
        run: is given what shares them among stages, to name further ones.
    """
    with ExitStack() as stack:
        traffic = stack.enter_context(_Traffic())
        products = stack.enter_context(FlopCounterMode(display=False))
        meter = StageMeter(model, lambda: np.array([products.get_total_flops() / 2, traffic.moved]))
        with meter:
            run(meter)
    amounts = meter.amounts.items()
    return Work({name: round(amount[0]) for name, amount in amounts}, {name: round(amount[1]) for name, amount in amounts})


class _Traffic(TorchDispatchMode):
    """Counts the bytes that operators read and write."""

    def __init__(self) -> None:
        super().__init__()
        self.moved = 0

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if not func.is_view and "empty" not in func.__name__:
            self.moved += sum(_bytes(leaf) for leaf in tree_leaves((args, kwargs, result)) if isinstance(leaf, Tensor))
        return result


def _bytes(tensor: Tensor) -> int:
    """Those in memory: what is expanded lies there once."""
    return min(tensor.nbytes, tensor.untyped_storage().nbytes())


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
