"""Semantic back-projection: the refined features must still tell what the guidance encoder saw (AerOSeg eq. 7)."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from torch import Tensor, nn

logger = logging.getLogger(__name__)


class SemanticBackProjection(nn.Module):
    """T^sem of eq. 7: three linear layers with GELU between them. Used in training only.

    Args:
        classes: N_C, the number of training classes that are concatenated; 0 averages over any number of them instead.
        dim: channels of the refined cost features.
        hidden: widths between the layers.
        target_dim: channels of what is reproduced.

    Weights of another class list do not fit and do not matter outside training: they are left out when a state dict is
    loaded, with a line in the log.
    """

    def __init__(self, *, classes: int, dim: int, hidden: Sequence[int], target_dim: int) -> None:
        super().__init__()
        self.classes = classes
        widths = (max(classes, 1) * dim, *hidden, target_dim)
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [nn.Linear(before, after), nn.GELU()]
        self.mlp = nn.Sequential(*layers[:-1])

    def forward(self, phi: Tensor) -> Tensor:
        """phi'' [B, N, H, W, C] -> psi [B, H, W, target_dim].

        Raises:
            ValueError: ``phi`` has another number of classes than the layers were built for.
        """
        if not self.classes:
            return self.mlp(phi.mean(dim=1))
        if phi.shape[1] != self.classes:
            raise ValueError(f"back-projection is built for {self.classes} training classes, the vocabulary has {phi.shape[1]}")
        return self.mlp(phi.permute(0, 2, 3, 1, 4).flatten(-2))

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        # Called before the children load: what does not fit is taken out here, so that it neither fails nor is missed.
        own = {prefix + name: value for name, value in self.state_dict().items()}
        if any(name not in state_dict or state_dict[name].shape != value.shape for name, value in own.items()):
            logger.info("back-projection weights are of another class list: left as they are (training only)")
            for name, value in own.items():
                state_dict[name] = value
        super()._load_from_state_dict(state_dict, prefix, *args)
