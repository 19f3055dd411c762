"""Loading the parts of a system from weights files: which names of a file are which of a part."""

from __future__ import annotations

import os

from torch import nn

from ovrs.errors import WeightsError
from ovrs.modeling.encoders.guidance import GuidanceEncoder, SamGuidance
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


def load_sam(encoder: GuidanceEncoder, path: str | os.PathLike[str]) -> None:
    """Load the image encoder of a published SAM checkpoint; its prompt encoder and mask decoder are not needed."""
    if not isinstance(encoder, SamGuidance):
        raise WeightsError(f"{path}: MODEL.GUIDANCE.WEIGHTS is read for SAM encoders; this one is {type(encoder).__name__}")
    state = read_state_dict(path)
    prefix = "image_encoder."
    image = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
    load_state_dict(encoder.encoder, image or state, str(path), published=True)
