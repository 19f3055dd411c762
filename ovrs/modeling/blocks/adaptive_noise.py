"""Adaptive noise behind the attention of a Swin block (MAFN eqs. 2 to 5; after GeminiFusion, Jia et al., arXiv:2406.01210)."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ovrs.errors import ConfigError

Start = Literal["published", "identity"]


class AdaptiveNoise(nn.Module):
    """Every pixel x attends to two keys of its own, and to no other pixel; the result is added to it.

    The keys are ``[x + noise_k, x * DA(x)]``, their values ``[x + noise_v, x]``, where DA is a two-layer perceptron with a
    softmax over channels. A softmax over two keys is the sigmoid of the difference of their scores, and the values differ by
    ``W_v noise_v`` alone, so what is computed is::

        x + W_o (W_v x + gate * W_v noise_v),   gate = sigmoid(q . W_k (x + noise_k - x * DA(x)) / sqrt(d))  for each head

    That is exact, and a bias of the keys would cancel: there is none.

    Args:
        dim: channels of x.
        heads: attention heads.
        start: ``published`` draws the noise from N(0, 1) and the output projection with a deviation of 0.02, as the published
            code does; ``identity`` starts that projection at zero, and so the whole as x.

    Raises:
        ConfigError: channels that the heads do not divide, or another start.
    """

    def __init__(self, *, dim: int, heads: int = 8, start: Start = "published") -> None:
        super().__init__()
        if dim % heads:
            raise ConfigError(f"adaptive noise of {dim} channels: {heads} heads do not divide them")
        if start not in ("published", "identity"):
            raise ConfigError(f"adaptive noise starts as {start!r}; choose published or identity")
        self.heads = heads
        self.query = nn.Linear(dim, dim)
        self.key = nn.Linear(dim, dim, bias=False)
        self.value = nn.Linear(dim, dim)
        self.projection = nn.Linear(dim, dim)
        self.discriminator = nn.Sequential(nn.Linear(dim, dim), nn.GELU(), nn.Linear(dim, dim), nn.Softmax(dim=-1))
        self.key_noise = nn.Parameter(torch.randn(dim))
        self.value_noise = nn.Parameter(torch.randn(dim))
        self._initialise(start)

    def forward(self, x: Tensor) -> Tensor:
        """[..., C] -> [..., C]."""
        queries = self.query(x)
        difference = self.key(x * (1 - self.discriminator(x)) + self.key_noise)
        scores = (queries * difference).unflatten(-1, (self.heads, -1)).sum(-1)
        gate = torch.sigmoid(scores * (x.shape[-1] // self.heads) ** -0.5)
        noise = F.linear(self.value_noise, self.value.weight).view(self.heads, -1)
        return x + self.projection(self.value(x) + (gate.unsqueeze(-1) * noise).flatten(-2))

    def _initialise(self, start: Start) -> None:
        """As ``nn.MultiheadAttention`` starts its inputs, and the published code all other linear layers."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        for layer in (self.query, self.key, self.value):  # three parts of one [3C, C] matrix there
            bound = (1.5 / layer.in_features) ** 0.5
            nn.init.uniform_(layer.weight, -bound, bound)
        if start == "identity":
            nn.init.zeros_(self.projection.weight)
