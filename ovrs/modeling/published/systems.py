"""Published checkpoints of whole systems."""

from __future__ import annotations

from ovrs.modeling.published.entry import PublishedWeights

SYSTEMS: tuple[PublishedWeights, ...] = ()
