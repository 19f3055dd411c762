"""Pairs of an optical image and SAR as one tensor: SAR behind the three colours, NaN where a modality is missing."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ovrs.errors import ConfigError, DataError

COLOURS = 3  # channels of an image that are optical; those behind them are SAR
MODALITIES = ("both", "optical", "sar")


def image_and_sar(entry: dict[str, Any], bands: int) -> Tensor:
    """``image`` [3, h, w] of an input, with its ``sar`` [S, h, w] behind it, or NaN where it has none.

    Args:
        entry: the input.
        bands: S, the polarisations that the model reads.

    Raises:
        DataError: SAR of other polarisations or of another size.
    """
    image = entry["image"].float()
    sar = entry.get("sar")
    if sar is None:
        sar = image.new_full((bands, *image.shape[-2:]), torch.nan)
    if sar.shape != (bands, *image.shape[-2:]):
        raise DataError(
            f"{entry.get('file_name', 'an image')} is {tuple(image.shape)}, its SAR {tuple(sar.shape)}; the model reads one of "
            f"{(bands, *image.shape[-2:])} (MODEL.TSMNET.SAR has pixel statistics of {bands})"
        )
    return torch.cat([image, sar.to(image)])


def chosen_modalities(images: Tensor, modalities: str) -> Tensor:
    """Images [B, 3 + S, H, W] with the other modality taken away.

    Raises:
        ConfigError: another choice than ``both``, ``optical`` and ``sar``.
    """
    if modalities not in MODALITIES:
        raise ConfigError(f"MODEL.TSMNET.MODALITIES is {modalities!r}; choose {', '.join(MODALITIES)}")
    if modalities == "optical":
        return images[:, :COLOURS]
    if modalities == "sar":
        return torch.cat([torch.full_like(images[:, :COLOURS], torch.nan), images[:, COLOURS:]], dim=1)
    return images


def drop_modalities(images: Tensor, share: float) -> Tensor:
    """Take away one of the two, either as likely, of a share of the images [B, 3 + S, H, W]; not of one that has but one."""
    if not share or images.shape[1] == COLOURS:
        return images
    parts = images.split([COLOURS, images.shape[1] - COLOURS], dim=1)
    missing = torch.stack([part.isnan().flatten(1).all(dim=1) for part in parts]).any(dim=0)
    drawn = torch.rand(len(images), device=images.device).masked_fill(missing, 1.0)
    lost = (drawn < share / 2, (drawn >= share / 2) & (drawn < share))
    kept = [part.masked_fill(gone[:, None, None, None], torch.nan) for part, gone in zip(parts, lost, strict=True)]
    return torch.cat(kept, dim=1)
