"""The state-dict layouts of the public CAT-Seg and OVRS, name by name, in both directions (ViT-B/16 and ViT-L/14 alike)."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from ovrs.errors import WeightsError

_HEAD = "sem_seg_head.predictor."
_TRANSFORMER = _HEAD + "transformer."

# (theirs, ours) prefixes; \1 stands for a number. Stages and projections count from 1 there and from 0 here where two stand.
_COMMON: tuple[tuple[str, str], ...] = (
    (_HEAD + "clip_model.visual.", "vision_language.visual."),
    (_HEAD + "clip_model.logit_scale", "vision_language.logit_scale"),
    (_HEAD + "clip_model.", "vision_language.text_tower."),
    ("upsample1.", "decoder_guidance.0.upsample."),
    ("upsample2.", "decoder_guidance.1.upsample."),
    (_TRANSFORMER + "conv1.", "cost_embedding.conv."),
    (_TRANSFORMER + "guidance_projection.0.", "spatial_guidance.conv."),
    (_TRANSFORMER + "text_guidance_projection.0.", "text_guidance.0."),
    (_TRANSFORMER + "decoder_guidance_projection.0.0.", "decoder_guidance.0.conv."),
    (_TRANSFORMER + "decoder_guidance_projection.1.0.", "decoder_guidance.1.conv."),
    (_TRANSFORMER + "layers.#.swin_block.", "refinement.#.spatial."),
    (_TRANSFORMER + "layers.#.attention.attention.", "refinement.#.classes."),
    (_TRANSFORMER + "layers.#.attention.MLP.", "refinement.#.classes.mlp."),
    (_TRANSFORMER + "layers.#.attention.", "refinement.#.classes."),
    (_TRANSFORMER + "decoder1.conv.double_conv.", "decoder.stages.0.conv."),
    (_TRANSFORMER + "decoder2.conv.double_conv.", "decoder.stages.1.conv."),
    (_TRANSFORMER + "decoder1.up.", "decoder.stages.0.up."),
    (_TRANSFORMER + "decoder2.up.", "decoder.stages.1.up."),
    (_TRANSFORMER + "head.", "decoder.head."),
)
_ATTENTION_AWARE: tuple[tuple[str, str], ...] = tuple(
    (f"{_TRANSFORMER}decoder{number}.{theirs}.", f"decoder.stages.{number - 1}.{ours}.")
    for number in (1, 2)
    for theirs, ours in (("cconv", "channel_weight"), ("sconv", "spatial_weight"))
)
LAYOUTS: dict[str, tuple[tuple[str, str], ...]] = {"catseg": _COMMON, "ovrs": _ATTENTION_AWARE + _COMMON}

# Buffers that the public code stores though they follow from its sizes: a grid of 24 x 24, windows of 12, shifted by 6.
_DERIVED = (".attn_mask",)
GRID, WINDOW, SHIFT = 24, 12, 6


def from_layout(state: Mapping[str, Tensor], layout: str) -> dict[str, Tensor]:
    """A published state dict under our names.

    Raises:
        WeightsError: the layout is unknown, or a name does not belong to it.
    """
    table = _table(layout)
    return {_rename(name, table, layout): value for name, value in state.items() if not name.endswith(_DERIVED)}


def to_layout(state: Mapping[str, Tensor], layout: str) -> dict[str, Tensor]:
    """Our state dict under the published names, with the attention masks that they store.

    Back-projection has no place there and is left out: only training needs it.

    Raises:
        WeightsError: the layout is unknown, or has no place for a tensor: of a guidance encoder, for example.
    """
    # Where two of their prefixes become one of ours (the class block), the parameter's name tells which it was.
    inner = re.compile(r"^refinement\.(\d+)\.classes\.([qkv])\.")
    table = tuple((ours, theirs) for theirs, ours in _table(layout) if ".attention.attention." not in theirs)
    renamed: dict[str, Tensor] = {}
    for name, value in state.items():
        if name.startswith("back_projection."):
            continue
        found = inner.match(name)
        if found:
            theirs = f"{_TRANSFORMER}layers.{found[1]}.attention.attention.{name[found.end() - 2 :]}"
        else:
            theirs = _rename(name, table, layout)
        renamed[theirs] = value
    blocks = [
        name.removesuffix("block_2.attn.q.weight") for name in renamed if name.endswith("swin_block.block_2.attn.q.weight")
    ]
    return {**renamed, **{f"{block}block_2.attn_mask": shifted_mask() for block in blocks}}


def shifted_mask() -> Tensor:
    """The mask of shifted windows as the public code stores it [windows, tokens, tokens]: 0, or -100 between strangers."""
    # After the roll an axis ends with what came from its other side; all before the last window was neighbours anyway.
    region = torch.zeros(GRID, dtype=torch.long)
    region[-WINDOW:-SHIFT], region[-SHIFT:] = 1, 2
    number = (region[:, None] * 3 + region).unfold(0, WINDOW, WINDOW).unfold(1, WINDOW, WINDOW).reshape(-1, WINDOW * WINDOW)
    return torch.where(number[:, :, None] == number[:, None, :], 0.0, -100.0)


def differences(source: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> list[str]:
    """Names whose tensors are not the same in both, bit for bit, kind included."""
    both = [name for name in source if name in other]
    differ = [name for name in both if source[name].dtype != other[name].dtype or not _same_bits(source[name], other[name])]
    return sorted({*differ, *(source.keys() ^ other.keys())})


def _same_bits(one: Tensor, other: Tensor) -> bool:
    if one.shape != other.shape:
        return False
    return torch.equal(one.contiguous().view(-1).view(torch.uint8), other.contiguous().view(-1).view(torch.uint8))


def _table(layout: str) -> tuple[tuple[str, str], ...]:
    if layout not in LAYOUTS:
        raise WeightsError(f"layout {layout!r} is unknown; choose {', '.join(LAYOUTS)}")
    return LAYOUTS[layout]


def _rename(name: str, table: tuple[tuple[str, str], ...], layout: str) -> str:
    for source, target in table:
        found = re.match(re.escape(source).replace(r"\#", r"(\d+)"), name)
        if found:
            number = found[1] if found.groups() else ""
            return target.replace("#", number) + name[found.end() :]
    raise WeightsError(f"{name}: not a name of the {layout} layout")
