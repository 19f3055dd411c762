"""TSMNet: an optical image and its SAR partner, segmented by class names and by what is said of the scene.

Dai et al., "Multi-modal semantic segmentation for open vocabulary interactions with remote sensing images" (TSMNet), of which
equations and sections are named here; the context decoder is DenseCLIP's (Rao et al., CVPR 2022), rectification and fusion are
CMX's (Zhang et al., 2023). What was decided where the paper is silent, or its authors' code does otherwise, stands in
docs/decisions.md.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from detectron2.config import CfgNode, configurable
from detectron2.modeling import META_ARCH_REGISTRY
from torch import Tensor, nn

from ovrs.modeling.blocks.context_decoder import ContextDecoder
from ovrs.modeling.blocks.contrastive import SceneContrast
from ovrs.modeling.blocks.feature_pyramid import FeaturePyramid, PyramidHead
from ovrs.modeling.blocks.prompts import average_prompts
from ovrs.modeling.blocks.text_prior import score_map, text_prior
from ovrs.modeling.bound_classes import BoundClasses, asked_channels, channels_of
from ovrs.modeling.build_tsmnet import tsmnet_parts
from ovrs.modeling.encoders.learned_context import LearnedContext, LearnedOffset
from ovrs.modeling.encoders.text_tokens import TextTokens
from ovrs.modeling.encoders.vision_language import VisionLanguageEncoder
from ovrs.modeling.paired_inputs import chosen_modalities, drop_modalities, image_and_sar
from ovrs.modeling.paired_towers import PairedFeatures, PairedTowers
from ovrs.modeling.scene_text import SceneText, share_logits
from ovrs.modeling.segmentation_model import SegmentationModel
from ovrs.modeling.softmax_losses import LossWeights, cross_entropy, soft_dice
from ovrs.vocabulary import Vocabulary

logger = logging.getLogger(__name__)

SCORED_LEVEL = 2  # of the pyramid: that of the encoder's own grid
NO_SAR = "no SAR beside the image: answering from the optical image alone"
NO_DESCRIPTION = "no description of the scene: answering from the names of classes alone"


@dataclass(frozen=True)
class ObjectLevel:
    """Section 2.3: t of eq. 6 [B, N, E], and s of eq. 7 [B, N, h, w]."""

    words: Tensor
    scores: Tensor


@META_ARCH_REGISTRY.register()
class TSMNet(SegmentationModel[SceneText]):
    """The system, from its built parts. Scores are a softmax over names: all of them together answer for every pixel.

    Images are [B, 3 + S, H, W], SAR behind the colours; NaN, or no further channel, is where there is none.

    Args:
        vision_language: CLIP; its image tower reads the optical image, its text tower classes.
        towers: eqs. 1 to 3.
        context: p of eq. 4; None says names as the templates have them.
        score_projection: from the fused features to z; None takes the optical image's own for it (the authors' code).
        context_decoder: eqs. 5 and 6; None leaves out the words of classes (Table 5).
        temperature: of s, in its loss and in the softmax of the text prior.
        bound: the classes of a convolution as ``classifier``, one a channel: s itself, of these, is concatenated to the
            features (the paper), not the text prior; None takes any names.
        pyramid: FPN.
        scene_encoder: of descriptions; None takes the text tower of ``vision_language``.
        scene_fusion: of each level with the description; None leaves descriptions out (Table 5).
        scene_contrast: eq. 10; None where it has no weight.
        head: from the pyramid to features at its finest level.
        classifier: of these: a :class:`CosineClassifier`, or a convolution to a fixed number of classes.
        modalities: which are read: ``both``, ``optical`` or ``sar``.
        drop_modality: share of the training images that lose one of the two.
        sar_scale: what values of SAR are those of the statistics: ``8bit`` or ``db``; "" where nobody says.
        weights: of the losses.
        shared: the arguments of :class:`SegmentationModel`.

    Raises:
        ConfigError: a convolution whose classes nobody names.
    """

    stages: ClassVar = {
        "text": ("_describe",),
        "image_encoder": ("towers.forward",),
        "cost_volume": ("_objects",),
        "spatial": ("scene_fusion.*.forward",),
        "class": ("context_decoder.forward", "classifier.forward"),
        "decoder": ("pyramid.forward", "head.forward"),
    }

    @configurable
    def __init__(
        self,
        *,
        vision_language: VisionLanguageEncoder,
        towers: PairedTowers,
        context: LearnedContext | LearnedOffset | None,
        score_projection: nn.Conv2d | None,
        context_decoder: ContextDecoder | None,
        temperature: float,
        bound: BoundClasses | None,
        pyramid: FeaturePyramid,
        scene_encoder: nn.Module | None,
        scene_fusion: nn.ModuleList | None,
        scene_contrast: SceneContrast | None,
        head: PyramidHead,
        classifier: nn.Module,
        modalities: str,
        drop_modality: float,
        weights: LossWeights,
        sar_scale: str = "",
        **shared: Any,
    ) -> None:
        super().__init__(**shared)
        self.vision_language = vision_language
        self.towers = towers
        self.context = context
        self.score_projection = score_projection
        self.context_decoder = context_decoder
        self.temperature = temperature
        self.bound = bound
        self.closed = bound is not None
        self.classes = channels_of(classifier, bound)
        self.pyramid = pyramid
        self.scene_encoder = scene_encoder
        self.scene_fusion = scene_fusion
        self.scene_contrast = scene_contrast
        self.head = head
        self.classifier = classifier
        self.modalities = modalities
        self.drop_modality = drop_modality
        self.weights = weights
        self.reads_descriptions = scene_fusion is not None
        self.reads_sar = modalities != "optical"
        self.sar_bands = towers.bands  # polarisations
        self.sar_scale = sar_scale
        self._said: set[str] = set()

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        """Build every part from a configuration (see ovrs/config_systems.py)."""
        return tsmnet_parts(cfg)

    # ------------------------------------------------------------ sections 2.2 to 2.4

    def logits(self, images: Tensor, text: SceneText) -> Tensor:
        """See the base class: log p - log (1 - p) of the softmax p over names, each by its best word, for all its rows."""
        pyramid, objects = self._pyramid(images, text)
        return share_logits(self._classified(pyramid, objects, text), text.counts)

    def _pyramid(self, images: Tensor, text: SceneText) -> tuple[list[Tensor], ObjectLevel | None]:
        """The pyramid that nothing has been said to, and what classes have in common with the image, if they are asked."""
        seen = self.towers(chosen_modalities(images, self.modalities), self.vision_language.visual)  # 2.2
        if self.context_decoder is None:
            return self.pyramid(seen.levels), None
        objects = self._objects(seen, text.classes)  # 2.3
        prior = objects.scores if self.closed else text_prior(objects.scores, objects.words, temperature=self.temperature)
        levels = list(seen.levels)
        levels[SCORED_LEVEL] = torch.cat([levels[SCORED_LEVEL], prior.to(levels[SCORED_LEVEL].dtype)], dim=1)
        return self.pyramid(levels), objects

    def _objects(self, seen: PairedFeatures, classes: Tensor) -> ObjectLevel:
        assert self.context_decoder is not None
        z = seen.optical
        if self.score_projection is not None:
            z = z + self.score_projection(seen.levels[SCORED_LEVEL])
        words = classes.expand(len(z), -1, -1)
        words = self.context_decoder(words, z, z.mean(dim=(2, 3)))  # eqs. 5 and 6
        return ObjectLevel(words, score_map(z, words))  # eq. 7

    def _classified(self, pyramid: list[Tensor], objects: ObjectLevel | None, text: SceneText) -> Tensor:
        """Logits of the softmax [B, N, h, w]."""
        if self.scene_fusion is not None and text.description is not None:  # 2.4
            tokens = text.description.tokens.expand(len(pyramid[0]), -1, -1)
            mask = text.description.mask.expand(len(pyramid[0]), -1)
            pyramid = [fusion(level, tokens, mask) for fusion, level in zip(self.scene_fusion, pyramid, strict=True)]
        features = self.head(pyramid)
        if objects is not None and not self.closed:  # 2.6
            return self.classifier(features, objects.words)
        return asked_channels(self.classifier(features).float(), text.channels)

    # --------------------------------------------------------------- section 2.5

    def losses(self, images: Tensor, text: SceneText, target: Tensor) -> dict[str, Tensor]:
        """Eq. 11; a loss without weight is not computed."""
        weights = self.weights
        pyramid, objects = self._pyramid(drop_modalities(images, self.drop_modality), text)
        logits = self._classified(pyramid, objects, text)
        losses = {}
        if objects is not None and weights.object:
            scores = asked_channels(objects.scores, text.channels) if self.closed else objects.scores
            losses["loss_object"] = weights.object * cross_entropy(scores.float() / self.temperature, target)
        if self.scene_contrast is not None and text.description is not None:
            described = text.description.mask.any(dim=1)
            losses["loss_scene"] = weights.scene * self.scene_contrast(pyramid, text.description.pooled, described)
        if weights.ce:
            losses["loss_ce"] = weights.ce * cross_entropy(logits, target)
        if weights.dice:
            losses["loss_dice"] = weights.dice * soft_dice(logits, target)
        return losses

    # ---------------------------------------------------------------------- inputs

    def image_of(self, entry: dict[str, Any]) -> Tensor:
        """``image`` [3, h, w] with ``sar`` [S, h, w] behind it; NaN where the entry has none."""
        if not self.training:
            self._say_what_lacks(entry)
        return image_and_sar(entry, self.sar_bands)

    def _say_what_lacks(self, entry: dict[str, Any]) -> None:
        described = entry.get("description") or self._vocabulary_of(entry).description
        lacks = [NO_SAR] if self.reads_sar and entry.get("sar") is None else []
        for lack in [*lacks, NO_DESCRIPTION] if self.reads_descriptions and not described else lacks:
            if lack not in self._said:
                self._said.add(lack)
                logger.warning("%s", lack)

    def text_of(self, vocabulary: Vocabulary) -> SceneText:
        """See the base class; with what is said of the scene, if the system reads it and something is."""
        counts = tuple(Counter(vocabulary.row_classes).values())
        classes, channels = self._classes_of(vocabulary, vocabulary.rows)
        if not self.reads_descriptions or not vocabulary.description:
            return SceneText(classes, None, counts, channels=channels)
        said = [vocabulary.description]
        scene = self.remembered(("", *said), lambda: SceneText(classes, self._describe(said)))
        return SceneText(classes, scene.description, counts, channels=channels)

    def training_text(self, vocabulary: Vocabulary, inputs: list[dict[str, Any]]) -> SceneText:
        """See the base class; with the ``description`` of each input, as far as they have one."""
        classes, channels = self._classes_of(vocabulary, [cls.name for cls in vocabulary.classes])
        if not self.reads_descriptions:
            return SceneText(classes, channels=channels)
        said = [entry.get("description", "") for entry in inputs]
        found = self._describe(said)
        there = torch.tensor([bool(text) for text in said], device=found.mask.device)
        return SceneText(classes, TextTokens(found.tokens, found.mask & there[:, None], found.pooled), channels=channels)

    def _classes_of(self, vocabulary: Vocabulary, words: Sequence[str]) -> tuple[Tensor, tuple[tuple[int, ...], ...]]:
        """t of ``words``, or of the classes that the head is bound to, in the order of its channels, which come with them."""
        if self.bound is None:
            return self.text_features(words).classes, ()
        return self.text_features(self.bound.words(vocabulary)).classes, self.bound.channels(vocabulary)

    def _describe(self, texts: list[str]) -> TextTokens:
        read: Any = self.vision_language.text_tower.read if self.scene_encoder is None else self.scene_encoder
        found: TextTokens = read(texts)
        return TextTokens(found.tokens.float(), found.mask, found.pooled.float())

    def encode_text(self, prompts: list[list[str]]) -> SceneText:
        """t of the classes, of length sqrt(E): its channels are about 1 in size, as those of features are."""
        dim, device = self.vision_language.dim, self.device
        if self.context_decoder is None:
            return SceneText(torch.zeros(len(prompts), dim, device=device))
        if self.context is None:
            text = self.vision_language.text(prompts)
        else:
            said = [prompt for row in prompts for prompt in row]
            text = self.context(self.vision_language.text_tower, said).view(len(prompts), -1, dim)
        return SceneText(average_prompts(text.float()) * dim**0.5)

    # ------------------------------------------------------------------------- words

    @property
    def size_divisor(self) -> int:
        """The patch of the encoder."""
        return self.vision_language.patch

    @property
    def text_tower(self) -> nn.Module:
        """That of classes."""
        return self.vision_language.text_tower

    def text_version(self) -> tuple[int, ...]:
        """See the base class."""
        return tuple(number for p in self._of_text() for number in (p._version, p.data_ptr()))

    @property
    def text_trains(self) -> bool:
        """See the base class."""
        return any(parameter.requires_grad for parameter in self._of_text())

    def _of_text(self) -> list[nn.Parameter]:
        parts = (self.vision_language.text_tower, self.context, self.scene_encoder)
        return [parameter for part in parts if part is not None for parameter in part.parameters()]
