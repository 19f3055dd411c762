"""Reading and writing weights: never by unpickling code, and never silently the wrong ones."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from ovrs.errors import OutputError, WeightsError
from ovrs.files import written_whole
from ovrs.modeling.encoders.clip_image import ClipImage
from ovrs.modeling.encoders.guidance import GuidanceEncoder, SamGuidance
from ovrs.modeling.encoders.siglip_image import SiglipImage
from ovrs.modeling.encoders.siglip_names import from_siglip_names
from ovrs.modeling.encoders.vision_language import VisionLanguageEncoder

SHOWN = 8


def read_state_dict(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Tensors by name from ``.safetensors``, or from a PyTorch file: plain, under "model" as Detectron2 writes them, or under
    "state_dict" as open_clip's training does.

    Where a training kept a running average of its weights beside them ("ema"), the average is what is given.

    Raises:
        WeightsError: missing, unreadable, or a file that only an unsafe unpickler could read.
    """
    return state_dict_of(read_content(path), path)


def read_content(path: str | os.PathLike[str]) -> Any:
    """All that a weights file holds: tensors and plain values; what is in ``.safetensors`` is given under "model".

    Raises:
        WeightsError: missing, unreadable, or a file that only an unsafe unpickler could read.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"{path}: no such weights file")
    if path.suffix == ".safetensors":
        try:
            with safe_open(str(path), framework="pt") as file:
                return {"model": {name: file.get_tensor(name) for name in file.keys()}}  # noqa: SIM118 - not a mapping
        except (SafetensorError, OSError) as error:
            raise WeightsError(f"{path}: not readable as safetensors: {error}") from error
    if path.suffix == ".pkl":
        raise WeightsError(f"{path}: pickle files can run code and are not read; convert to .safetensors or .pth first")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds; all mean that the file is not plain tensors
        if "TorchScript" in str(error):
            raise WeightsError(
                f"{path}: a TorchScript archive, which is not read; save its state dict as .safetensors"
            ) from error
        raise WeightsError(f"{path}: not readable as plain tensors (weights_only): {str(error).splitlines()[0]}") from error


def state_dict_of(content: Any, path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """The state dict in what :func:`read_content` gave; ``path`` is for the error alone (see :func:`read_state_dict`)."""
    average = content.get("ema") if isinstance(content, Mapping) and "model" in content else None
    if isinstance(content, Mapping):
        content = content.get("model", content.get("state_dict", content))
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        raise WeightsError(f"{path}: holds no state dict (names to tensors), neither at its top nor under model or state_dict")
    return {**content, **average["weights"]} if isinstance(average, Mapping) and "weights" in average else dict(content)


def read_metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    """The metadata header of a safetensors file."""
    try:
        with safe_open(str(path), framework="pt") as file:
            return dict(file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path}: not readable as safetensors: {error}") from error


def write_state_dict(
    state: Mapping[str, Tensor], path: str | os.PathLike[str], metadata: Mapping[str, str] | None = None
) -> None:
    """Write tensors as safetensors, under a temporary name first.

    Raises:
        OutputError: the name does not end in ``.safetensors``, or the file cannot be written.
    """
    if Path(path).suffix != ".safetensors":
        raise OutputError(f"{path}: weights are written as safetensors; let the name end in .safetensors")
    with written_whole(path) as temporary:
        save_file({name: value.detach().contiguous() for name, value in state.items()}, temporary, dict(metadata or {}))


def load_weights(model: nn.Module, path: str | os.PathLike[str]) -> None:
    """Load a whole model's weights, every name and shape of which must fit.

    Half-precision weights are widened to the model's precision.

    Raises:
        WeightsError: the file is missing or unsafe, or does not fit; names what is missing, unknown or of another shape.
    """
    load_state_dict(model, read_state_dict(path), str(path))


def load_state_dict(module: nn.Module, state: Mapping[str, Tensor], origin: str) -> None:
    """``module.load_state_dict`` with an error that says what does not fit (see :func:`load_weights`)."""
    own = {name: value.shape for name, value in module.state_dict().items()}
    # Weights for training on another class list never stand in the way; the module itself leaves them out.
    misfit = [
        f"{name} is {tuple(value.shape)} in the file, {tuple(own[name])} in the model"
        for name, value in state.items()
        if name in own and value.shape != own[name] and "back_projection." not in name
    ]
    missing = [name for name in own if name not in state and "back_projection." not in name]
    unknown = [name for name in state if name not in own and "back_projection." not in name]
    parts = [_list("missing", missing), _list("not of this model", unknown), _list("of another shape", misfit)]
    if any(parts):
        raise WeightsError(f"{origin}: does not fit the configured model: {'; '.join(part for part in parts if part)}")
    kept = {name: value for name, value in state.items() if name in own}
    module.load_state_dict(kept, strict=True)


def _list(what: str, names: list[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{len(names)} {what} ({', '.join(names[:SHOWN])}{more})"


def load_vision_language(encoder: VisionLanguageEncoder, path: str | os.PathLike[str]) -> None:
    """Load an encoder's weights: CLIP's or SigLIP's under their published names, or those of one of our systems.

    Raises:
        WeightsError: as :func:`load_weights`; or OpenAI's own weights for an architecture with another activation.
    """
    state = read_state_dict(path)
    prefix = "vision_language."
    own = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
    # open_clip trains on several GPUs inside a wrapper that leaves its name in the file.
    published = {name.removeprefix("module."): value for name, value in state.items()}
    if isinstance(encoder.visual, ClipImage) and not encoder.visual.quick_gelu and "input_resolution" in published:
        raise WeightsError(
            f"{path}: OpenAI's weights, which are trained with quick GELU; let MODEL.VISION_LANGUAGE.NAME end in -quickgelu"
        )
    names = from_siglip_names if isinstance(encoder.visual, SiglipImage) else from_clip_names
    load_state_dict(encoder, own or split_fused_attention(names(published)), str(path))


def load_sam(encoder: GuidanceEncoder, path: str | os.PathLike[str]) -> None:
    """Load the image encoder of a published SAM checkpoint; its prompt encoder and mask decoder are not needed."""
    if not isinstance(encoder, SamGuidance):
        raise WeightsError(f"{path}: MODEL.GUIDANCE.WEIGHTS is read for SAM encoders; this one is {type(encoder).__name__}")
    state = read_state_dict(path)
    prefix = "image_encoder."
    image = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
    load_state_dict(encoder.encoder, image or state, str(path))


def split_fused_attention(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """``attn.in_proj_weight`` [3C, C] becomes ``attn.{q,k,v}_proj_weight``, as SplitAttention has them."""
    split: dict[str, Tensor] = {}
    for name, value in state.items():
        if name.endswith("attn.in_proj_weight"):
            stem = name.removesuffix("in_proj_weight")
            split.update({f"{stem}{part}_proj_weight": piece for part, piece in zip("qkv", value.chunk(3), strict=True)})
        else:
            split[name] = value
    return split


def from_clip_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """CLIP's names to :class:`VisionLanguageEncoder`'s: what is not the image tower or the scale is the text tower."""
    # The archives of OpenAI also hold three integers that describe the architecture; a bias is of a loss that none here has.
    skipped = ("input_resolution", "context_length", "vocab_size", "logit_bias")
    return {
        name if name.startswith("visual.") or name == "logit_scale" else f"text_tower.{name.removeprefix('text.')}": value
        for name, value in state.items()
        if name not in skipped
    }
