"""MetaSegNet: where an image was taken, told to the model in words.

Wang et al., "MetaSegNet: Metadata-collaborative Vision-Language Representation Learning for Semantic Segmentation of Remote
Sensing Images" (IEEE TGRS 2024), of which equations and sections are named here. What was decided where the paper is silent, or
its equations cannot be meant as printed, stands in docs/decisions.md.
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

from ovrs.climate.bank import NEUTRAL
from ovrs.errors import ConfigError
from ovrs.modeling.blocks.channel_prior import ChannelPrior
from ovrs.modeling.blocks.crossmodal_fusion import CrossmodalFusion, SequenceProjections
from ovrs.modeling.blocks.feature_pyramid import FeaturePyramid
from ovrs.modeling.blocks.image_text_matching import ImageTextMatching
from ovrs.modeling.blocks.pair_queue import prompt_numbers
from ovrs.modeling.blocks.prompts import average_prompts
from ovrs.modeling.blocks.token_mean import token_mean
from ovrs.modeling.bound_classes import BoundClasses, asked_channels, channels_of
from ovrs.modeling.build_metasegnet import metasegnet_parts
from ovrs.modeling.encoders.kept_tokens import KeptTokens
from ovrs.modeling.encoders.swin import SwinStages
from ovrs.modeling.encoders.text_tokens import TextEncoder, TextTokens
from ovrs.modeling.encoders.tower_levels import TowerPyramid
from ovrs.modeling.encoders.vision_language import VisionLanguageEncoder
from ovrs.modeling.scene_text import SceneText, share_logits
from ovrs.modeling.segmentation_model import PixelNormalization, SegmentationModel
from ovrs.modeling.softmax_losses import class_dice, cross_entropy, pixel_dice
from ovrs.vocabulary import Vocabulary

logger = logging.getLogger(__name__)

NO_DESCRIPTION = f'nothing is said of the image: the neutral prompt is read, "{NEUTRAL}"'
ONE_PROMPT = (
    "the last %d pairs have the same prompt: nothing tells their texts apart, and the image-text matching loss is 0. It needs "
    "prompts of several climate zones (DATASETS.CLIMATE)"
)


@dataclass(frozen=True)
class Objective:
    """Eq. 3: the weights of its losses, all 1 there, and what they are.

    Attributes:
        ce: weight of the cross entropy (eq. 1).
        dice: of Dice (eq. 2).
        matching: of image-text matching.
        smoothing: share of a label that the cross entropy gives to all classes alike.
        pixel_dice: Dice of each pixel (eq. 2 as it is written), not of each class.
    """

    ce: float = 1.0
    dice: float = 1.0
    matching: float = 1.0
    smoothing: float = 0.05
    pixel_dice: bool = False


@META_ARCH_REGISTRY.register()
class MetaSegNet(SegmentationModel[SceneText]):
    """The system, from its built parts. Scores are a softmax over names: all of them together answer for every pixel.

    Args:
        normalization: pixel statistics of what sees the image.
        image_encoder: a Swin transformer, or levels of the image tower of ``vision_language``.
        vision_language: that tower, and a text tower that reads names of classes; None with a Swin transformer.
        text_encoder: reads the prompt of each image and, without ``vision_language``, names of classes; None where neither is
            read.
        projections: from both encoders to sequences of one width; None leaves out the text (the paper's baseline).
        alignment: eqs. 4 to 7 and the joint encoder; None as ``projections``.
        matching: the image-text matching loss; None where it has no weight.
        pyramid: of which the finest level alone is read.
        prior: image-text fusion; None leaves it out (Table IV).
        head: from that level to features.
        words: from what is read of names to what features are compared with; None takes it as it is.
        classifier: of these: a :class:`~ovrs.modeling.blocks.cosine_classifier.CosineClassifier`, any number of names, or a
            convolution to a fixed number of classes (the paper).
        objective: the losses.
        bound: the classes of a convolution as ``classifier``, one a channel; None with the other one.
        shared: the arguments of :class:`SegmentationModel`.

    Raises:
        ConfigError: a fixed size that is no multiple of what sides are padded to, or a convolution whose classes nobody names.
    """

    stages: ClassVar = {
        "text": ("text_encoder.forward",),
        "image_encoder": ("image_encoder.forward",),
        "spatial": ("projections.forward", "alignment.forward", "prior.forward"),
        "class": ("words.forward", "classifier.forward"),
        "decoder": ("pyramid.forward", "head.forward"),
    }

    @configurable
    def __init__(
        self,
        *,
        normalization: PixelNormalization,
        image_encoder: SwinStages | TowerPyramid,
        vision_language: VisionLanguageEncoder | None,
        text_encoder: TextEncoder | None,
        projections: SequenceProjections | None,
        alignment: CrossmodalFusion | None,
        matching: ImageTextMatching | None,
        pyramid: FeaturePyramid,
        prior: ChannelPrior | None,
        head: nn.Module,
        words: nn.Linear | None,
        classifier: nn.Module,
        objective: Objective,
        bound: BoundClasses | None = None,
        **shared: Any,
    ) -> None:
        super().__init__(**shared)
        self.normalization = normalization
        self.image_encoder = image_encoder
        self.vision_language = vision_language
        self.text_encoder = text_encoder
        self.projections = projections
        self.alignment = alignment
        self.matching = matching
        self.pyramid = pyramid
        self.prior = prior
        self.head = head
        self.words = words
        self.classifier = classifier
        self.objective = objective
        self.bound = bound
        self.classes = channels_of(classifier, bound)  # 0: any number
        self.reads_descriptions = self.reads_places = alignment is not None
        self.scores_per_patch = self.size_divisor // image_encoder.strides[0]
        if self.fixed_size % self.size_divisor:
            raise ConfigError(
                f"MODEL.FIXED_SIZE is {self.fixed_size}; MetaSegNet needs a multiple of {self.size_divisor}, or 0"
            )
        self._said: set[str] = set()
        self._looked_for_prompts = False
        self._prompts = KeptTokens()

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        """Build every part from a configuration (see ovrs/config_systems.py)."""
        return {**metasegnet_parts(cfg), "objective": _objective(cfg)}

    # --------------------------------------------------------------- section II-C

    def logits(self, images: Tensor, text: SceneText) -> Tensor:
        """See the base class: log p - log (1 - p) of the softmax p over names, each by its best word, for all its rows."""
        return share_logits(self._classified(images, text)[0], text.counts)

    def _classified(self, images: Tensor, text: SceneText) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor] | None]:
        """Logits of the softmax [B, N, h, w]; and F_img [B, L1, C], F_text [B, L2, C] and its mask, if a text is read."""
        levels, read, said = self._levels(images), None, None
        if self.projections is not None and self.alignment is not None:
            assert text.description is not None
            prompts = text.description
            mask = prompts.mask.expand(len(images), -1)
            seen, said = self.projections(levels[-1], prompts.tokens.expand(len(images), -1, -1), mask)
            read = (seen.flatten(2).mT, said, mask)  # before either knows of the other: what is matched
            levels[-1], said = self.alignment(seen, said, mask)
        (finest,) = self.pyramid(levels)
        if self.prior is not None and said is not None and read is not None:
            finest = self.prior(finest, said, read[2])
        features = self.head(finest)
        if self.classes:
            return asked_channels(self.classifier(features).float(), text.channels), read
        classes = text.classes if self.words is None else self.words(text.classes)
        return self.classifier(features, classes.expand(len(images), -1, -1)), read

    def _levels(self, images: Tensor) -> list[Tensor]:
        x = self.normalization(images)
        if isinstance(self.image_encoder, TowerPyramid):
            assert self.vision_language is not None
            return self.image_encoder(x, self.vision_language.visual)
        return self.image_encoder(x)

    def losses(self, images: Tensor, text: SceneText, target: Tensor) -> dict[str, Tensor]:
        """Eq. 3; a loss without weight is not computed."""
        objective = self.objective
        logits, read = self._classified(images, text)
        losses = {}
        if objective.ce:
            losses["loss_ce"] = objective.ce * cross_entropy(logits, target, smoothing=objective.smoothing)
        if objective.dice:
            dice = pixel_dice if objective.pixel_dice else class_dice
            losses["loss_dice"] = objective.dice * dice(logits, target)
        if self.matching is not None and read is not None:
            losses["loss_matching"] = objective.matching * self._matching_loss(*read, text.said)
        return losses

    def _matching_loss(self, image: Tensor, text: Tensor, mask: Tensor, said: Sequence[str]) -> Tensor:
        assert self.matching is not None
        full = self.matching.queue.full
        found = self.matching(image, text, mask, prompt_numbers(said, image.device))
        if full and not self._looked_for_prompts:  # once, when many have come: to look is to wait for the device
            self._looked_for_prompts = True
            if not found.compared:
                logger.warning(ONE_PROMPT, self.matching.queue.size + len(said))
        return found.loss

    # ------------------------------------------------------------------------- words

    def text_of(self, vocabulary: Vocabulary) -> SceneText:
        """See the base class; with what is said of the image, which is the neutral prompt where nothing is."""
        counts = tuple(Counter(vocabulary.row_classes).values())
        channels = self.bound.channels(vocabulary) if self.bound is not None else ()
        classes = self.text_features(vocabulary.rows).classes
        if not self.reads_descriptions:
            return SceneText(classes, None, counts, channels=channels)
        if not vocabulary.description:
            self._say_once(NO_DESCRIPTION)
        return SceneText(classes, self._read((vocabulary.description or NEUTRAL,)), counts, channels=channels)

    def training_text(self, vocabulary: Vocabulary, inputs: list[dict[str, Any]]) -> SceneText:
        """See the base class; with the ``description`` of each input, the neutral prompt where it has none."""
        classes = super().training_text(vocabulary, inputs).classes
        channels = self.bound.channels(vocabulary) if self.bound is not None else ()
        if not self.reads_descriptions:
            return SceneText(classes, channels=channels)
        said = tuple(entry.get("description") or NEUTRAL for entry in inputs)
        return SceneText(classes, self._read(said), said=said, channels=channels)

    def encode_text(self, prompts: list[list[str]]) -> SceneText:
        """Names, of length sqrt(E): their channels are about 1 in size; beside them the neutral prompt, if one is read."""
        neutral = self._read((NEUTRAL,)) if self.reads_descriptions else None
        if self.classes:
            return SceneText(torch.zeros(len(prompts), 1, device=self.device), neutral)
        if self.vision_language is not None:
            names = self.vision_language.text(prompts)
        else:
            assert self.text_encoder is not None
            read = self.text_encoder([prompt for row in prompts for prompt in row])
            names = token_mean(read.tokens.float(), read.mask).unflatten(0, (len(prompts), -1))
        return SceneText(average_prompts(names.float()) * names.shape[-1] ** 0.5, neutral)

    def _read(self, said: tuple[str, ...]) -> TextTokens:
        """The tokens of prompts; of each once while the encoder does not train."""
        assert self.text_encoder is not None
        return self._prompts.read(self.text_encoder, said, self.device)

    def train(self, mode: bool = True) -> MetaSegNet:
        """See the base class; kept prompts go too."""
        self._prompts.clear()
        super().train(mode)
        return self

    @property
    def most_tokens(self) -> int:
        """Tokens of the longest prompt; what is behind is cut off."""
        return 0 if self.text_encoder is None else self.text_encoder.most_tokens

    def count_tokens(self, text: str) -> int:
        """How many tokens a prompt has, by the tokenizer of what reads it."""
        return 0 if self.text_encoder is None else self.text_encoder.count_tokens(text)

    def _say_once(self, message: str) -> None:
        if message not in self._said:
            self._said.add(message)
            logger.warning("%s", message)

    @property
    def size_divisor(self) -> int:
        """The stride of a Swin transformer's last stage, or the patch of the tower."""
        return self.image_encoder.strides[-1] if self.vision_language is None else self.vision_language.patch

    @property
    def text_tower(self) -> nn.Module:
        """What reads names of classes, or else prompts; an empty module where no word is read."""
        if self.vision_language is not None and not self.classes:
            return self.vision_language.text_tower
        return self.text_encoder if self.text_encoder is not None else nn.Identity()

    def text_version(self) -> tuple[int, ...]:
        """See the base class."""
        return tuple(number for p in self._of_text() for number in (p._version, p.data_ptr()))

    @property
    def text_trains(self) -> bool:
        """See the base class."""
        return any(parameter.requires_grad for parameter in self._of_text())

    def _of_text(self) -> list[nn.Parameter]:
        towers = (self.vision_language.text_tower if self.vision_language is not None else None, self.text_encoder)
        return [parameter for tower in towers if tower is not None for parameter in tower.parameters()]


def _objective(cfg: CfgNode) -> Objective:
    keys = cfg.MODEL.METASEGNET.TRAINING
    return Objective(
        ce=keys.CE_WEIGHT,
        dice=keys.DICE_WEIGHT,
        matching=keys.MATCHING_WEIGHT,
        smoothing=keys.LABEL_SMOOTHING,
        pixel_dice=keys.DICE == "pixel",
    )
