"""Small vision transformers, and the small vision-language encoder: what the mini models see and read with."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ovrs.errors import ConfigError
from ovrs.modeling.encoders.backbones import BackboneStem, convolutional_stem
from ovrs.modeling.encoders.clip_image import ClipImage
from ovrs.modeling.encoders.text import SentenceText
from ovrs.modeling.encoders.vision_language import TrainMode, VisionLanguageEncoder


class SmallVit(nn.Module):
    """The parts of CLIP's vision transformer under CLIP's names, for :class:`ClipImage` to run; random weights.

    open_clip's class has the same ones and starts from the same values. But with it come transformers and its other models,
    which take longer to import than a small model takes to segment its first image.
    """

    attn_pool, pool_type = None, "tok"

    def __init__(self, *, image_size: int, patch: int, width: int, layers: int, heads: int, dim: int) -> None:
        super().__init__()
        side = image_size // patch
        self.patch_size, self.grid_size = (patch, patch), (side, side)
        self.conv1: nn.Module = nn.Conv2d(3, width, patch, stride=patch, bias=False)
        self.class_embedding = nn.Parameter(width**-0.5 * torch.randn(width))
        self.positional_embedding = nn.Parameter(width**-0.5 * torch.randn(side * side + 1, width))
        self.ln_pre = LayerNorm(width)
        self.transformer = nn.Module()
        self.transformer.resblocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.ln_post = LayerNorm(width)
        self.proj = nn.Parameter(width**-0.5 * torch.randn(width, dim))


class Block(nn.Module):
    """The parts of one residual block (see :func:`~ovrs.modeling.encoders.attention.residual_block`)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.ln_1 = LayerNorm(width)
        self.attn = nn.MultiheadAttention(width, heads, batch_first=True)
        self.ls_1 = nn.Identity()
        self.ln_2 = LayerNorm(width)
        layers = {"c_fc": nn.Linear(width, 4 * width), "gelu": nn.GELU(), "c_proj": nn.Linear(4 * width, width)}
        self.mlp = nn.Sequential(OrderedDict(layers))
        self.ls_2 = nn.Identity()


class LayerNorm(nn.LayerNorm):
    """A norm that keeps its input's precision, which autocast would widen."""

    def forward(self, x: Tensor) -> Tensor:
        """[..., C] -> the same."""
        return super().forward(x).to(x.dtype)


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
    """A small vision transformer (:func:`build_small_tower`) beside a frozen sentence encoder."""
    tower = build_small_tower(image_size=image_size, patch=patch, width=width, layers=layers, heads=heads, dim=dim, stem=stem)
    encoder = VisionLanguageEncoder(visual=tower, text=SentenceText(dim), taps=taps, train=train)
    # In the dense last block every token starts from the class token. With the usual small initial values all patches would
    # say the same at first (4 % of their variance is their own, 27 % with these), and learning would wait for that.
    attention = tower.transformer.resblocks[-1].attn
    nn.init.orthogonal_(attention.v_proj_weight)
    nn.init.orthogonal_(attention.out_proj.weight, gain=2.0)
    return encoder


def build_small_tower(
    *, image_size: int, patch: int, width: int, layers: int, heads: int, dim: int, stem: str = "convolutions"
) -> ClipImage:
    """A small vision transformer, random weights.

    Its patches are embedded by ``stem``: a few strided ``convolutions``, with which a vision transformer trained from nothing
    learns far sooner than with one large patch (Xiao et al., Early Convolutions Help Transformers See Better, 2021), or
    ``timm:<model>``, a backbone that may come pre-trained.

    Raises:
        ConfigError: another stem, or one that has no stride of a patch.
    """
    visual = SmallVit(image_size=image_size, patch=patch, width=width, layers=layers, heads=heads, dim=dim)
    if stem.startswith("timm:"):
        visual.conv1 = BackboneStem(stem.removeprefix("timm:"), width, patch)
    elif stem == "convolutions":
        visual.conv1 = convolutional_stem(width, patch)
    else:
        raise ConfigError(f"MODEL.VISION_LANGUAGE.SMALL.STEM is {stem!r}; choose convolutions or timm:<model>")
    return ClipImage(visual)
