"""The latest pairs of image and text, kept for the image-text matching loss (MetaSegNet section II-C-1, step 2)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ovrs.errors import ConfigError


@dataclass(frozen=True)
class Pairs:
    """Images and their texts, as far as others are compared with them.

    Attributes:
        images: one embedding an image [M, D].
        texts: one embedding a text [M, D].
        tokens: of the texts [M, L, C].
        masks: [M, L] bool, true where a text has a token.
        prompts: the number of each text [M], see :func:`prompt_numbers`; equal texts have equal numbers.
    """

    images: Tensor
    texts: Tensor
    tokens: Tensor
    masks: Tensor
    prompts: Tensor

    def and_then(self, others: Pairs) -> Pairs:
        """These, with ``others`` behind them."""
        return Pairs(
            images=torch.cat([self.images, others.images]),
            texts=torch.cat([self.texts, others.texts]),
            tokens=torch.cat([self.tokens, others.tokens]),
            masks=torch.cat([self.masks, others.masks]),
            prompts=torch.cat([self.prompts, others.prompts]),
        )


class PairQueue(nn.Module):
    """The latest ``size`` pairs, without gradients: the oldest one goes when one comes.

    It is part of a checkpoint, so that a training that goes on meets the pairs that it would have met. How many pairs have come
    is known beside the buffer too: no step has to wait for the device to say so.

    Args:
        size: how many pairs; 0 keeps none.
        length: tokens of the longest text.
        dim: channels of embeddings and of tokens.

    Raises:
        ConfigError: a negative size.
    """

    queued_images: Tensor
    queued_texts: Tensor
    queued_tokens: Tensor
    queued_masks: Tensor
    queued_prompts: Tensor
    queued_count: Tensor

    def __init__(self, *, size: int = 16, length: int = 250, dim: int = 256) -> None:
        super().__init__()
        if size < 0:
            raise ConfigError(f"a queue of {size} pairs; it must be 0 or above")
        self.size, self.length = size, length
        self.register_buffer("queued_images", torch.zeros(size, dim))
        self.register_buffer("queued_texts", torch.zeros(size, dim))
        self.register_buffer("queued_tokens", torch.zeros(size, length, dim))
        self.register_buffer("queued_masks", torch.zeros(size, length, dtype=torch.bool))
        self.register_buffer("queued_prompts", torch.zeros(size, dtype=torch.long))
        self.register_buffer("queued_count", torch.zeros((), dtype=torch.long))  # pairs that have ever come
        self._come = 0  # the same

    def __len__(self) -> int:
        """How many pairs there are."""
        return min(self._come, self.size)

    def clear(self) -> None:
        """Let all pairs go."""
        self.queued_count.zero_()
        self._come = 0

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        self._come = int(self.queued_count)

    @property
    def full(self) -> bool:
        """Whether the next pair takes another's place."""
        return len(self) == self.size

    def pairs(self) -> Pairs:
        """Those there are, in no order that matters; they change with the next :meth:`push`."""
        there = slice(len(self))
        return Pairs(
            self.queued_images[there],
            self.queued_texts[there],
            self.queued_tokens[there],
            self.queued_masks[there],
            self.queued_prompts[there],
        )

    @torch.no_grad()
    def push(self, pairs: Pairs) -> None:
        """Take in pairs of at most :attr:`length` tokens, in their order; of more than there is room for the last ones.

        Raises:
            ConfigError: longer texts.
        """
        count, tokens = len(pairs.images), self.fitted(pairs.tokens)
        first = max(count - self.size, 0)
        kept = slice(first, count)
        come = torch.arange(self._come + first, self._come + count, device=self.queued_count.device)
        places = come % max(self.size, 1)
        self.queued_images[places] = pairs.images[kept].float()
        self.queued_texts[places] = pairs.texts[kept].float()
        self.queued_tokens[places] = tokens[kept].float()
        self.queued_masks[places] = self.fitted(pairs.masks)[kept]
        self.queued_prompts[places] = pairs.prompts[kept]
        self.queued_count += count
        self._come += count

    def fitted(self, x: Tensor) -> Tensor:
        """Tokens [M, L, C] or masks [M, L] with zeros up to :attr:`length`.

        Raises:
            ConfigError: they are longer.
        """
        missing = self.length - x.shape[1]
        if missing < 0:
            raise ConfigError(f"a text of {x.shape[1]} tokens in a queue of texts of {self.length}; MODEL.TEXT.MAX_TOKENS")
        return F.pad(x, (0, 0, 0, missing) if x.ndim == 3 else (0, missing))


def queued(name: str) -> bool:
    """Whether a name in a system's state dict is that of a part of its queue, which weights can do without."""
    return ".queued_" in name


def prompt_numbers(texts: Sequence[str], device: torch.device | str = "cpu") -> Tensor:
    """A number a text [N], the same for the same text in every process and every run, and practically never for two."""
    found = [int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big", signed=True) for text in texts]
    return torch.tensor(found, dtype=torch.long).to(device, non_blocking=True)
