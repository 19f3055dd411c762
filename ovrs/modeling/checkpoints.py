"""Loading a system, or its vision-language encoder, from a weights file (guidance: :mod:`ovrs.modeling.pretrained`)."""

from __future__ import annotations

import os

from torch import nn

from ovrs.modeling.encoders.published_names import vision_language_state
from ovrs.modeling.encoders.vision_language import VisionLanguageEncoder
from ovrs.modeling.fitting import load_state_dict
from ovrs.modeling.weights_files import read_state_dict


def load_weights(model: nn.Module, path: str | os.PathLike[str]) -> None:
    """Load a whole model's weights, every name and shape of which must fit.

    Half-precision weights are widened to the model's precision.

    Raises:
        WeightsError: the file is missing or unsafe, or does not fit; names what is missing, unknown or of another shape.
    """
    load_state_dict(model, read_state_dict(path), str(path))


def load_vision_language(encoder: VisionLanguageEncoder, path: str | os.PathLike[str]) -> None:
    """Load an encoder's weights: CLIP's or SigLIP's under their published names, or those of one of our systems.

    Raises:
        WeightsError: as :func:`load_weights`; or OpenAI's own weights for an architecture with another activation.
    """
    state = read_state_dict(path)
    published = not any(name.startswith("vision_language.") for name in state)
    load_state_dict(encoder, vision_language_state(encoder, state, str(path)), str(path), published=published)
