"""Leaving automatic mixed precision where a sum needs single precision."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch


def without_autocast(device_type: str) -> AbstractContextManager[object]:
    """A context without autocast on a kind of device; where there is none already, traced graphs get no region for it."""
    # Some kinds of device, the meta device among them, know no mixed precision.
    mixed = torch.amp.is_autocast_available(device_type) and torch.is_autocast_enabled(device_type)
    return torch.autocast(device_type, enabled=False) if mixed else nullcontext()
