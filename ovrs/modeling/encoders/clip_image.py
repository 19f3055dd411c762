"""CLIP's image tower, read the way CAT-Seg reads it (AerOSeg eq. 1).

The last block attends to nothing, so that its output still knows where it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ovrs.errors import ConfigError
from ovrs.modeling.encoders.attention import QuickGelu, residual_block, split_attentions
from ovrs.modeling.encoders.image_tower import ImageFeatures, ImageTower, read_blocks, to_map


class ClipImage(ImageTower):
    """A plain vision transformer taken out of an open_clip model, or a small one; parameter names are CLIP's own.

    ``pooled`` is the class token's embedding along the attention-free last block, which is not CLIP's global embedding.

    Raises:
        ConfigError: the image's embedding is not its class token's, or attention is not the plain one.
    """

    def __init__(self, visual: Any) -> None:
        blocks = visual.transformer.resblocks
        if visual.attn_pool is not None or visual.pool_type != "tok":
            raise ConfigError("the dense path of CLIP goes along its class token, and this image tower pools otherwise")
        if any(not isinstance(block.attn, nn.MultiheadAttention) for block in blocks):
            raise ConfigError("only image towers with plain multi-head attention have the dense path that ovrs reads")
        patch, grid = int(visual.patch_size[0]), tuple(visual.grid_size)
        super().__init__(patch=patch, width=len(visual.class_embedding), dim=int(visual.proj.shape[1]), grid=(grid[0], grid[1]))
        self.class_embedding = visual.class_embedding
        self.positional_embedding = visual.positional_embedding
        self.proj = visual.proj
        self.conv1 = visual.conv1
        self.ln_pre = visual.ln_pre
        self.transformer = visual.transformer
        self.ln_post = visual.ln_post
        split_attentions(blocks)

    @property
    def usable_blocks(self) -> int:
        """All blocks but the last."""
        return len(self.transformer.resblocks) - 1

    @property
    def quick_gelu(self) -> bool:
        """Whether the activation is OpenAI's ``x * sigmoid(1.702 x)``; no file of weights says so."""
        return isinstance(self.transformer.resblocks[0].mlp.gelu, QuickGelu)

    def forward(self, x: Tensor, taps: Sequence[int] = ()) -> ImageFeatures:
        """See :class:`ImageTower`."""
        return self.read(self.conv1(x), (x.shape[-2] // self.patch, x.shape[-1] // self.patch), taps)

    def read(self, patches: Tensor, size: tuple[int, int], taps: Sequence[int] = ()) -> ImageFeatures:
        """As :meth:`forward`, of patches [B, width, H, W] that are embedded already; ``size`` is (H, W).

        The last of ``taps`` may be the last block, which is then run once more, whole: with its attention.
        """
        before = [tap for tap in taps if tap <= self.usable_blocks]
        tokens, tapped = self._tokens(patches, size, before)
        last = self.transformer.resblocks[-1]
        if len(before) < len(taps):
            tapped = [*tapped, residual_block(last, tokens)]
        # CAT-Seg's dense last block: no attention, and the residual of *every* token is the class token.
        tokens = tokens[:, :1] + last.ls_1(last.attn.value(last.ln_1(tokens)))
        tokens = tokens + last.ls_2(last.mlp(last.ln_2(tokens)))
        tokens = self.ln_post(tokens) @ self.proj
        return ImageFeatures(to_map(tokens[:, 1:], size), tokens[:, 0], tuple(to_map(tap[:, 1:], size) for tap in tapped))

    def cut(self, blocks: int) -> None:
        """Take away all behind the first ``blocks`` blocks; :meth:`levels` alone can be read from then on."""
        self.transformer.resblocks = self.transformer.resblocks[:blocks]
        self.ln_post, self.proj = nn.Identity(), None

    def levels(self, patches: Tensor, size: tuple[int, int], taps: Sequence[int]) -> list[Tensor]:
        """Outputs of blocks ``taps``, from 1, each [B, width, H, W], of embedded patches as in :meth:`read`.

        All of them are run whole, the last of the tower too, and none behind the deepest.
        """
        tokens = self._embedded(patches, size)
        _, tapped = read_blocks(self.transformer.resblocks[: max(taps)], residual_block, tokens, taps)
        return [to_map(tap[:, 1:], size) for tap in tapped]

    def global_embedding(self, x: Tensor) -> Tensor:
        """CLIP's own image embedding [B, C]: the last block with its attention, the class token projected."""
        tokens, _ = self._tokens(self.conv1(x), (x.shape[-2] // self.patch, x.shape[-1] // self.patch), ())
        tokens = residual_block(self.transformer.resblocks[-1], tokens)
        return self.ln_post(tokens[:, 0]) @ self.proj

    def outside_dense_path(self) -> tuple[str, ...]:
        """The last block's query and key."""
        return tuple(f"transformer.resblocks.{self.usable_blocks}.attn.{part}_proj_weight" for part in "qk")

    def _tokens(self, patches: Tensor, size: tuple[int, int], taps: Sequence[int]) -> tuple[Tensor, list[Tensor]]:
        """Tokens before the last block [B, 1 + H*W, width], and behind the blocks ``taps``."""
        return read_blocks(self.transformer.resblocks[:-1], residual_block, self._embedded(patches, size), taps)

    def _embedded(self, patches: Tensor, size: tuple[int, int]) -> Tensor:
        """The class token and patches [B, width, H, W] at their positions [B, 1 + H*W, width]."""
        patches = patches.flatten(2).transpose(1, 2)
        start = self.class_embedding.to(patches.dtype).expand(len(patches), 1, -1)
        weight = self.positional_embedding
        positions = self._resized(weight, size, lambda: torch.cat([weight[:1], self._resize(weight[1:], size)]))
        tokens: Tensor = self.ln_pre(torch.cat([start, patches], dim=1) + positions.to(patches.dtype))
        return tokens
