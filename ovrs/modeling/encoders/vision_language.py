"""The vision-language encoder: dense image embeddings and text embeddings in one space (AerOSeg eqs. 1 and 2).

Any plain ViT of open_clip, read the way CAT-Seg reads CLIP: the last block attends to nothing, so that its output still
knows where it is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, cast

import open_clip
import torch
from open_clip.transformer import VisionTransformer
from torch import Tensor, nn

from ovrs.errors import ConfigError
from ovrs.modeling.encoders.attention import split_attentions
from ovrs.modeling.encoders.backbones import BackboneStem, convolutional_stem
from ovrs.modeling.encoders.positions import KeptPerSize, resize_grid
from ovrs.modeling.encoders.text import ClipText, SentenceText

TrainMode = Literal["freeze", "attention", "full"]


class TextTower(Protocol):
    """Strings to embeddings: ``dim`` and a call."""

    @property
    def dim(self) -> int:
        """Width of the embeddings."""

    def __call__(self, texts: Sequence[str]) -> Tensor:
        """[len(texts), dim]."""


@dataclass(frozen=True)
class ImageFeatures:
    """What the image tower says of a batch.

    Attributes:
        dense: [B, C, H, W], one embedding a patch, not normalised.
        pooled: [B, C], the class token's embedding along the same (attention-free) last block.
        taps: outputs of the blocks asked for, each [B, width, H, W].
    """

    dense: Tensor
    pooled: Tensor
    taps: tuple[Tensor, ...]


class VisionLanguageEncoder(nn.Module):
    """Image and text towers that share an embedding space.

    Args:
        visual: an open_clip vision transformer; patch size, grid and widths are read from it.
        text: the text tower.
        taps: blocks, counted from 1, whose outputs :meth:`image` returns as well.
        train: which parameters train: ``freeze`` none, ``attention`` the query and value projections of both towers,
            ``full`` all. What the dense path never reads (:meth:`outside_dense_path`, the logit scale) is frozen in any case.
    """

    def __init__(
        self, *, visual: VisionTransformer, text: nn.Module, taps: Sequence[int] = (), train: TrainMode = "freeze"
    ) -> None:
        super().__init__()
        self.visual = visual
        self.text_tower = text
        split_attentions(visual.transformer.resblocks)
        depth = len(visual.transformer.resblocks)
        if any(not 1 <= tap < depth for tap in taps):
            raise ConfigError(f"blocks {list(taps)} asked of a vision transformer whose usable blocks are 1 to {depth - 1}")
        self.taps = tuple(taps)
        self.patch = int(visual.patch_size[0])
        self.width = int(visual.class_embedding.shape[0])
        self.dim = int(visual.proj.shape[1])
        if cast(TextTower, text).dim != self.dim:
            raise ConfigError(f"text embeddings have {cast(TextTower, text).dim} channels, image embeddings {self.dim}")
        # CLIP's logit scale (its log). Only a loss on cosines reads it, and the system that has one lets it train.
        self.logit_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))
        self._positions = KeptPerSize()
        self.set_trainable(train)

    # ---------------------------------------------------------------- images

    def image(self, x: Tensor) -> ImageFeatures:
        """Dense embeddings of normalised images ``x`` [B, 3, H*patch, W*patch] (eq. 1, before rotating back)."""
        height, width = x.shape[-2] // self.patch, x.shape[-1] // self.patch
        tokens, taps = self._tokens(x, height, width)
        last = self.visual.transformer.resblocks[-1]
        # CAT-Seg's dense last block: no attention, and the residual of *every* token is the class token.
        tokens = tokens[:, :1] + last.ls_1(last.attn.value(last.ln_1(tokens)))
        tokens = tokens + last.ls_2(last.mlp(last.ln_2(tokens)))
        tokens = self.visual.ln_post(tokens) @ self.visual.proj
        return ImageFeatures(_to_map(tokens, height, width), tokens[:, 0], taps)

    def global_embedding(self, x: Tensor) -> Tensor:
        """CLIP's own image embedding [B, C]: the last block with its attention, the class token projected."""
        tokens, _ = self._tokens(x, x.shape[-2] // self.patch, x.shape[-1] // self.patch)
        tokens = _block(self.visual.transformer.resblocks[-1], tokens)
        return self.visual.ln_post(tokens[:, 0]) @ self.visual.proj

    def _tokens(self, x: Tensor, height: int, width: int) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Tokens before the last block [B, 1 + H*W, width], and the taps."""
        visual = self.visual
        patches = visual.conv1(x).flatten(2).transpose(1, 2)
        start = visual.class_embedding.to(patches.dtype).expand(len(patches), 1, -1)
        positions = self._position_embedding(height, width).to(patches.dtype)
        tokens = visual.ln_pre(torch.cat([start, patches], dim=1) + positions)
        taps = {}
        for number, block in enumerate(visual.transformer.resblocks[:-1], start=1):
            tokens = _block(block, tokens)
            if number in self.taps:
                taps[number] = _to_map(tokens, height, width)
        return tokens, tuple(taps[number] for number in self.taps)

    def _position_embedding(self, height: int, width: int) -> Tensor:
        """Position embedding [1 + H*W, width], bicubic from the trained grid; kept per size while it cannot change."""
        weight = self.visual.positional_embedding
        side = tuple(self.visual.grid_size)
        if (height, width) == side:
            return weight

        def resized() -> Tensor:
            grid = resize_grid(weight[1:].T.reshape(1, -1, *side), (height, width))
            return torch.cat([weight[:1], grid.flatten(2)[0].T])

        return self._positions(weight, (height, width), resized)

    # ------------------------------------------------------------------ text

    def text(self, prompts: Sequence[Sequence[str]]) -> Tensor:
        """Text embeddings of P prompts for each of N names: [N, P, C], not normalised (eq. 2)."""
        flat = [text for row in prompts for text in row]
        embedded: Tensor = self.text_tower(flat)
        return embedded.view(len(prompts), -1, self.dim)

    def text_version(self) -> tuple[int, ...]:
        """Changes whenever a parameter of the text tower is written to, moved or replaced: the key of cached text features."""
        return tuple(number for p in self.text_tower.parameters() for number in (p._version, p.data_ptr()))

    @property
    def text_trains(self) -> bool:
        """Whether gradients flow into the text tower."""
        return any(p.requires_grad for p in self.text_tower.parameters())

    # -------------------------------------------------------------- training

    def outside_dense_path(self) -> tuple[str, ...]:
        """Names of the parameters that no dense embedding depends on: the last visual block's query and key."""
        last = len(self.visual.transformer.resblocks) - 1
        return tuple(f"visual.transformer.resblocks.{last}.attn.{part}_proj_weight" for part in "qk")

    def train(self, mode: bool = True) -> VisionLanguageEncoder:
        """Unless everything trains, the encoder stays in evaluation mode: batch statistics belong to the frozen weights."""
        self._positions.clear()  # fused optimizers and .data write to weights without leaving a trace
        return super().train(mode and self.train_mode == "full")

    def set_trainable(self, train: TrainMode) -> None:
        """Say which parameters train (see the class), the one place where it is said."""
        if train not in ("freeze", "attention", "full"):
            raise ConfigError(f"training mode {train!r} of the vision-language encoder; choose freeze, attention or full")
        self.train_mode = train
        outside = self.outside_dense_path()
        for name, parameter in self.named_parameters():
            chosen = train == "full" or (train == "attention" and name.endswith(("attn.q_proj_weight", "attn.v_proj_weight")))
            # The projection behind a frozen sentence encoder is all the language that a small model can learn.
            chosen = chosen or (train == "attention" and name.startswith("text_tower.projection."))
            parameter.requires_grad_(chosen and name not in outside and name != "logit_scale")


def _block(block: Any, tokens: Tensor) -> Tensor:
    tokens = tokens + block.ls_1(block.attn(block.ln_1(tokens)))
    return tokens + block.ls_2(block.mlp(block.ln_2(tokens)))


def _to_map(tokens: Tensor, height: int, width: int) -> Tensor:
    return tokens[:, 1:].transpose(1, 2).unflatten(2, (height, width))


def build_open_clip(name: str, *, taps: Sequence[int] = (), train: TrainMode = "attention") -> VisionLanguageEncoder:
    """A CLIP of open_clip's list by architecture name, random weights; checkpoints are read by ``ovrs.modeling.checkpoints``.

    Raises:
        ConfigError: open_clip has no such architecture, or its image tower is not a plain ViT.
    """
    if name not in open_clip.list_models():
        raise ConfigError(f"open_clip knows no architecture {name!r}; open_clip.list_models() names them")
    # open_clip moves what it built to a device, the CPU unless told: that of a surrounding `with torch.device` counts here too.
    device = torch.get_default_device()
    clip = open_clip.create_model(name, device=device, pretrained=None, pretrained_image=False, pretrained_hf=False)
    plain = isinstance(clip.visual, VisionTransformer) and clip.visual.attn_pool is None and hasattr(clip, "text_projection")
    if not plain or not isinstance(clip.text_projection, nn.Parameter):
        raise ConfigError(f"{name}: only plain CLIP vision transformers have the dense path that ovrs reads")
    return VisionLanguageEncoder(visual=clip.visual, text=ClipText(clip, open_clip.get_tokenizer(name)), taps=taps, train=train)


def build_small(
    *,
    image_size: int,
    patch: int,
    width: int,
    layers: int,
    heads: int,
    dim: int,
    stem: str = "convolutions",
    taps: Sequence[int] = (),
    train: TrainMode = "full",
) -> VisionLanguageEncoder:
    """A small vision transformer beside a frozen sentence encoder: what the mini models see and read with.

    Its patches are embedded by ``stem``: a few strided ``convolutions``, with which a vision transformer trained from nothing
    learns far sooner than with one large patch (Xiao et al., Early Convolutions Help Transformers See Better, 2021), or
    ``timm:<model>``, a backbone that may come pre-trained.
    """
    visual = VisionTransformer(
        image_size=image_size, patch_size=patch, width=width, layers=layers, heads=heads, mlp_ratio=4.0, output_dim=dim
    )
    if stem.startswith("timm:"):
        visual.conv1 = BackboneStem(stem.removeprefix("timm:"), width, patch)
    elif stem == "convolutions":
        visual.conv1 = convolutional_stem(width, patch)
    else:
        raise ConfigError(f"MODEL.VISION_LANGUAGE.SMALL.STEM is {stem!r}; choose convolutions or timm:<model>")
    encoder = VisionLanguageEncoder(visual=visual, text=SentenceText(dim), taps=taps, train=train)
    # In the dense last block every token starts from the class token. With the usual small initial values all patches would
    # say the same at first (4 % of their variance is their own, 27 % with these), and learning would wait for that.
    attention = encoder.visual.transformer.resblocks[-1].attn
    nn.init.orthogonal_(attention.v_proj_weight)
    nn.init.orthogonal_(attention.out_proj.weight, gain=2.0)
    return encoder
