"""The vision-language encoder: dense image embeddings and text embeddings in one space (AerOSeg eqs. 1 and 2).

CLIP and SigLIP of open_clip, or small models of the same classes; what is an image tower's own stands in its file.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol, cast, get_args

import open_clip
import torch
from open_clip.timm_model import TimmModel
from open_clip.transformer import VisionTransformer
from torch import Tensor, nn

from ovrs.errors import ConfigError
from ovrs.modeling.encoders.backbones import BackboneStem, convolutional_stem
from ovrs.modeling.encoders.clip_image import ClipImage
from ovrs.modeling.encoders.image_tower import ImageFeatures, ImageTower
from ovrs.modeling.encoders.siglip_image import SiglipImage
from ovrs.modeling.encoders.siglip_text import FolderTokenizer, SiglipText
from ovrs.modeling.encoders.text import ClipText, SentenceText

TrainMode = Literal["freeze", "attention", "image", "full"]


class TextTower(Protocol):
    """Strings to embeddings: ``dim`` and a call."""

    @property
    def dim(self) -> int:
        """Width of the embeddings."""

    def __call__(self, texts: Sequence[str]) -> Tensor:
        """[len(texts), dim]."""


class VisionLanguageEncoder(nn.Module):
    """Image and text towers that share an embedding space.

    Args:
        visual: the image tower; patch size, grid and widths are read from it.
        text: the text tower.
        taps: blocks, counted from 1, whose outputs :meth:`image` returns as well.
        train: which parameters train: ``freeze`` none, ``attention`` the query and value projections of both towers,
            ``image`` the image tower, ``full`` all. What the dense path never reads (:meth:`outside_dense_path`, the logit
            scale) is frozen in any case.
    """

    def __init__(self, *, visual: ImageTower, text: nn.Module, taps: Sequence[int] = (), train: TrainMode = "freeze") -> None:
        super().__init__()
        self.visual = visual
        self.text_tower = text
        usable = visual.usable_blocks
        if any(not 1 <= tap <= usable for tap in taps):
            raise ConfigError(f"blocks {list(taps)} asked of a vision transformer whose usable blocks are 1 to {usable}")
        self.taps = tuple(taps)
        self.patch, self.width, self.dim = visual.patch, visual.width, visual.dim
        if cast(TextTower, text).dim != self.dim:
            raise ConfigError(f"text embeddings have {cast(TextTower, text).dim} channels, image embeddings {self.dim}")
        # CLIP's logit scale (its log). Only a loss on cosines reads it, and the system that has one lets it train.
        self.logit_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))
        self.set_trainable(train)

    # ---------------------------------------------------------------- images

    def image(self, x: Tensor) -> ImageFeatures:
        """Dense embeddings of normalised images ``x`` [B, 3, H*patch, W*patch] (eq. 1, before rotating back)."""
        return self.visual(x, self.taps)

    def global_embedding(self, x: Tensor) -> Tensor:
        """The owning library's own embedding [B, C] of normalised images ``x`` [B, 3, H*patch, W*patch]."""
        return self.visual.global_embedding(x)

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
        """Names of the parameters that no dense embedding depends on."""
        return tuple(f"visual.{name}" for name in self.visual.outside_dense_path())

    def train(self, mode: bool = True) -> VisionLanguageEncoder:
        """Unless everything trains, the encoder stays in evaluation mode: batch statistics belong to the frozen weights."""
        return super().train(mode and self.train_mode == "full")

    def set_trainable(self, train: TrainMode) -> None:
        """Say which parameters train (see the class), the one place where it is said."""
        if train not in get_args(TrainMode):
            raise ConfigError(
                f"training mode {train!r} of the vision-language encoder; choose {', '.join(get_args(TrainMode))}"
            )
        self.train_mode = train
        outside = self.outside_dense_path()
        for name, parameter in self.named_parameters():
            chosen = train == "full" or (train == "image" and name.startswith("visual."))
            chosen = chosen or (train == "attention" and name.endswith(("attn.q_proj_weight", "attn.v_proj_weight")))
            # The projection behind a frozen sentence encoder is all the language that a small model can learn.
            chosen = chosen or (train == "attention" and name.startswith("text_tower.projection."))
            parameter.requires_grad_(chosen and name not in outside and name != "logit_scale")


def build_open_clip(
    name: str, *, taps: Sequence[int] = (), train: TrainMode = "attention", tokenizer: str = ""
) -> VisionLanguageEncoder:
    """A CLIP or SigLIP of open_clip's list by architecture name, random weights; checkpoints are read by
    ``ovrs.modeling.checkpoints``.

    Args:
        tokenizer: the folder of SigLIP's tokenizer, wanted when the first text is read; CLIP's comes with open_clip.

    Raises:
        ConfigError: open_clip has no such architecture, or it has no dense path that ovrs reads.
    """
    if name not in open_clip.list_models():
        raise ConfigError(f"open_clip knows no architecture {name!r}; open_clip.list_models() names them")
    # open_clip moves what it built to a device, the CPU unless told: that of a surrounding `with torch.device` counts here too.
    device = torch.get_default_device()
    config = open_clip.get_model_config(name)["text_cfg"]
    if "hf_model_name" in config:
        raise ConfigError(f"{name}: a text tower of Hugging Face's; ovrs reads those of CLIP and SigLIP")
    model = open_clip.create_model(name, device=device, pretrained=None, pretrained_image=False, pretrained_hf=False)
    try:
        return from_open_clip(model, _tokenizer(name, config, tokenizer), taps=taps, train=train)
    except ConfigError as error:
        raise ConfigError(f"{name}: {error}") from error


def from_open_clip(
    model: Any, tokenizer: Any, *, taps: Sequence[int] = (), train: TrainMode = "freeze"
) -> VisionLanguageEncoder:
    """The towers of an open_clip model, which is used up.

    Args:
        tokenizer: a list of strings to token numbers [N, L].

    Raises:
        ConfigError: neither CLIP's vision transformer nor SigLIP's.
    """
    if isinstance(model.visual, VisionTransformer):
        return VisionLanguageEncoder(visual=ClipImage(model.visual), text=ClipText(model, tokenizer), taps=taps, train=train)
    if isinstance(model.visual, TimmModel):
        siglip = SiglipImage(model.visual)
        return VisionLanguageEncoder(visual=siglip, text=SiglipText(model.text, tokenizer), taps=taps, train=train)
    kind = type(model.visual).__name__
    raise ConfigError(f"only plain CLIP vision transformers and SigLIP's have the dense path that ovrs reads, not {kind}")


def _tokenizer(name: str, text: Mapping[str, Any], folder: str) -> Any:
    if "hf_tokenizer_name" not in text:
        return open_clip.get_tokenizer(name)
    clean = text.get("tokenizer_kwargs", {}).get("clean", "whitespace")
    sizes = {"vocabulary": text["vocab_size"], "context_length": text["context_length"]}
    return FolderTokenizer(folder, published=text["hf_tokenizer_name"], clean=clean, **sizes)


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
    """A small vision transformer (:func:`build_small_tower`) beside a frozen sentence encoder: what the mini models see and
    read with.
    """
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
    visual = VisionTransformer(
        image_size=image_size, patch_size=patch, width=width, layers=layers, heads=heads, mlp_ratio=4.0, output_dim=dim
    )
    if stem.startswith("timm:"):
        visual.conv1 = BackboneStem(stem.removeprefix("timm:"), width, patch)
    elif stem == "convolutions":
        visual.conv1 = convolutional_stem(width, patch)
    else:
        raise ConfigError(f"MODEL.VISION_LANGUAGE.SMALL.STEM is {stem!r}; choose convolutions or timm:<model>")
    return ClipImage(visual)
