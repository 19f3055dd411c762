"""What a system reads that takes in class names and what is said of the whole scene."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ovrs.modeling.encoders.text_tokens import TextTokens


@dataclass(frozen=True)
class SceneText:
    """The words of a batch: those of N classes, and what is said of each image.

    Attributes:
        classes: [N, E].
        description: of one image each, or of all alike where it holds one; a row without tokens is of an image of which
            nothing is said. None where nothing is said of any.
    """

    classes: Tensor
    description: TextTokens | None = None
