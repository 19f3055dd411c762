"""The contract of guidance encoders: an image in, feature maps of several depths out (AerOSeg section 3.1)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from ovrs.errors import ConfigError
from ovrs.modeling.encoders.positions import KeptPerSize

Layer = int | str
TrainMode = Literal["freeze", "attention", "full"]


class GuidanceEncoder(nn.Module):
    """Contract: ``forward(x [B,3,H,W]) -> {layer: [B,C,h,w]}`` for each of ``layers``, with ``channels[layer] == C``."""

    layers: tuple[Layer, ...]
    channels: dict[Layer, int]
    stride: int  # sides of the input must be multiples of this
    unit_variance = False  # bring each position's features to mean 0 and variance 1 over channels

    def __init__(self) -> None:
        super().__init__()
        self._positions = KeptPerSize()

    def forward(self, x: Tensor) -> dict[Layer, Tensor]:
        """Features of normalised images ``x`` [B, 3, H, W], sides multiples of ``stride``, each at its own stride."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            features = self.features(x)
            return {layer: _unit_variance(value) for layer, value in features.items()} if self.unit_variance else features

    def features(self, x: Tensor) -> dict[Layer, Tensor]:
        """As ``forward``, of the variance that the encoder gives them."""
        raise NotImplementedError

    def set_trainable(self, train: TrainMode) -> None:
        """Say which parameters train: ``freeze`` none, and the forward pass keeps no graph; ``attention`` those of the
        attention layers (queries, keys, values, output); ``full`` every parameter on a path.

        Raises:
            ConfigError: another mode, or ``attention`` of an encoder that has none.
        """
        if train not in ("freeze", "attention", "full"):
            raise ConfigError(f"training mode {train!r} of the guidance encoder; choose freeze, attention or full")
        unused = self.unused_parameters()
        for name, parameter in self.named_parameters():
            chosen = train == "full" or (train == "attention" and ".attn." in name)
            parameter.requires_grad_(chosen and not name.startswith(unused))
        if train == "attention" and self.frozen:
            raise ConfigError(f"{type(self).__name__} has no attention layers to train; choose freeze or full")

    def unused_parameters(self) -> tuple[str, ...]:
        """Prefixes of the parameters that none of ``layers`` depends on."""
        return ()

    def train(self, mode: bool = True) -> GuidanceEncoder:
        """A frozen encoder stays in evaluation mode: the statistics of batch norms belong to its weights."""
        self._positions.clear()  # fused optimizers and .data write to weights without leaving a trace
        return super().train(mode and not self.frozen)

    @property
    def frozen(self) -> bool:
        """Whether no parameter trains."""
        return not any(p.requires_grad for p in self.parameters())


def _unit_variance(features: Tensor) -> Tensor:
    """[B, C, h, w], normalised over C as a LayerNorm without weights does."""
    return nn.functional.layer_norm(features.permute(0, 2, 3, 1), features.shape[1:2]).permute(0, 3, 1, 2)
