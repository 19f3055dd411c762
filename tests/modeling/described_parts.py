"""Tiny systems of the real classes that read what is said of a scene: TSMNet and MetaSegNet."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import torch
from parts import WORDS, HashedTokens, batch, tiny_vision_language
from torch import nn

from ovrs.modeling.blocks.channel_prior import ChannelPrior
from ovrs.modeling.blocks.context_decoder import ContextDecoder
from ovrs.modeling.blocks.contrastive import SceneContrast
from ovrs.modeling.blocks.cosine_classifier import CosineClassifier
from ovrs.modeling.blocks.crossmodal_fusion import CrossmodalFusion, SequenceProjections
from ovrs.modeling.blocks.feature_pyramid import FeaturePyramid, PyramidHead
from ovrs.modeling.blocks.image_text_matching import ImageTextMatching
from ovrs.modeling.blocks.level_adapters import LevelAdapters
from ovrs.modeling.blocks.modality_fusion import ModalityFusion
from ovrs.modeling.blocks.pair_queue import PairQueue
from ovrs.modeling.blocks.rectification import FeatureRectification
from ovrs.modeling.blocks.scene_fusion import SceneFusion
from ovrs.modeling.bound_classes import BoundClasses
from ovrs.modeling.encoders.learned_context import LearnedOffset
from ovrs.modeling.encoders.swin import build_small_swin
from ovrs.modeling.encoders.tower_levels import TowerLevels, TowerPyramid
from ovrs.modeling.encoders.vision_language import VisionLanguageEncoder
from ovrs.modeling.metasegnet import MetaSegNet, Objective
from ovrs.modeling.paired_towers import PairedTowers
from ovrs.modeling.segmentation_model import PixelNormalization
from ovrs.modeling.softmax_losses import LossWeights
from ovrs.modeling.tsmnet import TSMNet
from ovrs.modeling.windows import InferenceSettings
from ovrs.vocabulary import VocabularyClass


def bound_to(count: int) -> BoundClasses | None:
    """Of so many classes, those of ``WORDS`` at first; None of 0."""
    names = [*WORDS.names, *(f"further {number}" for number in range(count))][:count]
    return BoundClasses([VocabularyClass(name) for name in names], "another takes any") if count else None


def tiny_towers(vision_language: VisionLanguageEncoder, bands: int = 1, **changes: Any) -> PairedTowers:
    """Both towers of TSMNet on four blocks, all of them read, the last too; strides of 2, 4, 8 and 16."""
    sar_tower = deepcopy(vision_language.visual)
    levels = TowerLevels.of(sar_tower, [1, 2, 3, 4])  # type: ignore[arg-type]
    sar_tower.cut(4)  # type: ignore[operator]
    arguments: dict[str, Any] = {
        "optical_normalization": PixelNormalization([120.0] * 3, [60.0] * 3),
        "sar_normalization": PixelNormalization([100.0] * bands, [50.0] * bands),
        "sar_tower": sar_tower,
        "tower_levels": levels,
        "adapters": tuple(
            LevelAdapters(channels=levels.channels, from_strides=levels.strides, dim=32, strides=(2, 4, 8, 16))
            for _ in range(2)
        ),
        "dim": 32,
        "strides": (2, 4, 8, 16),
        "rectification": FeatureRectification(dim=32),
        "fusion": ModalityFusion(dim=32),
        "scales": (0.9, 0.1),
    }
    return PairedTowers(**(arguments | changes))


def tiny_tsmnet(
    *, bands: int = 1, closed: int = 0, seed: int = 0, towers: dict[str, Any] | None = None, **changes: Any
) -> TSMNet:
    """A whole TSMNet with levels of 32 channels and a pyramid of 16; ``closed`` to so many classes where it is not 0."""
    torch.manual_seed(seed)
    vision_language = tiny_vision_language("image", layers=4)
    arguments: dict[str, Any] = {
        "vision_language": vision_language,
        "templates": ("{}",),
        "inference": InferenceSettings(mode="sliding", tile=32, overlap=0.5),
        "towers": tiny_towers(vision_language, bands, **(towers or {})),
        "context": LearnedOffset(dim=24),
        "score_projection": nn.Conv2d(32, 24, 1),
        "context_decoder": ContextDecoder(embed_dim=24, dim=16, heads=2, layers=1, dropout=0.0),
        "temperature": 0.07,
        "bound": bound_to(closed),
        "pyramid": FeaturePyramid(dims=[32, 32, 32 + (closed or 24), 32], dim=16),
        "scene_encoder": HashedTokens(24),
        "scene_fusion": nn.ModuleList(SceneFusion(dim=16, text_dim=24, heads=2) for _ in range(4)),
        "scene_contrast": SceneContrast(dims=[16] * 4, text_dim=24, dim=16),
        "head": PyramidHead(dim=16, out_dim=16, dropout=0.0),
        "classifier": nn.Conv2d(16, closed, 1) if closed else CosineClassifier(dim=16, embed_dim=24),
        "modalities": "both",
        "drop_modality": 0.0,
        "weights": LossWeights(),
    }
    return TSMNet(**(arguments | changes))


def placed(count: int = 2, size: int = 64) -> list[dict[str, Any]]:
    """Images of noise with labels of noise and one of two prompts each."""
    prompts = ("roofs are flat and pale and trees are few", "roofs are steep and red")
    return [{**entry, "description": prompts[number % 2]} for number, entry in enumerate(batch(count, size=size))]


def tiny_metasegnet(
    *, closed: int = 0, tower: bool = False, text: bool = True, queue: int = 4, seed: int = 0, **changes: Any
) -> MetaSegNet:
    """A whole MetaSegNet of 16 channels, on Swin stages or on the tower of :func:`tiny_vision_language`.

    ``closed`` to so many classes where it is not 0; without ``text`` no prompt is read.
    """
    torch.manual_seed(seed)
    vision_language = tiny_vision_language("image", layers=4) if tower else None
    if vision_language is None:
        encoder: Any = build_small_swin(width=16, depths=(1, 1, 2, 1), heads=(1, 1, 2, 2), window=2)
    else:
        levels = TowerLevels.of(vision_language.visual, [1, 2, 3])  # type: ignore[arg-type]
        strides = (2, 4, 8)
        adapters = LevelAdapters(channels=levels.channels, from_strides=levels.strides, dim=16, strides=strides)
        vision_language.visual.cut(3)  # type: ignore[operator]
        encoder = TowerPyramid(levels, adapters, dim=16, strides=strides)
    matching = ImageTextMatching(dim=16, queue=PairQueue(size=queue, length=64, dim=16), heads=2)
    arguments: dict[str, Any] = {
        "templates": ("{}",),
        "inference": InferenceSettings(mode="sliding", tile=64, overlap=0.5),
        "normalization": PixelNormalization([127.0] * 3, [64.0] * 3),
        "image_encoder": encoder,
        "vision_language": vision_language,
        "text_encoder": HashedTokens(24).requires_grad_(False),
        "projections": SequenceProjections(image_dim=encoder.channels[-1], text_dim=24, dim=16) if text else None,
        "alignment": CrossmodalFusion(dim=16, heads=2) if text else None,
        "matching": matching if text else None,
        "pyramid": FeaturePyramid(dims=[*encoder.channels[:-1], 16 if text else encoder.channels[-1]], dim=16, finest=1),
        "prior": ChannelPrior(text_dim=16, dim=16) if text else None,
        "head": nn.Sequential(nn.Conv2d(16, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()),
        "words": None if closed or tower else nn.Linear(24, 16),
        "classifier": nn.Conv2d(16, closed, 1) if closed else CosineClassifier(dim=16, embed_dim=24 if tower else 16),
        "objective": Objective(),
        "bound": bound_to(closed),
    }
    return MetaSegNet(**(arguments | changes))
