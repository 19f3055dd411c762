"""Published guidance encoders.

The six digits in the names of SAM's files are the first of their MD5. Architectures, normalisations and licences of the models
of timm are those of its own table; their files are those of its hub, which are safetensors.
"""

from __future__ import annotations

from ovrs.modeling.published.entry import HALF, IMAGENET, Channels, PublishedWeights

_META = "https://dl.fbaipublicfiles.com"
_HUB = "https://huggingface.co"

# Of DINOv3's satellite images.
_SATELLITE: tuple[Channels, Channels] = ((109.65, 104.805, 75.48), (54.315, 39.78, 36.465))
_DINOV3 = "Siméoni et al., DINOv3, arXiv:2508.10104"


def _sam(letter: str, md5: str, megabytes: int) -> PublishedWeights:
    file = f"sam_vit_{letter}_{md5}.pth"
    return PublishedWeights(
        name=f"sam/ViT-{letter.upper()}",
        part="guidance",
        architecture=f"sam_vit_{letter}",
        address=f"{_META}/segment_anything/{file}",
        file=file,
        licence="Apache-2.0",
        source="Kirillov et al., Segment Anything, ICCV 2023",
        normalization=IMAGENET,
        size=1024,
        patch=16,
        megabytes=megabytes,
        md5=md5,
    )


def _sam2(version: str, letters: str, model: str, megabytes: int, sha256: str = "") -> PublishedWeights:
    file = f"sam{version}_hiera_{model}.pt"
    return PublishedWeights(
        name=f"sam{version}/Hiera-{letters}",
        part="guidance",
        architecture=f"timm:sam2_hiera_{model}",
        address=f"{_HUB}/facebook/sam{version}-hiera-{model.replace('_', '-')}/resolve/main/{file}",
        file=file,
        licence="Apache-2.0",
        source="Ravi et al., SAM 2: Segment Anything in Images and Videos, arXiv:2408.00714",
        normalization=IMAGENET,
        size=1024,
        patch=4,
        megabytes=megabytes,
        sha256=sha256,
    )


def _timm(
    name: str,
    model: str,
    *,
    size: int,
    patch: int,
    megabytes: int,
    source: str,
    licence: str = "Apache-2.0",
    normalization: tuple[Channels, Channels] = IMAGENET,
    gsd: float | None = None,
    tagged: bool = False,
    sha256: str = "",
) -> PublishedWeights:
    # With timm's tag only where the architecture's name does not tell how positions are resized.
    return PublishedWeights(
        name=name,
        part="guidance",
        architecture=f"timm:{model if tagged else model.split('.')[0]}",
        address=f"{_HUB}/timm/{model}/resolve/main/model.safetensors",
        file=f"{model}.safetensors",
        licence=licence,
        source=source,
        normalization=normalization,
        size=size,
        patch=patch,
        megabytes=megabytes,
        gsd=gsd,
        sha256=sha256,
    )


def _dino(patch: int, sha256: str = "") -> PublishedWeights:
    return _timm(
        f"dino/ViT-B-{patch}",
        f"vit_base_patch{patch}_224.dino",
        size=224,
        patch=patch,
        megabytes=343,
        source="Caron et al., Emerging Properties in Self-Supervised Vision Transformers, ICCV 2021",
        tagged=True,
        sha256=sha256,
    )


def _dinov2(model: str, patches: str, megabytes: int) -> PublishedWeights:
    registers = "reg4" in model
    paper = "Darcet et al., Vision Transformers Need Registers, ICLR 2024" if registers else "Oquab et al., DINOv2, TMLR 2024"
    name = f"dinov2/{patches}{'-registers' if registers else ''}"
    return _timm(name, f"{model}.lvd142m", size=518, patch=14, megabytes=megabytes, source=paper)


def _perception(name: str, model: str, size: int, patch: int, megabytes: int) -> PublishedWeights:
    return _timm(
        name,
        f"{model}.fb",
        size=size,
        patch=patch,
        megabytes=megabytes,
        source="Bolya et al., Perception Encoder, arXiv:2504.13181",
        normalization=HALF,
    )


GUIDANCE: tuple[PublishedWeights, ...] = (
    _sam("b", "01ec64", 375),
    _sam("l", "0b3195", 1250),
    _sam("h", "4b8939", 2565),
    _sam2("2", "B+", "base_plus", 323, "d0bb7f236400a49669ffdd1be617959a8b1d1065081789d7bbff88eded3a8071"),
    _sam2("2", "L", "large", 898),
    _sam2("2.1", "B+", "base_plus", 324),
    _sam2("2.1", "L", "large", 898),
    _dino(8),
    _dino(16, "93181583427d6de3e18ab0e6ee4df35736cfc51a3c1bf9ae0e9b53b1316598dc"),
    _dinov2("vit_base_patch14_dinov2", "ViT-B-14", 346),
    _dinov2("vit_base_patch14_reg4_dinov2", "ViT-B-14", 346),
    _dinov2("vit_large_patch14_dinov2", "ViT-L-14", 1217),
    _dinov2("vit_large_patch14_reg4_dinov2", "ViT-L-14", 1217),
    _timm(
        "dinov3/ViT-B-16",
        "vit_base_patch16_dinov3.lvd1689m",
        size=256,
        patch=16,
        megabytes=343,
        source=_DINOV3,
        licence="DINOv3 License",
    ),
    _timm(
        "dinov3/ViT-L-16",
        "vit_large_patch16_dinov3.lvd1689m",
        size=256,
        patch=16,
        megabytes=1212,
        source=_DINOV3,
        licence="DINOv3 License",
    ),
    _timm(
        "dinov3/ViT-L-16-satellite",
        "vit_large_patch16_dinov3.sat493m",
        size=256,
        patch=16,
        megabytes=1212,
        source=_DINOV3,
        licence="DINOv3 License",
        normalization=_SATELLITE,
        gsd=0.6,
    ),
    _perception("pe-spatial/ViT-B-16", "vit_pe_spatial_base_patch16_512", 512, 16, 346),
    _perception("pe-spatial/ViT-L-14", "vit_pe_spatial_large_patch14_448", 448, 14, 1216),
    _perception("pe-core/ViT-L-14", "vit_pe_core_large_patch14_336", 336, 14, 1264),
)
