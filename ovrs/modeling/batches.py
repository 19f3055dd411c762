"""Images and labels of several sizes as one training batch."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ovrs.modeling.losses import IGNORED


def stack_batch(inputs: list[dict[str, Any]], multiple: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """A training batch: images [B, 3, H, W] and targets [B, H, W], padded to the largest (edges repeated, targets ignored)."""
    height = max(entry["image"].shape[-2] for entry in inputs)
    width = max(entry["image"].shape[-1] for entry in inputs)
    height, width = height + -height % multiple, width + -width % multiple
    images, targets = [], []
    for entry in inputs:
        image, target = entry["image"].to(device, torch.float32), entry["sem_seg"].to(device)
        space = (0, width - image.shape[-1], 0, height - image.shape[-2])
        images.append(nn.functional.pad(image[None], space, mode="replicate")[0] if any(space) else image)
        targets.append(nn.functional.pad(target, space, value=IGNORED))
    return torch.stack(images), torch.stack(targets)
