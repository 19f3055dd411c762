"""Published checkpoints of whole systems: CAT-Seg's. OVRS and AerOSeg have published none."""

from __future__ import annotations

from ovrs.modeling.published.entry import CLIP, PublishedWeights


def _catseg(name: str, model: str, size: int, patch: int, megabytes: int) -> PublishedWeights:
    return PublishedWeights(
        name=f"catseg/{name}",
        part="system",
        architecture="catseg",
        address=f"https://huggingface.co/spaces/hamacojr/CAT-Seg-weights/resolve/main/model_{model}.pth",
        file=f"catseg_{model}.pth",
        licence="MIT, of the repository",
        source="Cho et al., CAT-Seg: Cost Aggregation for Open-Vocabulary Semantic Segmentation, CVPR 2024",
        normalization=CLIP,
        size=size,
        patch=patch,
        megabytes=megabytes,
    )


SYSTEMS: tuple[PublishedWeights, ...] = (
    _catseg("ViT-B-16", "base", 384, 16, 819),
    _catseg("ViT-L-14-336", "large", 336, 14, 2300),
)
