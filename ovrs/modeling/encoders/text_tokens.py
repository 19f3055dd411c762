"""The contract of encoders that read a sentence token by token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from ovrs.errors import ConfigError

TrainMode = Literal["freeze", "published", "full"]


@dataclass(frozen=True)
class TextTokens:
    """The tokens of N sentences, padded to the longest of them.

    Attributes:
        tokens: [N, L, C]; what stands where a sentence has no token is meaningless, though finite.
        mask: [N, L] bool, true where a sentence has a token; a sentence has one at least.
        pooled: [N, C], one embedding a sentence.

    Raises:
        ConfigError: shapes that do not belong together, or a mask that is not bool.
    """

    tokens: Tensor
    mask: Tensor
    pooled: Tensor

    def __post_init__(self) -> None:
        count, length, dim = self.tokens.shape
        if self.mask.dtype != torch.bool or self.mask.shape != (count, length) or self.pooled.shape != (count, dim):
            raise ConfigError(
                f"tokens {tuple(self.tokens.shape)} with a mask {tuple(self.mask.shape)} of {self.mask.dtype} "
                f"and pooled {tuple(self.pooled.shape)}; they must be [N, L, C], [N, L] of bool and [N, C]"
            )

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, sentences: slice | Tensor) -> TextTokens:
        """Some of the sentences, by a slice or by their numbers."""
        return TextTokens(self.tokens[sentences], self.mask[sentences], self.pooled[sentences])

    def to(self, device: torch.device | str) -> TextTokens:
        """The same on another device."""
        return TextTokens(self.tokens.to(device), self.mask.to(device), self.pooled.to(device))


class TextEncoder(nn.Module):
    """Contract: ``forward(sentences) -> TextTokens`` of ``dim`` channels, at least one sentence, on the encoder's device.

    What is behind the first ``most_tokens`` tokens of a sentence is cut off.
    """

    dim: int
    most_tokens: int

    def forward(self, texts: Sequence[str]) -> TextTokens:
        """Read ``texts``."""
        raise NotImplementedError

    def count_tokens(self, text: str) -> int:
        """How many tokens a sentence has, before anything is cut off."""
        raise NotImplementedError

    def set_trainable(self, train: TrainMode) -> None:
        """Say which parameters train.

        Raises:
            ConfigError: another mode than the encoder knows.
        """
        raise NotImplementedError

    def freeze_shift(self) -> None:
        """Freeze what only adds one vector to all tokens alike, for a reader in which that cancels; by default nothing."""

    def text_version(self) -> tuple[int, ...]:
        """Changes whenever a parameter is written to, moved or replaced: the key of cached text features."""
        return tuple(number for p in self.parameters() for number in (p._version, p.data_ptr()))

    @property
    def text_trains(self) -> bool:
        """Whether gradients flow into the encoder."""
        return any(p.requires_grad for p in self.parameters())
