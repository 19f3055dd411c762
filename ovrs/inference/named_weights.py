"""Which weights file a configuration or a command names."""

from __future__ import annotations

from pathlib import Path

import ovrs
from ovrs.errors import WeightsError
from ovrs.modeling.published.configured import refuse_published

# What to give as weights to run a model as it was initialised, on purpose: its maps mean nothing.
RANDOM_WEIGHTS = "random"


def find_weights(weights: str) -> str:
    """The path of a weights file; a relative one is also looked for beside the folder of configurations.

    Raises:
        WeightsError: none is named, or the file does not exist.
    """
    if not weights:
        raise WeightsError(
            "MODEL.WEIGHTS names no file, and encoders alone are no trained system; give one (--weights), or "
            f"{RANDOM_WEIGHTS!r} to try the path"
        )
    beside = Path(ovrs.__file__).parent.parent / weights
    for candidate in (Path(weights), beside):
        if weights == RANDOM_WEIGHTS or candidate.is_file():
            return str(candidate)
    refuse_published(weights)
    raise WeightsError(f"{weights}: no such weights file")
