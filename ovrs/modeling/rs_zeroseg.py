"""RS-ZeroSeg: two streams of features, aligned at several scales and read by words. Our reading of a preprint.

"RS-ZeroSeg" (Preprints.org 184095, 2025) came without code, leaves much open and prints figures that do not hold together: this
is what its section 3 can mean, and reproduces nothing. Equations have no numbers there, so parts go by their sections; what was
decided stands in docs/decisions.md.
"""

from __future__ import annotations

from typing import Any, Literal

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
from ovrs.modeling.losses import segmentation_loss
from ovrs.modeling.segmentation_model import PixelNormalization, SegmentationModel


@META_ARCH_REGISTRY.register()
class RSZeroSeg(SegmentationModel):
    """The system, from its built parts.

    Args:
        vision_normalization: pixel statistics of the vision-language encoder.
        guidance_encoder: the remote-sensing stream, one layer of it.
        guidance_normalization: pixel statistics of that encoder.
        guidance_size: side of its input; 0 = the image's own size.
        fusion: of DSFE, see there.
        alignment: MS-CAM; without scales, only its aggregation.
        head: CARH, or another of ``blocks/category_head.py``.
        text_projection: from F_MSCAM to the space of the words, for L_align; None where it has no weight.
        alignment_of: what is compared with words, the ``image`` or each class's ``region``.
        alignment_weight: lambda.
        ignored: what pixels without a label are, see :func:`~ovrs.modeling.losses.segmentation_loss`.
        shared: the arguments of :class:`SegmentationModel`.

    Raises:
        ConfigError: an unknown ``alignment_of``, or a weight with nothing to compare.
    """

    @configurable
    def __init__(
        self,
        *,
        vision_normalization: PixelNormalization,
        guidance_encoder: GuidanceEncoder,
        guidance_normalization: PixelNormalization,
        guidance_size: int,
        fusion: DualStreamFusion,
        alignment: MultiScaleAlignment,
        head: nn.Module,
        text_projection: nn.Linear | None,
        alignment_of: Literal["image", "region"] = "image",
        alignment_weight: float = 0.2,
        ignored: Literal["negative", "mask"] = "mask",
        **shared: Any,
    ) -> None:
        super().__init__(**shared)
        if alignment_of not in ("image", "region"):
            raise ConfigError(f"MODEL.RS_ZEROSEG.ALIGNMENT is {alignment_of!r}; choose image or region")
        if (text_projection is None) != (alignment_weight == 0):
            raise ConfigError("a projection to the words and a weight of the alignment loss want each other")
        self.vision_normalization = vision_normalization
        self.guidance_encoder = guidance_encoder
        self.guidance_normalization = guidance_normalization
        self.guidance_size = guidance_size
        self.fusion = fusion
        self.alignment = alignment
        self.head = head
        self.text_projection = text_projection
        self.alignment_of = alignment_of
        self.alignment_weight = alignment_weight
        self.ignored = ignored

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        """Build every part from a configuration (see ovrs/config_systems.py)."""
        return rs_zeroseg_parts(cfg)

    # ------------------------------------------------------- sections 3.2 to 3.4

    def logits(self, images: Tensor, text: Tensor) -> Tensor:
        """See the base class. Each map depends on the image and its own words alone; only in the decoder do classes meet, whose
        attention averages over them.
        """
        return self.head(self._features(images), average_prompts(text), chunk=self.class_chunk)  # 3.4

    def _features(self, images: Tensor) -> Tensor:
        """F_MSCAM [B, C, 4h, 4w] of images [B, 3, h*patch, w*patch]; no word has a part in it."""
        vision = self.vision_language.image(self.vision_normalization(images)).dense  # F_VLM
        (remote,) = read_guidance(  # F_RSI
            self.guidance_encoder, self.guidance_normalization, images, self.guidance_size
        )
        return self.alignment(self.fusion(vision, remote))  # 3.2, then 3.3

    # ------------------------------------------------------------- section 3.5

    def losses(self, images: Tensor, text: Tensor, target: Tensor) -> dict[str, Tensor]:
        """L_BCE + lambda L_align; with a lambda of 0 there is no second term to compute."""
        features, words = self._features(images), average_prompts(text)
        logits = self.head(features, words)
        losses = {"loss_bce": segmentation_loss(logits, target, ignored=self.ignored)}
        if self.text_projection is not None:
            losses["loss_align"] = self.alignment_weight * self._alignment_loss(features, words, target)
        return losses

    def _alignment_loss(self, features: Tensor, words: Tensor, target: Tensor) -> Tensor:
        assert self.text_projection is not None
        if self.alignment_of == "image":
            return image_alignment_loss(self.text_projection(pool_labelled(features, target)), words, target)
        regions = pool_regions(features, target, len(words))
        return region_alignment_loss(self.text_projection(regions), words, target)
