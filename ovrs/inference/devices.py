"""Which device computes."""

from __future__ import annotations

import os

import torch

from ovrs.errors import ConfigError


def choose_device(wanted: str | None, configured: str = "") -> str:
    """The device to compute on: the wanted one, else the configured one if it works here, else the best there is.

    Raises:
        ConfigError: the wanted device does not exist here.
    """
    if wanted is not None:
        if not _works(wanted):
            raise ConfigError(f"device {wanted!r} cannot be used here; there is {', '.join(_devices())}")
        return wanted
    best = configured if _works(configured) else _devices()[0]
    # Processes that torchrun starts on one machine take a GPU each.
    own = f"cuda:{os.environ.get('LOCAL_RANK', '')}"
    return own if best == "cuda" and _works(own) else best


def _devices() -> list[str]:
    """Types of devices that work here, the fastest first."""
    return [name for name in ("cuda", "mps", "cpu") if _works(name)]


def _works(name: str) -> bool:
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError):
        return False
    return True
