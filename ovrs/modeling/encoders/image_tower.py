"""The contract of image towers: vision transformers of which every patch has an embedding in the space of the text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from ovrs.modeling.encoders.positions import KeptPerSize, resize_grid
from ovrs.modeling.sizes import same_size


@dataclass(frozen=True)
class ImageFeatures:
    """What the image tower says of a batch.

    Attributes:
        dense: [B, C, H, W], one embedding a patch, not normalised.
        pooled: [B, C], one embedding an image, from the same pass: see the tower.
        taps: outputs of the blocks asked for, each [B, width, H, W].
    """

    dense: Tensor
    pooled: Tensor
    taps: tuple[Tensor, ...]


class ImageTower(nn.Module):
    """A vision transformer with a dense path.

    Args:
        patch: side of a patch in pixels.
        width: channels of a token.
        dim: channels of an embedding, which are the text tower's.
        grid: patches down and across in the images it was trained on.
    """

    def __init__(self, *, patch: int, width: int, dim: int, grid: tuple[int, int]) -> None:
        super().__init__()
        self.patch = patch
        self.width = width
        self.dim = dim
        self.grid = grid
        self._positions = KeptPerSize()

    def forward(self, x: Tensor, taps: Sequence[int] = ()) -> ImageFeatures:
        """Features of normalised images ``x`` [B, 3, H*patch, W*patch], with the outputs of blocks ``taps``, from 1."""
        raise NotImplementedError

    def global_embedding(self, x: Tensor) -> Tensor:
        """The owning library's own embedding [B, C] of normalised images ``x`` [B, 3, H*patch, W*patch]."""
        raise NotImplementedError

    def outside_dense_path(self) -> tuple[str, ...]:
        """Names of the parameters that no dense embedding depends on."""
        raise NotImplementedError

    @property
    def usable_blocks(self) -> int:
        """How many blocks run whole in the dense path, and can be tapped."""
        raise NotImplementedError

    def train(self, mode: bool = True) -> ImageTower:
        """Also forgets resized positions: fused optimizers and ``.data`` write to weights without leaving a trace."""
        self._positions.clear()
        return super().train(mode)

    def _resized(self, weight: Tensor, size: tuple[int, int], resize: Callable[[], Tensor]) -> Tensor:
        """Position embeddings at ``size``: ``weight`` at the trained size, else ``resize()``, kept while it cannot change."""
        return weight if same_size(size, self.grid) else self._positions(weight, size, resize)

    def _resize(self, positions: Tensor, size: tuple[int, int]) -> Tensor:
        """Positions [H*W, width] of the trained grid, bicubic to ``size``."""
        grid = positions.T.reshape(1, -1, *self.grid)
        return resize_grid(grid, size).flatten(2)[0].T


def read_blocks(
    blocks: Iterable[Any], step: Callable[[Any, Tensor], Tensor], tokens: Tensor, taps: Sequence[int]
) -> tuple[Tensor, list[Tensor]]:
    """``tokens`` behind all ``blocks``, and behind those numbered ``taps``, from 1, in the order of ``taps``."""
    kept = {}
    for number, block in enumerate(blocks, start=1):
        tokens = step(block, tokens)
        if number in taps:
            kept[number] = tokens
    return tokens, [kept[number] for number in taps]


def to_map(tokens: Tensor, size: tuple[int, int]) -> Tensor:
    """Patch tokens [B, H*W, C] -> [B, C, H, W]."""
    return tokens.transpose(1, 2).unflatten(2, size)
