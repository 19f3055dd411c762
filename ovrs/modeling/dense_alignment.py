"""DenseAlignment: the vision-language encoder alone, trained so that patches and words meet. Not from a paper.

The published systems start from CLIP, which has read about everything. A small encoder has read nothing, so this is its
pre-training (configs/mini/pretrain.yaml): with labels of pixels, or with no more than CLIP has, sentences that are true of an
image. What it predicts by itself, the bare cosine, is also the floor that any refinement has to rise above.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from detectron2.config import CfgNode, configurable
from detectron2.modeling import META_ARCH_REGISTRY
from torch import Tensor, nn

from ovrs.errors import ConfigError
from ovrs.modeling.blocks.cost_volume import cost_volume
from ovrs.modeling.build import shared_parts
from ovrs.modeling.losses import alignment_loss, image_level_loss
from ovrs.modeling.segmentation_model import PixelNormalization
from ovrs.modeling.vision_language_model import VisionLanguageModel
from ovrs.modeling.windows import resize


@META_ARCH_REGISTRY.register()
class DenseAlignment(VisionLanguageModel):
    """Cosines of dense embeddings and prompts, scaled.

    Args:
        vision_normalization: pixel statistics of the encoder.
        supervision: ``pixel``, the cross entropy over classes at every patch; ``image``, the sigmoid contrast of an image with
            the prompts of every class, which learns from all words what is in it and never where.
        shared: the arguments of :class:`VisionLanguageModel`.
    """

    stages: ClassVar = {"image_encoder": ("vision_language.image",), "cost_volume": ("_cost",)}

    @configurable
    def __init__(
        self, *, vision_normalization: PixelNormalization, supervision: Literal["pixel", "image"] = "pixel", **shared: Any
    ) -> None:
        super().__init__(**shared)
        if supervision not in ("pixel", "image"):
            raise ConfigError(f"MODEL.ALIGNMENT.SUPERVISION is {supervision!r}; choose pixel or image")
        self.vision_normalization = vision_normalization
        self.supervision = supervision
        # Most sentences are untrue of an image: the scores begin where that is likely.
        self.bias = nn.Parameter(torch.tensor(-3.0)) if supervision == "image" else None
        self.vision_language.logit_scale.requires_grad_(True)

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        """Build every part from a configuration (see ovrs/config.py)."""
        keys = cfg.MODEL.VISION_LANGUAGE
        normalization = PixelNormalization(keys.PIXEL_MEAN, keys.PIXEL_STD)
        return {**shared_parts(cfg), "vision_normalization": normalization, "supervision": cfg.MODEL.ALIGNMENT.SUPERVISION}

    def logits(self, images: Tensor, text: Tensor) -> Tensor:
        """See the base class: the mean cosine over prompts, enlarged."""
        scores = self._cost(images, text).mean(dim=1) * self._scale()
        height, width = (side * self.scores_per_patch for side in scores.shape[-2:])
        return resize(scores, (height, width))

    def losses(self, images: Tensor, text: Tensor, target: Tensor) -> dict[str, Tensor]:
        """The alignment loss of the supervision."""
        cost = self._cost(images, text)
        if self.bias is not None:
            return {"loss_align": image_level_loss(cost, target, self._scale(), self.bias)}
        return {"loss_align": alignment_loss(cost, target, self._scale())}

    def _cost(self, images: Tensor, text: Tensor) -> Tensor:
        dense = self.vision_language.image(self.vision_normalization(images)).dense
        return cost_volume(dense.unsqueeze(1), text)

    def _scale(self) -> Tensor:
        return self.vision_language.logit_scale.exp().clamp(max=100)
