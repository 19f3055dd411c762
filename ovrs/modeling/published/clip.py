"""Published vision-language encoders.

Addresses, architectures and normalisations of OpenAI, LAION, DataComp and SigLIP are those of ``open_clip.pretrained``; the
digits in OpenAI's addresses are the files' sha256. Sizes are those that the pages show.
"""

from __future__ import annotations

from ovrs.modeling.published.entry import CLIP, HALF, Channels, PublishedWeights

_HUB = "https://huggingface.co"
_SKYSCRIPT = "https://opendatasharing.s3.us-west-2.amazonaws.com/SkyScript/ckpt"


def _openai(name: str, size: int, patch: int, sha256: str, megabytes: int, file: str = "") -> PublishedWeights:
    file = file or f"{name}.pt"
    return PublishedWeights(
        name=f"openai/{name}",
        part="vision_language",
        architecture=f"{name}-quickgelu",
        address=f"https://openaipublic.azureedge.net/clip/models/{sha256}/{file}",
        file=f"openai-{file}",
        licence="MIT",
        source="Radford et al., Learning Transferable Visual Models From Natural Language Supervision, ICML 2021",
        normalization=CLIP,
        size=size,
        patch=patch,
        megabytes=megabytes,
        sha256=sha256,
    )


def _laion(
    family: str, name: str, repository: str, patch: int, megabytes: int, normalization: tuple[Channels, Channels] = CLIP
) -> PublishedWeights:
    sources = {
        "laion2b": "Cherti et al., Reproducible scaling laws for contrastive language-image learning, CVPR 2023",
        "datacomp": "Gadre et al., DataComp: In search of the next generation of multimodal datasets, NeurIPS 2023",
    }
    return PublishedWeights(
        name=f"{family}/{name}",
        part="vision_language",
        architecture=name,
        address=f"{_HUB}/laion/{repository}/resolve/main/open_clip_pytorch_model.bin",
        file=f"{repository}.bin",
        licence="MIT",
        source=sources[family],
        normalization=normalization,
        size=224,
        patch=patch,
        megabytes=megabytes,
    )


def _siglip(architecture: str, size: int, patch: int, megabytes: int) -> PublishedWeights:
    family = "siglip2" if "SigLIP2" in architecture else "siglip"
    sources = {
        "siglip": "Zhai et al., Sigmoid Loss for Language Image Pre-Training, ICCV 2023",
        "siglip2": "Tschannen et al., SigLIP 2: Multilingual Vision-Language Encoders, arXiv:2502.14786",
    }
    return PublishedWeights(
        name=f"{family}/{architecture.replace('-SigLIP2', '').replace('-SigLIP', '')}",
        part="vision_language",
        architecture=architecture,
        address=f"{_HUB}/timm/{architecture}/resolve/main/open_clip_model.safetensors",
        file=f"{architecture}/open_clip_model.safetensors",
        licence="Apache-2.0",
        source=sources[family],
        normalization=HALF,
        size=size,
        patch=patch,
        megabytes=megabytes,
        beside=("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"),
    )


def _aerial(
    name: str, architecture: str, address: str, file: str, *, size: int = 224, megabytes: int = 0, member: str = ""
) -> PublishedWeights:
    family, model = name.split("/")
    licences = {"remoteclip": "", "georsclip": "Creative Commons, no version named", "skyclip": "MIT, of the repository"}
    sources = {
        "remoteclip": "Liu et al., RemoteCLIP, arXiv:2306.11029; loaded as its page does, with the plain GELU",
        "georsclip": "Zhang et al., RS5M and GeoRSCLIP, arXiv:2306.11300; trained on from OpenAI's",
        "skyclip": "Wang et al., SkyScript, arXiv:2312.12856; B/32 trained on from LAION-2B's, L/14 from OpenAI's",
    }
    return PublishedWeights(
        name=name,
        part="vision_language",
        architecture=architecture,
        address=address,
        file=file,
        licence=licences[family],
        source=sources[family],
        normalization=CLIP,
        size=size,
        patch=int(model.split("-")[2]),
        megabytes=megabytes,
        member=member,
    )


VISION_LANGUAGE: tuple[PublishedWeights, ...] = (
    _openai("ViT-B-32", 224, 32, "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af", 354),
    _openai("ViT-B-16", 224, 16, "5806e77cd80f8b59890b7e101eabd078d9fb84e6937f9e85e4ecb61988df416f", 351),
    _openai("ViT-L-14", 224, 14, "b8cca3fd41ae0c99ba7e8951adf17d267cdb84cd88be6f7c2e0eca1737a03836", 933),
    _openai(
        "ViT-L-14-336", 336, 14, "3035c92b350959924f9f00213499208652fc7ea050643e8b385c2dac08641f02", 934, "ViT-L-14-336px.pt"
    ),
    _laion("laion2b", "ViT-B-32", "CLIP-ViT-B-32-laion2B-s34B-b79K", 32, 605),
    _laion("laion2b", "ViT-B-16", "CLIP-ViT-B-16-laion2B-s34B-b88K", 16, 599),
    _laion("laion2b", "ViT-L-14", "CLIP-ViT-L-14-laion2B-s32B-b82K", 14, 1710, HALF),
    _laion("datacomp", "ViT-B-32", "CLIP-ViT-B-32-DataComp.XL-s13B-b90K", 32, 605),
    _laion("datacomp", "ViT-B-16", "CLIP-ViT-B-16-DataComp.XL-s13B-b90K", 16, 599),
    _laion("datacomp", "ViT-L-14", "CLIP-ViT-L-14-DataComp.XL-s13B-b90K", 14, 1710),
    _siglip("ViT-B-16-SigLIP", 224, 16, 813),
    _siglip("ViT-B-16-SigLIP-384", 384, 16, 814),
    _siglip("ViT-L-16-SigLIP-256", 256, 16, 2609),
    _siglip("ViT-L-16-SigLIP-384", 384, 16, 2610),
    _siglip("ViT-SO400M-14-SigLIP", 224, 14, 3509),
    _siglip("ViT-SO400M-14-SigLIP-384", 384, 14, 3512),
    _siglip("ViT-B-16-SigLIP2", 224, 16, 1501),
    _siglip("ViT-B-16-SigLIP2-384", 384, 16, 1502),
    _siglip("ViT-L-16-SigLIP2-256", 256, 16, 3526),
    _siglip("ViT-L-16-SigLIP2-384", 384, 16, 3527),
    _siglip("ViT-SO400M-14-SigLIP2", 224, 14, 4542),
    _siglip("ViT-SO400M-14-SigLIP2-378", 378, 14, 4544),
    *(
        _aerial(
            f"remoteclip/{model}",
            model,
            f"{_HUB}/chendelong/RemoteCLIP/resolve/main/RemoteCLIP-{model}.pt",
            f"RemoteCLIP-{model}.pt",
            megabytes=megabytes,
        )
        for model, megabytes in (("ViT-B-32", 605), ("ViT-L-14", 1710))
    ),
    *(
        _aerial(
            f"georsclip/{model}",
            f"{model}-quickgelu",
            f"{_HUB}/Zilun/GeoRSCLIP/resolve/main/ckpt/RS5M_{model}.pt",
            f"RS5M_{model}.pt",
            size=size,
            megabytes=megabytes,
        )
        for model, size, megabytes in (("ViT-B-32", 224, 605), ("ViT-L-14", 224, 1710), ("ViT-L-14-336", 336, 1710))
    ),
    *(
        _aerial(f"skyclip/{model}", architecture, f"{_SKYSCRIPT}/{stem}.zip", f"{stem}.pt", member=".pt")
        for model, architecture, stem in (
            ("ViT-B-32", "ViT-B-32", "SkyCLIP_ViT_B32_top50pct"),
            ("ViT-L-14", "ViT-L-14-quickgelu", "SkyCLIP_ViT_L14_top30pct"),
        )
    ),
)
