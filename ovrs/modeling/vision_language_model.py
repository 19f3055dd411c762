"""VisionLanguageModel: what the systems share whose images and words come from one encoder."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from ovrs.modeling.encoders.vision_language import VisionLanguageEncoder
from ovrs.modeling.segmentation_model import SegmentationModel


class VisionLanguageModel(SegmentationModel[Tensor]):
    """A system whose words are embeddings [N, P, C] in the space of its images' dense features.

    Args:
        vision_language: the encoder of images and words.
        shared: the arguments of :class:`SegmentationModel`.
    """

    def __init__(self, *, vision_language: VisionLanguageEncoder, **shared: Any) -> None:
        super().__init__(**shared)
        self.vision_language = vision_language

    @property
    def size_divisor(self) -> int:
        """The patch of the encoder."""
        return self.vision_language.patch

    @property
    def text_tower(self) -> nn.Module:
        """The encoder's."""
        return self.vision_language.text_tower

    def encode_text(self, prompts: list[list[str]]) -> Tensor:
        """Embeddings [N, P, C]."""
        return self.vision_language.text(prompts).float()

    def text_version(self) -> tuple[int, ...]:
        """See the base class."""
        return self.vision_language.text_version()

    @property
    def text_trains(self) -> bool:
        """See the base class."""
        return self.vision_language.text_trains
