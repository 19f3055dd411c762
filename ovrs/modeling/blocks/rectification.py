"""Multi-modal feature rectification: two modalities of one place correct each other (TSMNet eq. 2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ovrs.errors import ConfigError

ORDERS = ("sequential", "parallel")
SHARE = 0.5  # of each of the two corrections


class FeatureRectification(nn.Module):
    """MFRM: each map takes from the other, weighed channel by channel and place by place, as in CMX (Zhang et al. 2023).

    x~ = x + (a_c(y) + a_s(y)) y / 2 and the same for y; a_c in 0..1 is read off the means and maxima of both maps, a_s in 0..1
    off both maps at that place. A map of zeros stands for a modality that is not there: it leaves the other as it is.

    Args:
        dim: channels of both maps.
        order: ``sequential`` reads a_s off what the channels have already corrected (the authors' code), ``parallel`` off the
            maps as they came (CMX).

    Raises:
        ConfigError: another order.
    """

    def __init__(self, *, dim: int, order: str = "sequential") -> None:
        super().__init__()
        if order not in ORDERS:
            raise ConfigError(f"the order of rectification is {order!r}; choose {' or '.join(ORDERS)}")
        self.sequential = order == "sequential"
        self.by_channel = nn.Sequential(nn.Linear(4 * dim, 4 * dim), nn.ReLU(), nn.Linear(4 * dim, 2 * dim))
        self.by_place = nn.Sequential(nn.Conv2d(2 * dim, dim, 1), nn.ReLU(), nn.Conv2d(dim, 2, 1))

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """x and y -> x~ and y~, all [B, C, H, W]."""
        pair = torch.cat([x, y], dim=1)
        pooled = torch.cat([pair.mean(dim=(2, 3)), pair.amax(dim=(2, 3))], dim=1)
        of_x, of_y = self.by_channel(pooled).sigmoid()[:, :, None, None].chunk(2, dim=1)
        found_x, found_y = x + SHARE * of_y * y, y + SHARE * of_x * x
        read = torch.cat([found_x, found_y], dim=1) if self.sequential else pair
        of_x, of_y = self.by_place(read).sigmoid().chunk(2, dim=1)
        return found_x + SHARE * of_y * y, found_y + SHARE * of_x * x
