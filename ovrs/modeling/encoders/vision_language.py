"""The vision-language encoder: dense image embeddings and text embeddings in one space (AerOSeg eqs. 1 and 2).

CLIP and SigLIP of open_clip (open_clip_models.py), or small models of the same classes (small.py); what is an image tower's own
stands in its file.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, Protocol, cast, get_args

import torch
from torch import Tensor, nn

from ovrs.errors import ConfigError
from ovrs.modeling.encoders.image_tower import ImageFeatures, ImageTower

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
