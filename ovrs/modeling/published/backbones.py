"""Published encoders of images alone and of sentences alone.

Swin-B is the one that referring segmentation starts from, pre-trained on ImageNet-22K; Microsoft publishes it at
https://github.com/SwinTransformer/storage/releases/download/v1.0.0/swin_base_patch4_window12_384_22k.pth, which loads by path.
"""

from __future__ import annotations

from ovrs.modeling.published.entry import IMAGENET, PublishedWeights

_HUB = "https://huggingface.co"
_SWIN = "swin_base_patch4_window12_384"

BACKBONES: tuple[PublishedWeights, ...] = (
    PublishedWeights(
        name="swin/B-12-384",
        part="image",
        architecture=f"timm:{_SWIN}",
        address=f"{_HUB}/timm/{_SWIN}.ms_in22k/resolve/main/model.safetensors",
        file=f"{_SWIN}.ms_in22k.safetensors",
        licence="MIT",
        source="Liu et al., Swin Transformer, ICCV 2021",
        normalization=IMAGENET,
        size=384,
        patch=4,
        megabytes=450,
    ),
    PublishedWeights(
        name="bert/base-uncased",
        part="text",
        architecture="bert",
        address=f"{_HUB}/google-bert/bert-base-uncased/resolve/main/model.safetensors",
        file="bert-base-uncased/model.safetensors",
        licence="Apache-2.0",
        source="Devlin et al., BERT: Pre-training of Deep Bidirectional Transformers for Language Understanding, NAACL 2019",
        normalization=None,
        size=0,
        patch=0,
        megabytes=440,
        beside=("config.json", "vocab.txt"),
    ),
)
