"""ovrs: open-vocabulary segmentation for remote sensing. An image and a vocabulary go in, a map of it comes out.

from ovrs import Segmenter
result = Segmenter.from_config("mini").segment("scene.tif", ["ship", "bridge"], output="out.tif")
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ovrs.inference.climate_options import ClimateOptions as ClimateOptions
    from ovrs.inference.reading import ReadOptions as ReadOptions
    from ovrs.inference.sar_options import SarOptions as SarOptions
    from ovrs.inference.segmentation import Segmentation as Segmentation
    from ovrs.inference.segmenter import Segmenter as Segmenter
    from ovrs.inference.stretch import StretchRule as StretchRule
    from ovrs.vocabulary import Background as Background
    from ovrs.vocabulary import Vocabulary as Vocabulary
    from ovrs.vocabulary import VocabularyClass as VocabularyClass

# A library that ovrs uses calls what torch is going to drop, when it is imported; whoever runs a command cannot mend that.
warnings.filterwarnings("ignore", r"`torch\.jit\.script` is deprecated", FutureWarning)

__version__ = "0.1.0"
__all__ = [
    "Background",
    "ClimateOptions",
    "ReadOptions",
    "SarOptions",
    "Segmentation",
    "Segmenter",
    "StretchRule",
    "Vocabulary",
    "VocabularyClass",
]

_HOMES = {
    "Background": "ovrs.vocabulary",
    "ClimateOptions": "ovrs.inference.climate_options",
    "ReadOptions": "ovrs.inference.reading",
    "SarOptions": "ovrs.inference.sar_options",
    "Segmentation": "ovrs.inference.segmentation",
    "Segmenter": "ovrs.inference.segmenter",
    "StretchRule": "ovrs.inference.stretch",
    "Vocabulary": "ovrs.vocabulary",
    "VocabularyClass": "ovrs.vocabulary",
}


def __getattr__(name: str) -> Any:
    """Import the public names when they are asked for: torch takes seconds, and ``--help`` should not."""
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
