"""SigLIP's image tower (SigLIP and SigLIP 2, fixed sizes), with a dense path beside its pooled one.

There is no class token: behind the last block one learned query attends to all patches, once, and what it gathers is the
image's embedding. The dense path lets that query attend to each patch alone. Attention over one token is its value, so a
patch's embedding is exactly what the whole tower would give for an image of which only that token had reached the head: the
counterpart of CLIP's last block without attention (Zhou et al., Extract Free Dense Labels from CLIP, 2022; CAT-Seg). It needs
no new weights. How good such maps are was not measured here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from timm.layers import AttentionPoolLatent
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from ovrs.errors import ConfigError
from ovrs.modeling.encoders.attention import SplitAttention
from ovrs.modeling.encoders.image_tower import ImageFeatures, ImageTower, read_blocks, to_map

if TYPE_CHECKING:
    from open_clip.timm_model import TimmModel


class SiglipImage(ImageTower):
    """timm's vision transformer with attention pooling, taken out of an open_clip model.

    Names are the published ones with the input projections of attention split in three. ``pooled`` is SigLIP's own global
    embedding.

    Raises:
        ConfigError: another timm model: flexible sizes (NaFlex), prefix tokens, average pooling, normalised queries.
    """

    def __init__(self, visual: TimmModel) -> None:
        trunk = visual.trunk
        unfit = _unfit(visual)
        if unfit:
            raise ConfigError(f"only SigLIP's vision transformers of a fixed size have a dense path here; this has {unfit}")
        patch, grid = trunk.patch_embed.patch_size, trunk.patch_embed.grid_size
        super().__init__(patch=int(patch[0]), width=trunk.embed_dim, dim=trunk.attn_pool.out_features, grid=tuple(grid))
        for block in trunk.blocks:
            block.attn = SplitAttention.of(block.attn.num_heads, block.attn.qkv.weight, block.attn.qkv.bias, block.attn.proj)
        trunk.attn_pool = LatentPooling(trunk.attn_pool)
        self.trunk = trunk

    @property
    def usable_blocks(self) -> int:
        """All of them: only the pooling behind them is read otherwise."""
        return len(self.trunk.blocks)

    def forward(self, x: Tensor, taps: Sequence[int] = ()) -> ImageFeatures:
        """See :class:`ImageTower`."""
        size = (x.shape[-2] // self.patch, x.shape[-1] // self.patch)
        tokens, tapped = self._tokens(x, size, taps)
        dense = to_map(self.trunk.attn_pool.dense(tokens), size)
        return ImageFeatures(dense, self.trunk.attn_pool(tokens), tuple(to_map(tap, size) for tap in tapped))

    def global_embedding(self, x: Tensor) -> Tensor:
        """SigLIP's own image embedding [B, C]."""
        return self.trunk.attn_pool(self._tokens(x, (x.shape[-2] // self.patch, x.shape[-1] // self.patch), ())[0])

    def outside_dense_path(self) -> tuple[str, ...]:
        """What only the attention of the pooling reads: its query, and the projections of query and keys."""
        pool = "trunk.attn_pool"
        return (f"{pool}.latent", f"{pool}.attn.q_proj_weight", f"{pool}.attn.k_proj_weight")

    def _tokens(self, x: Tensor, size: tuple[int, int], taps: Sequence[int]) -> tuple[Tensor, list[Tensor]]:
        """Normalised tokens behind the last block [B, H*W, width], and behind the blocks ``taps``."""
        patches = self.trunk.patch_embed.proj(x).flatten(2).transpose(1, 2)
        weight = self.trunk.pos_embed
        positions = self._resized(weight, size, lambda: self._resize(weight[0], size)[None])
        tokens, tapped = read_blocks(self.trunk.blocks, _residual, patches + positions.to(patches.dtype), taps)
        return self.trunk.norm(tokens), tapped


class LatentPooling(nn.Module):
    """timm's ``AttentionPoolLatent`` with one query, its input projections split, and what it gives for each token alone."""

    def __init__(self, pool: AttentionPoolLatent) -> None:
        super().__init__()
        self.latent = pool.latent
        weight, bias = (torch.cat([getattr(pool.q, name), getattr(pool.kv, name)]) for name in ("weight", "bias"))
        self.attn = SplitAttention.of(pool.num_heads, weight, bias, pool.proj)
        self.norm = pool.norm
        self.mlp = pool.mlp

    def forward(self, tokens: Tensor) -> Tensor:
        """[B, L, C] -> [B, C], the query attending to all L tokens."""
        return self._out(self.attn(tokens, query=self.latent.expand(len(tokens), -1, -1)))[:, 0]

    def dense(self, tokens: Tensor) -> Tensor:
        """[B, L, C] -> [B, L, C], the query attending to each token alone."""
        return self._out(self.attn.value(tokens))

    def _out(self, gathered: Tensor) -> Tensor:
        return gathered + self.mlp(self.norm(gathered))


def _residual(block: Any, tokens: Tensor) -> Tensor:
    tokens = tokens + block.drop_path1(block.ls1(block.attn(block.norm1(tokens))))
    return tokens + block.drop_path2(block.ls2(block.mlp(block.norm2(tokens))))


def _unfit(visual: TimmModel) -> str:
    """What stands in the way of reading ``visual`` as SigLIP's tower; "" where nothing does."""
    trunk = visual.trunk
    if type(trunk) is not VisionTransformer:
        return f"timm's {type(trunk).__name__}"
    pool = trunk.attn_pool
    if not isinstance(pool, AttentionPoolLatent) or pool.latent_len != 1 or pool.pos_embed is not None:
        return f"{trunk.global_pool} pooling that is not by one learned query"
    absent = [trunk.norm_pre, trunk.patch_embed.norm, trunk.fc_norm, trunk.head, pool.q_norm, pool.k_norm]
    for attn in (block.attn for block in trunk.blocks):
        absent += [attn.q_norm, attn.k_norm, attn.norm, getattr(attn, "gate", None)]
    if trunk.num_prefix_tokens or len(visual.head) or any(not isinstance(part, nn.Identity | None) for part in absent):
        return "prefix tokens, a further head, or attention that is normalised or gated"
    projections = [pool.q, pool.kv, *(block.attn.qkv for block in trunk.blocks)]
    if pool.mlp is None or any(not isinstance(part, nn.Linear) or part.bias is None for part in projections):
        return "attention or pooling without its projections and their biases"
    return ""
