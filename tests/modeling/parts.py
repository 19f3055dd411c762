"""Tiny systems of the real classes, with words hashed to vectors instead of read by a language model."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import torch
from open_clip.transformer import VisionTransformer
from timm.models.vision_transformer import VisionTransformer as TimmTransformer
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from ovrs.modeling.aeroseg import AerOSeg
from ovrs.modeling.blocks.adaptive_noise import AdaptiveNoise
from ovrs.modeling.blocks.back_projection import SemanticBackProjection
from ovrs.modeling.blocks.category_head import CategoryAdaptiveHead, CosineHead, GatedDecoderHead
from ovrs.modeling.blocks.class_refinement import ClassRefinement
from ovrs.modeling.blocks.correlation_fusion import CorrelationFusion
from ovrs.modeling.blocks.cost_volume import CostEmbedding
from ovrs.modeling.blocks.cross_scale import CrossScaleInteraction
from ovrs.modeling.blocks.dual_stream import DualStreamFusion
from ovrs.modeling.blocks.guidance_projection import GuidanceProjection
from ovrs.modeling.blocks.multi_scale_alignment import MultiScaleAlignment
from ovrs.modeling.blocks.multi_scale_refinement import MultiScaleRefinement, TopDownDecoder
from ovrs.modeling.blocks.refinement import RefinementBlock
from ovrs.modeling.blocks.spatial_refinement import SpatialRefinement
from ovrs.modeling.blocks.text_gate import TextGate
from ovrs.modeling.blocks.upsampling import UpsamplingDecoder
from ovrs.modeling.encoders.clip_image import ClipImage
from ovrs.modeling.encoders.guidance import SamGuidance, build_sam_encoder
from ovrs.modeling.encoders.swin import build_small_swin
from ovrs.modeling.encoders.text_tokens import TextEncoder, TextTokens
from ovrs.modeling.encoders.vision_language import VisionLanguageEncoder
from ovrs.modeling.encoders.vit_guidance import VitGuidance
from ovrs.modeling.losses import LossSettings
from ovrs.modeling.mafn import MAFN
from ovrs.modeling.prompts import TEMPLATES
from ovrs.modeling.rs_zeroseg import RSZeroSeg
from ovrs.modeling.segmentation_model import PixelNormalization
from ovrs.modeling.windows import InferenceSettings
from ovrs.vocabulary import Vocabulary

PATCH = 8
WORDS = Vocabulary.parse("ship,bridge,water")


def picture(height: int = 32, width: int = 32, seed: int = 0) -> Tensor:
    """An image of noise."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (3, height, width), generator=generator, dtype=torch.uint8)


def batch(count: int = 2, vocabulary: Vocabulary = WORDS, size: int = 32) -> list[dict[str, Any]]:
    """Images of noise with labels of noise."""

    def target(seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        return torch.randint(0, vocabulary.num_classes, (size, size), generator=generator)

    return [{"image": picture(size, size, i), "sem_seg": target(i), "vocabulary": vocabulary} for i in range(count)]


class HashedText(nn.Module):
    """A text tower whose vectors depend on the string alone, through one trainable matrix."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.projection = nn.Linear(16, dim, bias=False)
        self.calls = 0

    @property
    def dim(self) -> int:
        return self.projection.out_features

    def forward(self, texts: Sequence[str]) -> Tensor:
        self.calls += 1
        seeds = [int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "little") for text in texts]
        noise = [torch.randn(16, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
        return self.projection(torch.stack(noise))


def tiny_vision_language(train: str = "full", taps: Sequence[int] = (), layers: int = 3) -> VisionLanguageEncoder:
    """Three blocks of width 32 on a 4 x 4 grid of patches of 8."""
    visual = VisionTransformer(image_size=32, patch_size=PATCH, width=32, layers=layers, heads=2, mlp_ratio=2.0, output_dim=24)
    return VisionLanguageEncoder(visual=ClipImage(visual), text=HashedText(24), taps=taps, train=train)  # type: ignore[arg-type]


def tiny_sam(layers: Sequence[int | str] = (1, 2, 3), train: str = "freeze") -> SamGuidance:
    """SAM's encoder with three blocks of width 16, the second global."""
    encoder = build_sam_encoder(depth=3, width=16, heads=2, global_blocks=(1,), image_size=128, window=3)
    nn.init.normal_(encoder.pos_embed, std=0.1)
    guidance = SamGuidance(encoder, layers)
    guidance.set_trainable(train)  # type: ignore[arg-type]
    return guidance


def tiny_aeroseg(*, guidance: str = "sam", train: str = "full", seed: int = 0, **changes: Any) -> AerOSeg:
    """A whole AerOSeg of some 100,000 parameters; ``changes`` replace constructor arguments."""
    torch.manual_seed(seed)
    vision_language = tiny_vision_language(train, taps=(1, 2) if guidance == "clip" else ())
    encoder = tiny_sam() if guidance == "sam" else None
    channels = [16, 16, 16] if encoder else [32, 32, 24]
    templates, rotations = TEMPLATES["remote_sensing"], (0, 1, 2, 3)
    arguments: dict[str, Any] = {
        "vision_language": vision_language,
        "templates": templates,
        "inference": InferenceSettings(mode="sliding", tile=32, overlap=0.5),
        "vision_normalization": PixelNormalization([120.0] * 3, [60.0] * 3),
        "guidance_encoder": encoder,
        "guidance_normalization": PixelNormalization([110.0] * 3, [50.0] * 3),
        "guidance_size": 0,
        "rotations": rotations,
        "cost_embedding": CostEmbedding(channels=len(templates) * len(rotations), dim=32, kernel=3),
        "spatial_guidance": GuidanceProjection(channels=channels[2], dim=16),
        "text_guidance": nn.Sequential(nn.Linear(24, 16), nn.ReLU()),
        "decoder_guidance": nn.ModuleList(
            GuidanceProjection(channels=width, dim=8, upsample="nearest" if encoder else "deconv", scale=scale)
            for width, scale in zip((channels[1], channels[0]), (2, 4), strict=True)
        ),
        "refinement": nn.ModuleList(
            RefinementBlock(
                spatial=SpatialRefinement(dim=32, guidance_dim=16, heads=2, window=2),
                classes=ClassRefinement(dim=32, text_dim=16, heads=2, padding=12),
            )
            for _ in range(2)
        ),
        "decoder": UpsamplingDecoder(dim=32, dims=[16, 16], guidance_dims=[8, 8]),
        "back_projection": SemanticBackProjection(classes=3, dim=32, hidden=[16, 16], target_dim=channels[2]),
        "back_target": "guidance",
        "max_classes": 256,
        "pooling": (1, 1),
        "loss": LossSettings(),
        "class_chunk": 2,
    }
    arguments.update(changes)
    return AerOSeg(**arguments)


def tiny_vit(layers: Sequence[int] = (2,), train: str = "freeze") -> VitGuidance:
    """A plain vision transformer of timm with two blocks of width 16, patches of 4: a grid twice as fine as the other's."""
    encoder = TimmTransformer(
        img_size=32, patch_size=4, embed_dim=16, depth=2, num_heads=2, num_classes=0, dynamic_img_size=True
    )
    guidance = VitGuidance(encoder, "tiny_vit_dino", layers)
    guidance.set_trainable(train)  # type: ignore[arg-type]
    return guidance


def tiny_head(name: str) -> nn.Module:
    """A head of RS-ZeroSeg by its name in a configuration."""
    gate = TextGate(text_dim=24, feature_dim=16, dim=24)
    if name == "decoder":
        return GatedDecoderHead.build(gate=gate, dim=16, kernel=3, dims=[16, 16], guidance_dims=[8, 8], attention=True)
    return CosineHead(gate=gate) if name == "cosine" else CategoryAdaptiveHead(gate=gate, dim=16, hidden=16)


def tiny_rs_zeroseg(
    *, train: str = "full", remote: str = "freeze", head: str = "carh", seed: int = 0, **changes: Any
) -> RSZeroSeg:
    """A whole RS-ZeroSeg; ``changes`` replace constructor arguments."""
    torch.manual_seed(seed)
    arguments: dict[str, Any] = {
        "vision_language": tiny_vision_language(train),
        "templates": TEMPLATES["remote_sensing"],
        "inference": InferenceSettings(mode="sliding", tile=32, overlap=0.5),
        "vision_normalization": PixelNormalization([120.0] * 3, [60.0] * 3),
        "guidance_encoder": tiny_vit(train=remote),
        "guidance_normalization": PixelNormalization([110.0] * 3, [50.0] * 3),
        "guidance_size": 0,
        "fusion": DualStreamFusion(vision_dim=24, remote_dim=16, dim=32),
        "multi_scale": MultiScaleAlignment(dim=32, out_dim=16, heads=2, scales=(2, 1, 0.5)),
        "head": tiny_head(head),
        "text_projection": nn.Linear(16, 24),
        "align_loss": "image",
        "align_loss_weight": 0.2,
        "ignored": "mask",
        "reduction": "mean",
        "class_chunk": 2,
    }
    arguments.update(changes)
    return RSZeroSeg(**arguments)


def randomize(module: nn.Module, seed: int = 0) -> nn.Module:
    """Give every parameter a random value, so that nothing is hidden behind zeros."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.2)
    return module


class HashedTokens(TextEncoder):
    """A sentence's words as tokens whose vectors depend on the word alone, through one trainable matrix."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.words = HashedText(dim)
        self.dim = dim
        self.most_tokens = 64

    def count_tokens(self, text: str) -> int:
        return max(len(text.split()), 1)

    def forward(self, texts: Sequence[str]) -> TextTokens:
        sentences = [(text.split() or ["."]) for text in texts]
        lengths = torch.tensor([len(words) for words in sentences])
        tokens = pad_sequence([self.words(words) for words in sentences], batch_first=True)
        mask = torch.arange(tokens.shape[1]) < lengths[:, None]
        return TextTokens(tokens, mask, tokens[:, 0])

    def set_trainable(self, train: str) -> None:
        self.requires_grad_(train == "full")


def tiny_mafn(*, decoder_input: str = "fused", noise: bool = True, stages: int = 4, **changes: Any) -> MAFN:
    """Swin stages from 16 channels on, with windows of 2; words of 24 channels."""
    torch.manual_seed(0)
    swin = build_small_swin(width=16, depths=(1, 1, 2, 1)[:stages], heads=(1, 1, 2, 2)[:stages], window=2)
    if noise:
        swin.wrap_attention(lambda dim: AdaptiveNoise(dim=dim, heads=2))
    last = len(swin.channels) - 1
    fusions = [
        CorrelationFusion(dim=dim, text_dim=24, decoder_input=decoder_input, last=number == last)
        for number, dim in enumerate(swin.channels)
    ]
    parts: dict[str, Any] = {
        "normalization": PixelNormalization([127.0] * 3, [64.0] * 3),
        "image_encoder": swin,
        "text_encoder": HashedTokens(24),
        "fusions": nn.ModuleList(fusions),
        "cross_scale": CrossScaleInteraction(dims=swin.channels, grid=(3, 3), heads=2, head_dim=8),
        "decoder": TopDownDecoder(dims=swin.channels, dim=16, refine=lambda dim: MultiScaleRefinement(dim=dim, dropout=0.0)),
        "templates": ("{}",),
    }
    return MAFN(**(parts | changes))


def pairs(count: int = 2, bands: int = 1, height: int = 32, width: int = 32) -> list[dict[str, Any]]:
    """Images of noise with SAR of noise, labels of noise and a description each."""
    entries = []
    for number in range(count):
        generator = torch.Generator().manual_seed(number)
        entries.append(
            {
                "image": picture(height, width, number),
                "sar": torch.rand(bands, height, width, generator=generator) * 255,
                "sem_seg": torch.randint(0, WORDS.num_classes, (height, width), generator=generator),
                "vocabulary": WORDS,
                "description": ("a river town after a flood", "a harbour with many ships")[number % 2],
            }
        )
    return entries
