"""VisionLanguageModel: what the systems share whose images and words come from one encoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ovrs.modeling.blocks.prompts import with_sentence
from ovrs.modeling.encoders.vision_language import VisionLanguageEncoder
from ovrs.modeling.segmentation_model import SegmentationModel
from ovrs.vocabulary import Vocabulary

# Sentences on classes whose embeddings are kept: 31 climate zones of a hundred classes, in a few megabytes.
KEPT_SENTENCES = 4096


class VisionLanguageModel(SegmentationModel[Tensor]):
    """A system whose words are embeddings [N, P, C] in the space of its images' dense features.

    In a training batch whose images have different things said of their classes they are [B, N, P, C].

    Args:
        vision_language: the encoder of images and words.
        reads_class_descriptions: what is said of a class (``Vocabulary.class_descriptions``) is one further prompt of all its
            words, averaged with the templates (:func:`~ovrs.modeling.blocks.prompts.with_sentence`). A class of which nothing
            is said is read by its templates alone.
        shared: the arguments of :class:`SegmentationModel`.
    """

    def __init__(
        self, *, vision_language: VisionLanguageEncoder, reads_class_descriptions: bool = False, **shared: Any
    ) -> None:
        super().__init__(**shared)
        self.vision_language = vision_language
        self.reads_class_descriptions = reads_class_descriptions
        self._sentences: dict[str, Tensor] = {}
        self._sentences_version: tuple[int, ...] = ()

    @property
    def size_divisor(self) -> int:
        """The patch of the encoder."""
        return self.vision_language.patch

    @property
    def text_tower(self) -> nn.Module:
        """The encoder's."""
        return self.vision_language.text_tower

    @property
    def dense_encoders(self) -> tuple[nn.Module, ...]:
        """The image tower, and the guidance encoder where there is one."""
        guidance = getattr(self, "guidance_encoder", None)
        return (self.vision_language.visual,) if guidance is None else (self.vision_language.visual, guidance)

    def encode_text(self, prompts: list[list[str]]) -> Tensor:
        """Embeddings [N, P, C]."""
        return self.vision_language.text(prompts).float()

    def text_of(self, vocabulary: Vocabulary) -> Tensor:
        """See the base class; with what is said of each class, if the system reads it and something is."""
        rows, said = vocabulary.rows, vocabulary.class_descriptions
        if not self.reads_class_descriptions or not said:
            return self.text_features(rows)
        sentences = [(*said, "")[owner] for owner in vocabulary.row_classes]  # nothing is said of the background
        # No word is empty, so the key is that of no other words.
        return self.remembered((*rows, "", *sentences), lambda: self._with_sentences(self.text_features(rows), [sentences])[0])

    def training_text(self, vocabulary: Vocabulary, inputs: list[dict[str, Any]]) -> Tensor:
        """See the base class; [B, N, P, C] where different things are said of the classes of different images."""
        text = super().training_text(vocabulary, inputs)
        if not self.reads_class_descriptions:
            return text
        nothing = ("",) * vocabulary.num_classes
        said = [self._vocabulary_of(entry).class_descriptions or nothing for entry in inputs]
        if not any(map(any, said)):
            return text
        one = all(sentences == said[0] for sentences in said)
        return self._with_sentences(text, said[:1])[0] if one else self._with_sentences(text, said)

    def _with_sentences(self, text: Tensor, said: Sequence[Sequence[str]]) -> Tensor:
        """Templates' embeddings [N, P, C] with the sentences of N classes in each of B places: [B, N, P, C]."""
        every = list(dict.fromkeys(sentence for place in said for sentence in place if sentence))
        number = {sentence: index for index, sentence in enumerate(every)}
        places = torch.tensor([[number.get(sentence, -1) for sentence in place] for place in said], device=text.device)
        embedded = self._embed_sentences(every)[places.clamp(min=0)]
        return with_sentence(text, embedded, places >= 0)

    def _embed_sentences(self, sentences: list[str]) -> Tensor:
        """Embeddings [S, C]; each sentence is read once per weight version, or each time where gradients flow into it.

        By themselves: beside a long sentence, short templates would be padded to its length.
        """
        if torch.is_grad_enabled() and self.text_trains:
            return self.encode_text([[sentence] for sentence in sentences])[:, 0]
        if (version := self.text_version()) != self._sentences_version or len(self._sentences) > KEPT_SENTENCES:
            self._sentences.clear()
            self._sentences_version = version
        if new := [sentence for sentence in sentences if sentence not in self._sentences]:
            with torch.no_grad():
                self._sentences.update(zip(new, self.encode_text([[sentence] for sentence in new])[:, 0], strict=True))
        return torch.stack([self._sentences[sentence] for sentence in sentences])

    def train(self, mode: bool = True) -> VisionLanguageModel:
        """See the base class."""
        self._sentences.clear()
        super().train(mode)
        return self

    def text_version(self) -> tuple[int, ...]:
        """See the base class."""
        return self.vision_language.text_version()

    @property
    def text_trains(self) -> bool:
        """See the base class."""
        return self.vision_language.text_trains
