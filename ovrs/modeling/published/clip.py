"""Published vision-language encoders."""

from __future__ import annotations

from ovrs.modeling.published.entry import PublishedWeights

CLIP_MEAN = (122.7709383, 116.7460125, 104.09373615)
CLIP_STD = (68.5005327, 66.6321579, 70.3231630)

_OPENAI = "https://openaipublic.azureedge.net/clip/models"

VISION_LANGUAGE: tuple[PublishedWeights, ...] = (
    PublishedWeights(
        name="openai/ViT-B-16",
        part="vision_language",
        architecture="ViT-B-16-quickgelu",
        address=f"{_OPENAI}/5806e77cd80f8b59890b7e101eabd078d9fb84e6937f9e85e4ecb61988df416f/ViT-B-16.pt",
        file="openai-ViT-B-16.pt",
        licence="MIT",
        source="Radford et al., Learning Transferable Visual Models From Natural Language Supervision, ICML 2021",
        sha256="5806e77cd80f8b59890b7e101eabd078d9fb84e6937f9e85e4ecb61988df416f",
        mean=CLIP_MEAN,
        std=CLIP_STD,
        size=224,
        patch=16,
    ),
)
