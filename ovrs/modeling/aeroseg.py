"""AerOSeg: SAM-guided open-vocabulary segmentation of remote sensing images (Dutta et al. 2025, arXiv:2504.09203).

Read it beside section 3 of the paper. Other settings of the same blocks give CAT-Seg (Cho et al., CVPR 2024) and OVRS (Cao et
al., arXiv:2409.07683): configs/baselines. What the paper leaves open is decided in docs/decisions.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from detectron2.config import CfgNode, configurable
from detectron2.modeling import META_ARCH_REGISTRY
from torch import Tensor, nn

from ovrs.errors import ConfigError
from ovrs.modeling.blocks.back_projection import SemanticBackProjection
from ovrs.modeling.blocks.cost_volume import CostEmbedding, best_matching, cost_volume, rotation_ensemble
from ovrs.modeling.blocks.guidance_projection import GuidanceProjection, resize_nearest
from ovrs.modeling.blocks.prompts import average_prompts
from ovrs.modeling.blocks.text_gate import TextGate
from ovrs.modeling.blocks.upsampling import UpsamplingDecoder
from ovrs.modeling.build_aeroseg import aeroseg_parts
from ovrs.modeling.encoders.guidance_contract import GuidanceEncoder
from ovrs.modeling.guidance_input import read_guidance
from ovrs.modeling.losses import LossSettings, alignment_loss, segmentation_loss, semantic_loss
from ovrs.modeling.segmentation_model import LEFT_OUT, PixelNormalization
from ovrs.modeling.vision_language_model import VisionLanguageModel


@dataclass
class Refined:
    """What the refinement leaves: phi'' [B, N, H, W, C], the decoder's guidance, and what the losses compare with."""

    cost: Tensor
    phi: Tensor
    decoder_guidance: list[Tensor]
    guidance: Tensor  # F_g^3
    dense: Tensor  # unrotated dense embeddings


@META_ARCH_REGISTRY.register()
class AerOSeg(VisionLanguageModel):
    """The system, from its built parts.

    Args:
        guidance_encoder: gives F_g^1, F_g^2, F_g^3 from the unrotated image; None takes the vision-language encoder's own
            blocks and dense embeddings (the paper's Baseline, CAT-Seg, OVRS).
        guidance_normalization: pixel statistics of that encoder.
        guidance_size: side of its input; 0 = the image's own size.
        rotations: quarter turns of the ensemble.
        read_rotations: those of them that evaluation reads, the first among them; () = all (see
            :func:`~ovrs.modeling.blocks.cost_volume.fold_views`).
        cost_embedding, spatial_guidance, text_guidance, decoder_guidance, refinement, decoder: the blocks, see there.
        text_gate: RS-ZeroSeg's, one more refinement: features of a class times where its words fit the guidance; None without.
        back_projection, back_target: T^sem and what it reproduces; None outside training on one class list.
        max_classes: above it, only the best matching classes of an image are aggregated; 0 = no limit.
        pooling: of the class blocks, (in training, in evaluation).
        loss: weights and policies.
        shared: the arguments of :class:`VisionLanguageModel`.
    """

    stages: ClassVar = {
        "image_encoder": ("vision_language.image",),
        "guidance": ("guidance_encoder.forward",),
        "cost_volume": ("_cost", "cost_embedding.forward"),
        "spatial": ("refinement.*.spatial.forward",),
        "class": ("refinement.*.classes.forward",),
        "decoder": ("decoder.forward",),
    }

    @configurable
    def __init__(
        self,
        *,
        vision_normalization: PixelNormalization,
        guidance_encoder: GuidanceEncoder | None,
        guidance_normalization: PixelNormalization,
        guidance_size: int,
        rotations: Sequence[int],
        cost_embedding: CostEmbedding,
        spatial_guidance: GuidanceProjection,
        text_guidance: nn.Module,
        decoder_guidance: nn.ModuleList,
        refinement: nn.ModuleList,
        decoder: UpsamplingDecoder,
        text_gate: TextGate | None = None,
        read_rotations: Sequence[int] = (),
        back_projection: SemanticBackProjection | None,
        back_target: Literal["guidance", "clip", "rgb", "none"],
        max_classes: int,
        pooling: tuple[int, int],
        loss: LossSettings,
        **shared: Any,
    ) -> None:
        super().__init__(**shared)
        self.vision_normalization = vision_normalization
        self.guidance_encoder = guidance_encoder
        self.guidance_normalization = guidance_normalization
        self.guidance_size = guidance_size
        self.rotations = tuple(rotations)
        self.read_rotations = tuple(read_rotations)
        self.cost_embedding = cost_embedding
        self.spatial_guidance = spatial_guidance
        self.text_guidance = text_guidance
        self.decoder_guidance = decoder_guidance
        self.refinement = refinement
        self.decoder = decoder
        self.text_gate = text_gate
        self.back_projection = back_projection
        self.back_target = back_target
        self.max_classes = max_classes
        self.pooling = pooling
        self.loss = loss
        self.vision_language.logit_scale.requires_grad_(loss.alignment_weight > 0)

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        """Build every part from a configuration (see ovrs/config.py)."""
        return aeroseg_parts(cfg)

    # ------------------------------------------------------------ section 3.1

    def logits(self, images: Tensor, text: Tensor) -> Tensor:
        """See the base class. Above ``max_classes`` rows, the rows left out of an image score -100."""
        refined, kept = self._refine(images, text)
        logits = self.decoder(refined.phi, refined.decoder_guidance, chunk=self.class_chunk)
        if kept is None:
            return logits
        every = logits.new_full((len(logits), text.shape[-3], *logits.shape[2:]), LEFT_OUT)
        return every.scatter_(1, kept[:, :, None, None].expand_as(logits), logits)

    def _refine(self, images: Tensor, text: Tensor) -> tuple[Refined, Tensor | None]:
        """Everything before the decoder; with the indices [B, K] of the rows that were aggregated, if not all."""
        turns = self.rotations if self.training else self.read_rotations or self.rotations
        ensemble, taps = rotation_ensemble(self._encode, self.vision_normalization(images), turns)  # eq. 1
        dense = ensemble[:, 0]
        cost, kept = self._cost(ensemble, text)
        text_guidance = self.text_guidance(average_prompts(text)).expand(len(images), -1, -1)  # P_l(F_l mean)
        if kept is not None:
            text_guidance = text_guidance.gather(1, kept[:, :, None].expand(-1, -1, text_guidance.shape[-1]))
        views = None if turns == self.rotations else [self.rotations.index(turn) for turn in turns]
        phi = self.cost_embedding(cost, views=views, chunk=self.class_chunk)  # eq. 4

        first, second, third = self._guidance(images, taps, dense)  # F_g^1, F_g^2, F_g^3
        height, width = cost.shape[-2:]
        spatial_guidance = self.spatial_guidance(third, (height, width))  # P_v(F_g^3)
        pooling = self.pooling[0] if self.training else self.pooling[1]
        for block in self.refinement:  # eqs. 5 and 6
            phi = block(phi, spatial_guidance, text_guidance, pooling=pooling, chunk=self.class_chunk)
        if self.text_gate is not None:  # not in the paper
            phi = phi * self.text_gate(spatial_guidance, text_guidance).unsqueeze(-1)
        decoder_guidance = [
            project(features, (scale * height, scale * width))
            for project, features, scale in zip(self.decoder_guidance, (second, first), (2, 4), strict=True)
        ]
        return Refined(cost, phi, decoder_guidance, third, dense), kept

    def _cost(self, ensemble: Tensor, text: Tensor) -> tuple[Tensor, Tensor | None]:
        """Eq. 3 [B, R*P, N, H, W]; above ``max_classes`` rows that of the best matching K, and which they are [B, K]."""
        cost = cost_volume(ensemble, text)
        if not self.max_classes or cost.shape[2] <= self.max_classes:
            return cost, None
        kept = best_matching(cost, self.max_classes)
        return cost.gather(2, kept[:, None, :, None, None].expand(-1, cost.shape[1], -1, *cost.shape[-2:])), kept

    def _encode(self, views: Tensor) -> tuple[Tensor, ...]:
        features = self.vision_language.image(views)
        return features.dense, *features.taps

    def _guidance(self, images: Tensor, taps: tuple[Tensor, ...], dense: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """F_g^1, F_g^2 and F_g^3 of the unrotated image (eq. 1 turns only what the vision-language encoder sees)."""
        if self.guidance_encoder is None:
            # CAT-Seg gives its *earlier* block to the first decoder stage: the reverse of what AerOSeg does with SAM's.
            earlier, later = taps
            return later, earlier, dense
        first, second, third = read_guidance(self.guidance_encoder, self.guidance_normalization, images, self.guidance_size)
        return first, second, third

    # ------------------------------------------------------------ section 3.2

    def losses(self, images: Tensor, text: Tensor, target: Tensor) -> dict[str, Tensor]:
        """L_bce + L_sem (eq. 14), and the alignment loss where it has a weight."""
        refined, kept = self._refine(images, text)
        classes = text.shape[-3]
        if kept is not None:
            raise ConfigError(f"{classes} training classes are more than MODEL.MAX_CLASSES ({self.max_classes}); raise it")
        logits = self.decoder(refined.phi, refined.decoder_guidance)
        settings = self.loss
        bce = segmentation_loss(logits, target, ignored=settings.ignored, reduction=settings.reduction)
        losses = {"loss_bce": settings.bce_weight * bce}
        if self.back_projection is not None and settings.semantic_weight:
            if self.back_projection.classes not in (0, classes):
                raise ConfigError(
                    f"back-projection is built for {self.back_projection.classes} training classes and these are {classes}; "
                    "MODEL.BACK_PROJECTION.POOL_CLASSES True trains on any number"
                )
            psi = self.back_projection(refined.phi)  # eq. 7
            aim = self._reconstruction_target(refined, images, psi.shape[1:3])
            losses["loss_sem"] = settings.semantic_weight * semantic_loss(psi, aim, reduction=settings.semantic_reduction)
        if settings.alignment_weight:
            scale = self.vision_language.logit_scale.exp().clamp(max=100)
            losses["loss_align"] = settings.alignment_weight * alignment_loss(refined.cost, target, scale)
        return losses

    def _reconstruction_target(self, refined: Refined, images: Tensor, size: torch.Size) -> Tensor:
        """What psi must reproduce, at the grid of the cost features [B, H, W, C]; Table 5 compares the three."""
        if self.back_target == "rgb":
            features = self.vision_normalization(images)
        else:
            features = refined.dense if self.back_target == "clip" else refined.guidance
        return resize_nearest(features, (size[0], size[1])).permute(0, 2, 3, 1)
