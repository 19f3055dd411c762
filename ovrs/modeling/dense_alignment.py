"""DenseAlignment: the vision-language encoder alone, trained so that patches and words meet. Not from a paper.

The published systems start from CLIP, which has read about everything. A small encoder has read nothing, so this is its
pre-training, with the labels of scenes that are drawn (configs/mini/pretrain.yaml); AerOSeg's small model starts from what it
leaves. What it predicts by itself, the bare cosine, is also the floor that any refinement has to rise above.
"""

from __future__ import annotations

from typing import Any

from detectron2.config import CfgNode, configurable
from detectron2.modeling import META_ARCH_REGISTRY
from torch import Tensor

from ovrs.modeling.blocks.cost_volume import cost_volume
from ovrs.modeling.build import shared_parts
from ovrs.modeling.losses import alignment_loss
from ovrs.modeling.segmentation_model import PixelNormalization, SegmentationModel
from ovrs.modeling.windows import resize


@META_ARCH_REGISTRY.register()
class DenseAlignment(SegmentationModel):
    """Cosines of dense embeddings and prompts, scaled; trained by their cross entropy over classes.

    Args:
        vision_normalization: pixel statistics of the encoder.
        shared: the arguments of :class:`SegmentationModel`.
    """

    @configurable
    def __init__(self, *, vision_normalization: PixelNormalization, **shared: Any) -> None:
        super().__init__(**shared)
        self.vision_normalization = vision_normalization
        self.vision_language.logit_scale.requires_grad_(True)

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        """Build every part from a configuration (see ovrs/config.py)."""
        keys = cfg.MODEL.VISION_LANGUAGE
        return {**shared_parts(cfg), "vision_normalization": PixelNormalization(keys.PIXEL_MEAN, keys.PIXEL_STD)}

    def logits(self, images: Tensor, text: Tensor) -> Tensor:
        """See the base class: the mean cosine over prompts, enlarged."""
        scores = self._cost(images, text).mean(dim=1) * self._scale()
        height, width = (side * self.scores_per_patch for side in scores.shape[-2:])
        return resize(scores, (height, width))

    def losses(self, images: Tensor, text: Tensor, target: Tensor) -> dict[str, Tensor]:
        """The alignment loss."""
        return {"loss_align": alignment_loss(self._cost(images, text), target, self._scale())}

    def _cost(self, images: Tensor, text: Tensor) -> Tensor:
        dense = self.vision_language.image(self.vision_normalization(images)).dense
        return cost_volume(dense.unsqueeze(1), text)

    def _scale(self) -> Tensor:
        return self.vision_language.logit_scale.exp().clamp(max=100)
