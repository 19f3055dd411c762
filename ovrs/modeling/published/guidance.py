"""Published guidance encoders."""

from __future__ import annotations

from ovrs.modeling.published.entry import PublishedWeights

GUIDANCE: tuple[PublishedWeights, ...] = ()
