"""Tiny models of every family of vision-language encoders, of the owning library's classes, and their published layouts."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import open_clip
import torch
from open_clip.model import CLIP, CustomTextCLIP
from parts import randomize
from timm.models import register_model
from timm.models.vision_transformer import VisionTransformer
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import Tensor

from ovrs.modeling.encoders.siglip_text import FolderTokenizer

PATCH = 8
SIGLIP_WORDS = ("a", "satellite", "image", "of", "the", "sea", "ship", "ground", "track", "field", "harbour", "town")


@register_model
def vit_tiny_patch8_siglip_32(num_classes: int, global_pool: str, **_of_pretrained: Any) -> VisionTransformer:
    """SigLIP's trunk as timm builds it, small."""
    sizes = {"img_size": 32, "patch_size": PATCH, "embed_dim": 48, "depth": 3, "num_heads": 3, "mlp_ratio": 2.0}
    return VisionTransformer(**sizes, class_token=False, num_classes=num_classes, global_pool=global_pool)


def tiny_clip(**changes: Any) -> CLIP:
    vision = {"image_size": 32, "layers": 3, "width": 64, "head_width": 32, "patch_size": PATCH}
    text = {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2}
    return CLIP(embed_dim=24, vision_cfg=vision, text_cfg=text, **changes).eval()


def tiny_siglip(**text: Any) -> CustomTextCLIP:
    """SigLIP 1 has the exact GELU in its text tower, SigLIP 2 the one by tanh; all else of open_clip's settings is shared."""
    settings = open_clip.get_model_config("ViT-B-16-SigLIP")
    trunk = {**settings["vision_cfg"], "timm_model_name": "vit_tiny_patch8_siglip_32", "image_size": 32}
    sizes = {"context_length": 16, "vocab_size": len(SIGLIP_WORDS) + 3, "width": 32, "heads": 2, "layers": 2}
    words = {**settings["text_cfg"], **sizes, **text}
    return CustomTextCLIP(embed_dim=48, vision_cfg=trunk, text_cfg=words, init_logit_bias=-10.0).eval()


def write_siglip_tokenizer(folder: Path) -> Path:
    """Words for pieces, laid out as the published SigLIP tokenizers are: an end token, which also fills up."""
    vocabulary = {"<unk>": 0, "</s>": 1, "<pad>": 2, **{word: number for number, word in enumerate(SIGLIP_WORDS, start=3)}}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    folder.mkdir(exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "</s>", "pad_token": "</s>", "unk_token": "<unk>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder


def siglip_tokenizer(folder: Path | str) -> FolderTokenizer:
    """What reads such a folder, for :func:`tiny_siglip`."""
    sizes = {"vocabulary": len(SIGLIP_WORDS) + 3, "context_length": 16}
    return FolderTokenizer(str(folder), published="timm/ViT-B-16-SigLIP", **sizes)


def plain(state: dict[str, Tensor]) -> Any:
    """A state dict as it is: RemoteCLIP, GeoRSCLIP, LAION's and DataComp's."""
    return state


def of_openai(state: dict[str, Tensor]) -> Any:
    """OpenAI's: half precision but for the norms, and three integers of the architecture."""
    integers = {"input_resolution": torch.tensor(32), "context_length": torch.tensor(77), "vocab_size": torch.tensor(49408)}
    norms = ("ln_", "logit_scale", "embedding")
    return {**{k: v if any(norm in k for norm in norms) else v.half() for k, v in state.items()}, **integers}


def of_training(state: dict[str, Tensor]) -> Any:
    """What open_clip's training leaves behind: SkyCLIP."""
    wrapped = {f"module.{name}": value for name, value in state.items()}
    return {"epoch": 20, "name": "run", "state_dict": wrapped, "optimizer": {"state": {}, "param_groups": []}}


def of_one_scale(state: dict[str, Tensor]) -> Any:
    """SigLIP's safetensors, whose scale and bias some exports write as lists of one."""
    return {name: value.reshape(1) if name.startswith("logit_") else value for name, value in state.items()}


@dataclass(frozen=True)
class Family:
    """One family: its model in the owning library, small, and how its weights are published."""

    name: str
    build: Callable[..., Any]
    layout: Callable[[dict[str, Tensor]], Any]
    suffix: str = ".pt"
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def siglip(self) -> bool:
        return self.build is tiny_siglip

    def model(self, seed: int) -> Any:
        """The owning library's model with random weights, which survive half precision where the family is published so."""
        model = randomize(self.build(**self.settings), seed)
        if self.layout is of_openai:
            model.load_state_dict({name: value.half().float() for name, value in model.state_dict().items()})
        return model

    def tokenizer(self, folder: Path) -> Any:
        if not self.siglip:
            return open_clip.get_tokenizer("ViT-B-16")
        return siglip_tokenizer(write_siglip_tokenizer(folder))


FAMILIES = (
    Family("OpenAI CLIP", tiny_clip, of_openai, settings={"quick_gelu": True}),
    Family("LAION and DataComp", tiny_clip, plain, suffix=".safetensors"),
    Family("RemoteCLIP", tiny_clip, plain),
    Family("GeoRSCLIP", tiny_clip, plain, settings={"quick_gelu": True}),
    Family("SkyCLIP", tiny_clip, of_training, settings={"quick_gelu": True}),
    Family("SigLIP", tiny_siglip, plain, suffix=".safetensors"),
    Family("SigLIP 2", tiny_siglip, of_one_scale, suffix=".safetensors", settings={"act_kwargs": {"approximate": "tanh"}}),
)
