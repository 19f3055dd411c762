"""RS-ZeroSeg: two streams of features, aligned at several scales and read by words. Our reading of a preprint.

"RS-ZeroSeg" (Preprints.org 184095, 2025) came without code, leaves much open and prints figures that do not hold together: this
is what its section 3 can mean, and reproduces nothing. Equations have no numbers there, so parts go by their sections; what was
decided stands in docs/decisions.md.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from detectron2.config import CfgNode, configurable
from detectron2.modeling import META_ARCH_REGISTRY
from torch import Tensor, nn

from ovrs.errors import ConfigError
from ovrs.modeling.alignment_loss import image_alignment_loss, pool_labelled, pool_regions, region_alignment_loss
from ovrs.modeling.blocks.dual_stream import DualStreamFusion
from ovrs.modeling.blocks.multi_scale_alignment import MultiScaleAlignment
from ovrs.modeling.blocks.prompts import average_prompts
from ovrs.modeling.build_rs_zeroseg import rs_zeroseg_parts
from ovrs.modeling.encoders.guidance_contract import GuidanceEncoder
from ovrs.modeling.guidance_input import read_guidance
from ovrs.modeling.losses import Ignored, Reduction, segmentation_loss
from ovrs.modeling.segmentation_model import PixelNormalization
from ovrs.modeling.vision_language_model import VisionLanguageModel


@META_ARCH_REGISTRY.register()
class RSZeroSeg(VisionLanguageModel):
    """The system, from its built parts.

    Args:
        vision_normalization: pixel statistics of the vision-language encoder.
        guidance_encoder: the remote-sensing stream, one layer of it.
        guidance_normalization: pixel statistics of that encoder.
        guidance_size: side of its input; 0 = the image's own size.
        fusion: of DSFE, see there.
        multi_scale: MS-CAM; without scales, only its aggregation.
        head: CARH, or another of ``blocks/category_head.py``.
        text_projection: from F_MSCAM to the space of the words, for L_align; None where it has no weight.
        align_loss: what L_align compares with words, the ``image`` or each class's ``region``.
        align_loss_weight: lambda.
        ignored, reduction: of L_BCE, see :func:`~ovrs.modeling.losses.segmentation_loss`.
        shared: the arguments of :class:`VisionLanguageModel`.

    Raises:
        ConfigError: an unknown ``align_loss``, or a weight of it without a projection or the reverse.
    """

    stages: ClassVar = {
        "image_encoder": ("vision_language.image",),
        "guidance": ("guidance_encoder.forward",),
        "spatial": ("fusion.forward", "multi_scale.forward"),
        "decoder": ("head.forward",),
    }

    @configurable
    def __init__(
        self,
        *,
        vision_normalization: PixelNormalization,
        guidance_encoder: GuidanceEncoder,
        guidance_normalization: PixelNormalization,
        guidance_size: int,
        fusion: DualStreamFusion,
        multi_scale: MultiScaleAlignment,
        head: nn.Module,
        text_projection: nn.Linear | None,
        align_loss: Literal["image", "region"],
        align_loss_weight: float,
        ignored: Ignored,
        reduction: Reduction,
        **shared: Any,
    ) -> None:
        super().__init__(**shared)
        if align_loss not in ("image", "region"):
            raise ConfigError(f"MODEL.RS_ZEROSEG.ALIGN_LOSS is {align_loss!r}; choose image or region")
        if (text_projection is None) != (align_loss_weight == 0):
            raise ConfigError("text_projection is needed exactly where align_loss_weight is not 0")
        self.vision_normalization = vision_normalization
        self.guidance_encoder = guidance_encoder
        self.guidance_normalization = guidance_normalization
        self.guidance_size = guidance_size
        self.fusion = fusion
        self.multi_scale = multi_scale
        self.head = head
        self.text_projection = text_projection
        self.align_loss = align_loss
        self.align_loss_weight = align_loss_weight
        self.ignored = ignored
        self.reduction = reduction

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        """Build every part from a configuration (see ovrs/config_systems.py)."""
        return rs_zeroseg_parts(cfg)

    # ------------------------------------------------------- sections 3.2 to 3.4

    def logits(self, images: Tensor, text: Tensor) -> Tensor:
        """See the base class. A class's map depends on the image and its own words alone, except with the decoder as head,
        which averages over all classes.
        """
        return self.head(self._features(images), average_prompts(text), chunk=self.class_chunk)  # 3.4

    def _features(self, images: Tensor) -> Tensor:
        """F_MSCAM [B, C, 4h, 4w] of images [B, 3, h*patch, w*patch]; no word has a part in it."""
        vision = self.vision_language.image(self.vision_normalization(images)).dense  # F_VLM
        (remote,) = read_guidance(  # F_RSI
            self.guidance_encoder, self.guidance_normalization, images, self.guidance_size
        )
        streams = self.fusion(vision, remote)  # 3.2, DSFE
        return self.multi_scale(streams)  # 3.3, MS-CAM

    # ------------------------------------------------------------- section 3.5

    def losses(self, images: Tensor, text: Tensor, target: Tensor) -> dict[str, Tensor]:
        """L_BCE + lambda L_align; with a lambda of 0 there is no second term to compute."""
        features, words = self._features(images), average_prompts(text)
        logits = self.head(features, words)
        losses = {"loss_bce": segmentation_loss(logits, target, ignored=self.ignored, reduction=self.reduction)}
        if self.text_projection is not None:
            losses["loss_align"] = self.align_loss_weight * self._align_loss(features, words, target)
        return losses

    def _align_loss(self, features: Tensor, words: Tensor, target: Tensor) -> Tensor:
        assert self.text_projection is not None
        if self.align_loss == "image":
            return image_alignment_loss(self.text_projection(pool_labelled(features, target)), words, target)
        regions = pool_regions(features, target, words.shape[-2])
        return region_alignment_loss(self.text_projection(regions), words, target)
