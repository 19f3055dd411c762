"""CLIP and SigLIP of open_clip as vision-language encoders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import open_clip
import torch
from open_clip.timm_model import TimmModel
from open_clip.transformer import VisionTransformer

from ovrs.errors import ConfigError
from ovrs.modeling.encoders.clip_image import ClipImage
from ovrs.modeling.encoders.siglip_image import SiglipImage
from ovrs.modeling.encoders.siglip_text import FolderTokenizer, SiglipText
from ovrs.modeling.encoders.text import ClipText
from ovrs.modeling.encoders.vision_language import TrainMode, VisionLanguageEncoder


def build_open_clip(
    name: str, *, taps: Sequence[int] = (), train: TrainMode = "attention", tokenizer: str = ""
) -> VisionLanguageEncoder:
    """A CLIP or SigLIP of open_clip's list by architecture name, random weights; checkpoints are read by
    ``ovrs.modeling.checkpoints``.

    Args:
        tokenizer: the folder of SigLIP's tokenizer, wanted when the first text is read; CLIP's comes with open_clip.

    Raises:
        ConfigError: open_clip has no such architecture, or it has no dense path that ovrs reads.
    """
    if name not in open_clip.list_models():
        raise ConfigError(f"open_clip knows no architecture {name!r}; open_clip.list_models() names them")
    # open_clip moves what it built to a device, the CPU unless told: that of a surrounding `with torch.device` counts here too.
    device = torch.get_default_device()
    config = open_clip.get_model_config(name)["text_cfg"]
    if "hf_model_name" in config:
        raise ConfigError(f"{name}: a text tower of Hugging Face's; ovrs reads those of CLIP and SigLIP")
    model = open_clip.create_model(name, device=device, pretrained=None, pretrained_image=False, pretrained_hf=False)
    try:
        return from_open_clip(model, _tokenizer(name, config, tokenizer), taps=taps, train=train)
    except ConfigError as error:
        raise ConfigError(f"{name}: {error}") from error


def from_open_clip(
    model: Any, tokenizer: Any, *, taps: Sequence[int] = (), train: TrainMode = "freeze"
) -> VisionLanguageEncoder:
    """The towers of an open_clip model, which is used up.

    Args:
        tokenizer: a list of strings to token numbers [N, L].

    Raises:
        ConfigError: neither CLIP's vision transformer nor SigLIP's.
    """
    if isinstance(model.visual, VisionTransformer):
        return VisionLanguageEncoder(visual=ClipImage(model.visual), text=ClipText(model, tokenizer), taps=taps, train=train)
    if isinstance(model.visual, TimmModel):
        siglip = SiglipImage(model.visual)
        return VisionLanguageEncoder(visual=siglip, text=SiglipText(model.text, tokenizer), taps=taps, train=train)
    kind = type(model.visual).__name__
    raise ConfigError(f"only plain CLIP vision transformers and SigLIP's have the dense path that ovrs reads, not {kind}")


def _tokenizer(name: str, text: Mapping[str, Any], folder: str) -> Any:
    if "hf_tokenizer_name" not in text:
        return open_clip.get_tokenizer(name)
    clean = text.get("tokenizer_kwargs", {}).get("clean", "whitespace")
    sizes = {"vocabulary": text["vocab_size"], "context_length": text["context_length"]}
    return FolderTokenizer(folder, published=text["hf_tokenizer_name"], clean=clean, **sizes)
