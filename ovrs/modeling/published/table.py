"""All published weights that ovrs knows, by name."""

from __future__ import annotations

from ovrs.modeling.published.backbones import BACKBONES
from ovrs.modeling.published.clip import VISION_LANGUAGE
from ovrs.modeling.published.entry import PublishedWeights
from ovrs.modeling.published.guidance import GUIDANCE
from ovrs.modeling.published.systems import SYSTEMS

PUBLISHED: dict[str, PublishedWeights] = {entry.name: entry for entry in (*VISION_LANGUAGE, *GUIDANCE, *BACKBONES, *SYSTEMS)}
