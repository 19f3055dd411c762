"""MAFN: segment what a sentence says. Multimodal-Aware Fusion Network (Shi and Zhang, IEEE GRSL 2025).

Read top to bottom like section II of the paper; numbers in comments are its equations. Where it is silent, or its code
does otherwise, docs/decisions.md says what was decided.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from detectron2.config import CfgNode, configurable
from detectron2.modeling import META_ARCH_REGISTRY
from torch import Tensor, nn

from ovrs.errors import ConfigError, DataError
from ovrs.modeling.batches import stack_batch
from ovrs.modeling.blocks.cross_scale import CrossScaleInteraction
from ovrs.modeling.blocks.multi_scale_refinement import TopDownDecoder
from ovrs.modeling.build_mafn import mafn_parts
from ovrs.modeling.encoders.swin import SwinStages
from ovrs.modeling.encoders.text_tokens import TextEncoder, TextTokens
from ovrs.modeling.referring_loss import referring_losses
from ovrs.modeling.segmentation_model import PixelNormalization, SegmentationModel
from ovrs.modeling.stage_guidance import StageGuidance


@META_ARCH_REGISTRY.register()
class MAFN(SegmentationModel[TextTokens]):
    """The system, from its built parts.

    A sentence is a name of the vocabulary: its score is the logit of "here", against "not here", so that 0.5 is its border.
    Sentences never meet.

    Args:
        normalization: pixel statistics of the image encoder.
        image_encoder: a Swin transformer; its blocks hold AN attention (eqs. 2 to 5) where that is asked for.
        text_encoder: reads sentences token by token.
        fusions: CFM of each stage (eqs. 6 to 11).
        cross_scale: the stages read each other before the decoder does (in the code, not in the paper); None without.
        decoder: eqs. 12 to 17.
        guidance: features of another encoder, added to what enters each stage; None as published.
        blind: words are not read: every sentence is the empty one (a baseline).
        shared: the arguments of :class:`SegmentationModel`.

    Raises:
        ConfigError: more than one prompt a sentence, or a fixed size that is no multiple of the last stride.
    """

    reads_sentences = True
    stages: ClassVar = {
        "image_encoder": ("image_encoder.embed", "image_encoder.stage"),
        "guidance": ("guidance.forward",),
        "spatial": ("fusions.*.forward", "cross_scale.forward"),
        "decoder": ("decoder.forward",),
    }

    @configurable
    def __init__(
        self,
        *,
        normalization: PixelNormalization,
        image_encoder: SwinStages,
        text_encoder: TextEncoder,
        fusions: nn.ModuleList,
        cross_scale: CrossScaleInteraction | None,
        decoder: TopDownDecoder,
        guidance: StageGuidance | None = None,
        blind: bool = False,
        **shared: Any,
    ) -> None:
        super().__init__(**shared)
        if len(self.templates) != 1:
            raise ConfigError(f"MODEL.PROMPTS has {len(self.templates)} templates; MAFN reads a sentence once: choose alone")
        if self.fixed_size % image_encoder.strides[-1]:
            raise ConfigError(
                f"MODEL.FIXED_SIZE is {self.fixed_size}; MAFN needs a multiple of {image_encoder.strides[-1]}, or 0"
            )
        self.normalization = normalization
        self.image_encoder = image_encoder
        self.text_encoder = text_encoder
        self.fusions = fusions
        self.cross_scale = cross_scale
        self.decoder = decoder
        self.guidance = guidance
        self.blind = blind
        self.scores_per_patch = image_encoder.strides[-1] // image_encoder.strides[0]

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        """Build every part from a configuration (see ovrs/config_systems.py)."""
        return mafn_parts(cfg)

    # ------------------------------------------------------------- sections II-A to C

    def logits(self, images: Tensor, text: TextTokens) -> Tensor:
        """See the base class; a few sentences at a time (``class_chunk``)."""
        first, beside = self._first_stage(images)
        step, masks = self.class_chunk or len(text), []
        for start in range(0, len(text), step):
            part = text[start : start + step]
            pairs = torch.arange(len(images), device=first.device).repeat_interleave(len(part))
            words = torch.arange(len(part), device=first.device).repeat(len(images))
            found = self._masks(first[pairs], [x[pairs] for x in beside], part[words])
            masks.append(found.squeeze(1).unflatten(0, (len(images), len(part))))
        return torch.cat(masks, dim=1)

    def _first_stage(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """What no word has a part in: V_e of the first stage, and the guidance of those after it."""
        beside = self.guidance(images) if self.guidance is not None else []
        patches = self.image_encoder.embed(self.normalization(images))
        return self.image_encoder.stage(0, patches, beside[0] if beside else None), beside[1:]

    def _masks(self, visual: Tensor, beside: Sequence[Tensor], text: TextTokens) -> Tensor:
        """V_e of the first stage [B, C, h, w] and one sentence an image -> logits [B, 1, h, w]."""
        stages = []
        for number, fusion in enumerate(self.fusions):
            if number:
                visual = self.image_encoder.stage(number, visual, beside[number - 1] if beside else None)  # eqs. 2 to 5
            fused = fusion(visual, text.tokens, text.mask)  # eqs. 6 to 11
            stages.append(fused.lateral)
            visual = fused.onward
        if self.cross_scale is not None:
            stages = self.cross_scale(stages)
        return self.decoder(stages)  # eqs. 12 to 17

    # ------------------------------------------------------------------------- words

    @property
    def size_divisor(self) -> int:
        """The stride of the last stage."""
        return self.image_encoder.strides[-1]

    @property
    def text_tower(self) -> nn.Module:
        """The encoder of sentences."""
        return self.text_encoder

    def encode_text(self, prompts: list[list[str]]) -> TextTokens:
        """F_t, the tokens of each sentence."""
        return self.text_encoder(["" if self.blind else sentence for (sentence,) in prompts])

    def text_version(self) -> tuple[int, ...]:
        """See the base class."""
        return self.text_encoder.text_version()

    @property
    def text_trains(self) -> bool:
        """See the base class."""
        return self.text_encoder.text_trains

    # ---------------------------------------------------------------------- training

    def training_losses(self, inputs: list[dict[str, Any]]) -> dict[str, Tensor]:
        """The losses of images with an ``expression`` and its ``mask`` [h, w] each.

        Raises:
            DataError: an entry has none: its data set holds classes, not sentences.
        """
        for entry in inputs:
            if "expression" not in entry:
                raise DataError(f"{entry.get('file_name')}: has no sentence; MAFN trains with DATASETS.TASK referring")
        images, target = stack_batch([self._squeezed(entry) for entry in inputs], self.size_divisor, self.device)
        with self.autocast():
            text = self.encode_text([[entry["expression"]] for entry in inputs])
            return self.losses(images, text, target)

    def _squeezed(self, entry: dict[str, Any]) -> dict[str, Tensor]:
        """Image and mask at the fixed size, if there is one; each by itself, as evaluation sees it, whatever is beside it."""
        image, mask = entry["image"].to(self.device, torch.float32), entry["mask"].to(self.device)
        if self.fixed_size:
            image = self._squeeze(image[None])[0]
            mask = F.interpolate(mask[None, None].float(), size=image.shape[-2:], mode="nearest-exact")[0, 0]
        return {"image": image, "sem_seg": mask.long()}

    def losses(self, images: Tensor, text: TextTokens, target: Tensor) -> dict[str, Tensor]:
        """Of one sentence an image; ``target`` [B, H, W] is 1 where it says, 0 elsewhere, or 255."""
        first, beside = self._first_stage(images)
        return referring_losses(self._masks(first, beside, text).squeeze(1), target)
