"""SegmentationModel: images and a vocabulary go in, scores of that vocabulary come out. The only base class of the systems."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, ClassVar, Generic, TypeVar

import torch
from torch import Tensor, nn

from ovrs.errors import ConfigError
from ovrs.modeling.batches import stack_batch
from ovrs.modeling.encoders.rounding import round_weights
from ovrs.modeling.name_scores import rows_to_names
from ovrs.modeling.precision import without_autocast
from ovrs.modeling.windows import InferenceSettings, catseg_scores, pad_to_multiple, resize, sliding_scores
from ovrs.vocabulary import Vocabulary

PRECISIONS: dict[str, torch.dtype | None] = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}
KEPT_VOCABULARIES = 8
# Logit of a row that was left out of the aggregation (CAT-Seg's value): its score is 0.
LEFT_OUT = -100.0
# What a system reads of words: one embedding a prompt, the tokens of a sentence, or both.
Words = TypeVar("Words")


class PixelNormalization(nn.Module):
    """(image - mean) / std per channel, in units of 0..255; the buffers follow the device and stay out of checkpoints."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """[..., 3, H, W] -> the same."""
        return (image - self.mean) / self.std


class SegmentationModel(nn.Module, ABC, Generic[Words]):
    """What every system shares: padding and its undoing, text features, synonyms, windows, precision.

    A system implements :meth:`logits` and :meth:`losses`, and says how it reads words; those with a vision-language encoder
    do the latter alike (:class:`~ovrs.modeling.vision_language_model.VisionLanguageModel`).

    Args:
        templates: prompts, "{}" where a name goes; their number is P.
        vocabulary: used for inputs that name none.
        precision: fp32, bf16 or fp16 autocast of the forward pass.
        fixed_size: side to which every view is squeezed (CAT-Seg); 0 keeps sizes.
        class_chunk: classes computed at a time where classes do not meet, at most.
        inference: how images are read in evaluation.
    """

    scores_per_patch = 4  # side of the square of scores that one patch becomes
    # What a pass consists of, for ovrs.modeling.stages: the methods of each stage by their path, where * is every part.
    stages: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    reads_sentences = False  # whether it learns from sentences, with 0.5 as the border of what they say
    reads_descriptions = False  # whether what is said of the whole scene (Vocabulary.description) changes its answer
    reads_class_descriptions = False  # the same of what is said of each class (Vocabulary.class_descriptions)
    reads_places = False  # whether descriptions say what the place looks like where an image was taken (ovrs.climate)
    reads_sar = False  # whether images may have SAR behind their three colours, as further channels

    def __init__(
        self,
        *,
        templates: Sequence[str],
        vocabulary: Vocabulary | None = None,
        precision: str = "fp32",
        fixed_size: int = 0,
        class_chunk: int = 20,
        inference: InferenceSettings | None = None,
    ) -> None:
        super().__init__()
        if precision not in PRECISIONS:
            raise ConfigError(f"MODEL.PRECISION is {precision!r}; choose {', '.join(PRECISIONS)}")
        if not templates or any("{}" not in template for template in templates):
            raise ConfigError(f"MODEL.PROMPTS: every template needs a '{{}}' for the class name, got {list(templates)}")
        self.templates = tuple(templates)
        self.vocabulary = vocabulary
        self.precision = precision
        self.fixed_size = fixed_size
        self.class_chunk = class_chunk
        self.inference = inference or InferenceSettings()
        self._text: OrderedDict[tuple[str, ...], Words] = OrderedDict()
        self._text_version: tuple[int, ...] = ()

    # ------------------------------------------------------- what a system is

    @abstractmethod
    def logits(self, images: Tensor, text: Words) -> Tensor:
        """Scores before the sigmoid [B, N, h, w] of images [B, C, H, W], H and W multiples of :attr:`size_divisor`.

        An image is what :meth:`image_of` makes of an input: for most systems RGB in 0..255. In a square of that many pixels
        lie :attr:`scores_per_patch` scores on either axis.
        """

    @abstractmethod
    def losses(self, images: Tensor, text: Words, target: Tensor) -> dict[str, Tensor]:
        """Losses of a training batch; ``target`` [B, H, W] holds class indices or 255."""

    @property
    @abstractmethod
    def size_divisor(self) -> int:
        """Sides of what :meth:`logits` sees are multiples of this."""

    @property
    @abstractmethod
    def text_tower(self) -> nn.Module:
        """What reads words."""

    @abstractmethod
    def encode_text(self, prompts: list[list[str]]) -> Words:
        """The words of N names, each in P prompts."""

    @abstractmethod
    def text_version(self) -> tuple[int, ...]:
        """Changes whenever a weight that :meth:`encode_text` depends on may have."""

    @property
    @abstractmethod
    def text_trains(self) -> bool:
        """Whether any of those weights learns."""

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(self.parameters()).device

    @property
    def dense_encoders(self) -> tuple[nn.Module, ...]:
        """Encoders of images that run under the autocast of :attr:`precision`, all of them, and nowhere else."""
        return ()

    def round_encoders(self) -> None:
        """For a model that no longer learns: keep its encoders' weights in the precision that they are multiplied in."""
        if (dtype := PRECISIONS[self.precision]) is not None:
            for encoder in self.dense_encoders:
                round_weights(encoder, dtype)

    # ------------------------------------------------------------------- text

    def text_features(self, words: Sequence[str]) -> Words:
        """What :meth:`encode_text` makes of every word in every prompt; computed once per list of words and weight version."""
        prompts = [[template.format(word) for template in self.templates] for word in words]
        return self.remembered(tuple(words), lambda: self.encode_text(prompts))

    def text_of(self, vocabulary: Vocabulary) -> Words:
        """What the system reads of a vocabulary: by default its words alone."""
        return self.text_features(vocabulary.rows)

    def training_text(self, vocabulary: Vocabulary, inputs: list[dict[str, Any]]) -> Words:
        """The same for a training batch: names alone, since synonyms are drawn by the data loader, one a batch."""
        return self.text_features([cls.name for cls in vocabulary.classes])

    def remembered(self, key: tuple[str, ...], encode: Callable[[], Words]) -> Words:
        """What ``encode`` gives, computed once per key and weight version; each time where gradients flow into the words."""
        if (version := self.text_version()) != self._text_version:
            self._text.clear()
            self._text_version = version
        learning = torch.is_grad_enabled() and self.text_trains
        if learning or key not in self._text:
            with torch.set_grad_enabled(learning):
                features = encode()
            if learning:
                return features
            self._text[key] = features
            while len(self._text) > KEPT_VOCABULARIES:
                self._text.popitem(last=False)
        self._text.move_to_end(key)
        return self._text[key]

    def train(self, mode: bool = True) -> SegmentationModel[Words]:
        """Switch training on or off; kept text features go, since not every optimizer leaves a trace of its steps."""
        self._text.clear()
        return super().train(mode)

    # --------------------------------------------------- Detectron2's contract

    def forward(self, inputs: list[dict[str, Any]]) -> dict[str, Tensor] | list[dict[str, Tensor]]:
        """Detectron2's contract: losses in training; in evaluation one ``{"sem_seg": [N, H, W]}`` of scores in 0..1 an image.

        Each input holds ``image`` [3, h, w] RGB 0..255; in training ``sem_seg`` [h, w]; optionally ``vocabulary``, or a
        sentence as ``expression``, which is a vocabulary of one; ``height`` and ``width`` of the answer; and, for systems that
        read them, ``sar`` [S, h, w] and a ``description``.
        """
        if not self.training:
            return [{"sem_seg": self._answer(entry)} for entry in inputs]
        return self.training_losses(inputs)

    def training_losses(self, inputs: list[dict[str, Any]]) -> dict[str, Tensor]:
        """The losses of a batch that shares one vocabulary; what is said of each class may be another for every image."""
        vocabulary = self._vocabulary_of(inputs[0])
        if not all(_same_words(self._vocabulary_of(entry), vocabulary) for entry in inputs):
            raise ValueError("the images of one training batch must share their vocabulary")
        # What is squeezed to a fixed size needs no padding, and padding would train as if it had been seen.
        entries = [{"image": self.image_of(entry), "sem_seg": entry["sem_seg"]} for entry in inputs]
        images, targets = stack_batch(entries, 1 if self.fixed_size else self.size_divisor, self.device)
        with self.autocast():
            text = self.training_text(vocabulary.with_class_descriptions(()), inputs)
            return self.losses(self._squeeze(images), text, targets)

    def image_of(self, entry: dict[str, Any]) -> Tensor:
        """The pixels [C, h, w] that the system reads of an input; by default its ``image``."""
        image: Tensor = entry["image"]
        return image

    @torch.no_grad()
    def _answer(self, entry: dict[str, Any]) -> Tensor:
        image, vocabulary = self.image_of(entry), self._vocabulary_of(entry)
        if self.reads_descriptions and entry.get("description"):
            vocabulary = vocabulary.with_description(entry["description"])
        scores = self.score_map(image, vocabulary)[None]
        height, width = image.shape[-2:]
        full = self._full_size(image)
        if full != (height, width):  # the scores cover padding too: cut it off at full size
            scores = resize(scores, full)[..., :height, :width]
        return resize(scores, (entry.get("height", height), entry.get("width", width)))[0]

    def _vocabulary_of(self, entry: dict[str, Any]) -> Vocabulary:
        if "expression" in entry:
            return Vocabulary.from_names([entry["expression"]])
        vocabulary = entry.get("vocabulary", self.vocabulary)
        if vocabulary is None:
            raise ValueError("no vocabulary: give one with the input, or to the model")
        return vocabulary

    def autocast(self) -> AbstractContextManager[object]:
        """The autocast context of the configured precision, on whatever device the model is."""
        dtype = PRECISIONS[self.precision]
        return without_autocast(self.device.type) if dtype is None else torch.autocast(self.device.type, dtype=dtype)

    # ----------------------------------------------------------------- scores

    def scores(self, images: Tensor, vocabulary: Vocabulary) -> Tensor:
        """Logits [B, len(vocabulary), h, w] of images [B, 3, H, W] in 0..255 read in one pass.

        Args:
            images: sides that are no multiple of the patch are padded; the scores then cover the padded image, h and w
                being four a patch.
            vocabulary: the score of a class is that of its best word. A background given by a threshold is a channel of
                that constant.
        """
        with self.autocast():
            text = self.text_of(vocabulary)
        return self.scores_of(images.to(self.device, torch.float32), text, vocabulary)

    def scores_of(self, images: Tensor, text: Words, vocabulary: Vocabulary) -> Tensor:
        """As :meth:`scores`, of words that are embedded already: ``text`` is :meth:`text_of` of ``vocabulary``."""
        images = pad_to_multiple(self._squeeze(images), self.size_divisor)
        with self.autocast():
            logits = self.logits(images, text).float()
        return rows_to_names(logits, vocabulary)

    @torch.no_grad()
    def score_map(self, image: Tensor, vocabulary: Vocabulary) -> Tensor:
        """Scores in 0..1 [N, h, w] of one image [3, H, W] as ``TEST.INFERENCE`` says, before they are enlarged."""

        def read(view: Tensor) -> Tensor:
            return self.scores(view[None], vocabulary)[0]

        image = image.to(self.device, torch.float32)
        if self.inference.mode == "catseg":
            return catseg_scores(read, image)
        if self.fixed_size or self.inference.mode == "whole":
            return read(image).sigmoid_()
        return sliding_scores(read, image, self.inference, patch=self.size_divisor, per_patch=self.scores_per_patch)

    def _squeeze(self, images: Tensor) -> Tensor:
        """[B, 3, H, W] at the fixed size, if there is one."""
        return resize(images, (self.fixed_size, self.fixed_size)) if self.fixed_size else images

    def _full_size(self, image: Tensor) -> tuple[int, int]:
        """The size in pixels that a score map of ``image`` covers: padded, unless the image was squeezed as it is."""
        height, width = image.shape[-2:]
        if self.fixed_size or self.inference.mode == "catseg":
            return height, width
        return height + -height % self.size_divisor, width + -width % self.size_divisor


def _same_words(one: Vocabulary, other: Vocabulary) -> bool:
    """Whether two vocabularies differ in nothing but what is said of each class."""
    if one is other:
        return True
    return (one.classes, one.background, one.synonyms, one.description) == (
        other.classes,
        other.background,
        other.synonyms,
        other.description,
    )
