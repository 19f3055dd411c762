"""A system bound to one vocabulary: its words embedded once, its text tower left behind. What ``tools/export.py`` writes."""

from __future__ import annotations

import math
from copy import copy
from typing import Any

import torch
import torch.nn.functional as F
from timm.layers import Conv2dSame
from torch import Tensor, nn

from ovrs.modeling.blocks.multi_scale_alignment import MultiScaleAlignment
from ovrs.modeling.blocks.spatial_refinement import GuidedWindowAttention
from ovrs.modeling.encoders.guidance import SamGuidance
from ovrs.modeling.vision_language_model import VisionLanguageModel
from ovrs.modeling.windows import resize
from ovrs.vocabulary import Vocabulary

LARGEST = 8192  # pixels a side that an open size may have
# Parts of a system that only its losses read.
TRAINING_ONLY = {"back_projection", "text_projection"}


class FixedVocabulary(nn.Module):
    """Images to scores of one vocabulary, as a graph of tensors alone.

    Args:
        model: in evaluation mode; shares its weights with this module and is not changed.
        vocabulary: its words are embedded here; synonyms and background count as they do in the model.
        full_size: enlarge the scores to the image's size; otherwise they stay at four a patch.
    """

    text: Tensor

    def __init__(self, model: VisionLanguageModel, vocabulary: Vocabulary, *, full_size: bool = False) -> None:
        super().__init__()
        self.vocabulary = vocabulary
        self.full_size = full_size
        with torch.no_grad():
            text = model.text_of(vocabulary).clone()
        self.system = _image_path(model)
        self.register_buffer("text", text)
        self.eval()

    @torch.no_grad()
    def forward(self, image: Tensor) -> Tensor:
        """``image`` uint8 [B, 3, H, W] RGB -> scores in 0..1 [B, len(vocabulary), h, w].

        h and w are four a patch of the image (or of the fixed size to which it is squeezed), or H and W with ``full_size``.
        """
        scores = self.system.scores_of(image.float(), self.text, self.vocabulary).sigmoid()
        return resize(scores, (image.shape[2], image.shape[3])) if self.full_size else scores

    def multiple(self) -> int:
        """What open sides must be multiples of, in pixels: patches, windows, coarser grids, guidance strides all stay whole."""
        if self.system.fixed_size:
            return 1
        patches = {module.window for module in self.modules() if isinstance(module, GuidedWindowAttention)}
        for module in self.modules():
            if isinstance(module, MultiScaleAlignment):
                patches.update(scale.denominator for scale in module.scales)
        guidance = getattr(self.system, "guidance_encoder", None)
        stride = guidance.stride if guidance is not None and not self.system.guidance_size else 1
        return math.lcm(self.system.size_divisor * math.lcm(*patches), stride)

    def smallest(self) -> int:
        """The least open side: more than one window, since a single one is not shifted."""
        return 32 if self.system.fixed_size else 2 * self.multiple()

    def why_fixed(self) -> str:
        """Why height and width cannot be left open; "" where they may."""
        system = self.system
        guidance = getattr(system, "guidance_encoder", None)
        if isinstance(guidance, SamGuidance) and not (system.fixed_size or system.guidance_size):
            return "SAM's encoder pads its windows, and stretches its relative positions, by rules that branch on the size"
        return ""


class EvenlyPadded(nn.Module):
    """timm's Conv2dSame (TensorFlow's padding) for sides that are multiples of its stride, where the padding is constant.

    Systems pad and resize their images to whole patches and guidance strides, so all sides are such multiples.
    """

    def __init__(self, conv: Conv2dSame) -> None:
        super().__init__()
        self.weight, self.bias = conv.weight, conv.bias
        self.stride, self.dilation, self.groups = conv.stride, conv.dilation, conv.groups
        down, across = (
            max((kernel - 1) * dilation + 1 - stride, 0)
            for kernel, dilation, stride in zip(conv.kernel_size, conv.dilation, conv.stride, strict=True)
        )
        self.padding = (across // 2, across - across // 2, down // 2, down - down // 2)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, D, H / stride, W / stride]."""
        return F.conv2d(F.pad(x, self.padding), self.weight, self.bias, self.stride, 0, self.dilation, self.groups)


def _image_path(model: VisionLanguageModel) -> Any:
    """The same modules without those that no image passes: the text tower, and what only training needs."""
    system, encoder = _shell(model), _shell(model.vision_language)
    encoder._modules["text_tower"] = nn.Identity()
    system._modules["vision_language"] = encoder
    system._modules.update(dict.fromkeys(TRAINING_ONLY & system._modules.keys()))
    return _evenly_padded(system).eval()


def _evenly_padded(module: nn.Module) -> Any:
    """``module`` with every Conv2dSame exchanged, in shells of the modules that hold one."""
    if isinstance(module, Conv2dSame):
        return EvenlyPadded(module)
    if not any(isinstance(part, Conv2dSame) for part in module.modules()):
        return module
    shell = _shell(module)
    for name, child in module.named_children():
        shell._modules[name] = _evenly_padded(child)
    return shell


def _shell(module: nn.Module) -> Any:
    """A shallow copy whose children can be exchanged."""
    shell = copy(module)
    shell.__dict__["_modules"] = dict(module._modules)
    return shell
