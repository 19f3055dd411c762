"""A running average of the weights, which is often better than the last of them (Polyak and Juditsky 1992)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from ovrs.errors import ConfigError


class WeightAverage:
    """Exponential moving average of what training changes in ``model``: trained parameters and running statistics.

    PyTorch's ``AveragedModel`` keeps a second model; here only the trained part is kept twice, as the frozen encoders are most
    of a system's weights. The first updates count for more, so that the average is not held back by the random start: the
    decay of update ``n`` is at most ``(1 + n) / (10 + n)``.

    Args:
        model: the model itself, not wrapped for several processes.
        decay: share of the average that an update keeps, 0 < decay < 1.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        if not 0.0 < decay < 1.0:
            raise ConfigError(f"SOLVER.EMA_DECAY is {decay}; it lies between 0 (no average) and 1, for example 0.999")
        self.model = model
        self.decay = decay
        self.updates = 0
        self.weights: dict[str, Tensor] = {}
        self.restart()

    def restart(self) -> None:
        """Begin anew, with the weights as the model has them."""
        self.updates = 0
        self.weights = {name: value.detach().clone() for name, value in _changing(self.model).items()}

    @torch.no_grad()
    def update(self) -> None:
        """Move the average towards the model's present weights."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        current = _changing(self.model)
        get_ema_multi_avg_fn(decay)(list(self.weights.values()), [current[name].detach() for name in self.weights], 0)
        self.updates += 1

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The model with the averaged weights, for the length of a ``with`` block."""
        current = _changing(self.model)
        kept = {name: value.detach().clone() for name, value in current.items()}
        _write(current, self.weights)
        try:
            yield
        finally:
            _write(current, kept)

    def state_dict(self) -> dict[str, Any]:
        """The averaged weights by their name in the model, and how many updates they have seen."""
        return {"weights": self.weights, "updates": self.updates}

    @torch.no_grad()
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore :meth:`state_dict`; weights that the model no longer trains are left out.

        Raises:
            ValueError: an average has another shape than the model's weight.
        """
        self.restart()
        kept = {name: value for name, value in state_dict["weights"].items() if name in self.weights}
        for name, value in kept.items():
            if value.shape != self.weights[name].shape:
                own = tuple(self.weights[name].shape)
                raise ValueError(f"the average of {name} is {tuple(value.shape)}, in the model it is {own}")
        self.updates = state_dict["updates"]
        _write(self.weights, kept)


def _changing(model: nn.Module) -> dict[str, Tensor]:
    """The tensors of the state dict, as themselves, that a training changes and that can be averaged."""
    frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    state = model.state_dict(keep_vars=True)
    return {name: value for name, value in state.items() if name not in frozen and value.is_floating_point()}


@torch.no_grad()
def _write(targets: dict[str, Tensor], values: dict[str, Tensor]) -> None:
    for name, value in values.items():
        targets[name].copy_(value)  # in place and traced, so that cached text features are dropped
