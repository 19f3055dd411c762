"""Names of SigLIP's published weights (open_clip's files) and ours."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

POOL = "visual.trunk.attn_pool."


def from_siglip_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """open_clip's names to those of a :class:`VisionLanguageEncoder` whose attention is still fused, as CLIP's files have it.

    The bias of SigLIP's sigmoid loss is left out: it moves all scores alike, and no loss here reads it.
    """
    named = {_renamed(name): value for name, value in state.items() if name != "logit_bias"}
    for kind in ("weight", "bias"):
        query, rest = (named.pop(f"{POOL}{part}.{kind}", None) for part in ("q", "kv"))
        if query is not None and rest is not None:
            named[f"{POOL}attn.in_proj_{kind}"] = torch.cat([query, rest])
    return named


def _renamed(name: str) -> str:
    if name.startswith("text."):
        return f"text_tower.{name.removeprefix('text.')}"
    name = re.sub(r"\.attn\.qkv\.(weight|bias)$", r".attn.in_proj_\1", name)
    name = re.sub(r"(blocks\.\d+\.attn\.)proj\.", r"\1out_proj.", name)
    return name.replace(f"{POOL}proj.", f"{POOL}attn.out_proj.")
