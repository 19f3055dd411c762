"""What a segmenter asks of a model, and how a system of ``ovrs.modeling`` answers it."""

from __future__ import annotations

import hashlib
from typing import Protocol

import torch
from torch import Tensor

from ovrs.inference.prompt_policy import MOST_TOKENS, PromptPolicy
from ovrs.inference.tiles import Tiling
from ovrs.modeling.segmentation_model import SegmentationModel
from ovrs.modeling.windows import resize
from ovrs.vocabulary import Vocabulary


class TileModel(Protocol):
    """What a :class:`~ovrs.inference.segmenter.Segmenter` asks of a model.

    One that was trained on whole images squeezed to a tile says so by an attribute ``squeezes``, one that reads sentences,
    with 0.5 as the border of their scores, by ``reads_sentences``, one that reads what is said of the whole scene by
    ``reads_descriptions``, and one that reads SAR by ``reads_sar``, how many polarisations by ``sar_bands``, and on which
    scale it learnt from them by ``sar_scale`` (``db`` or ``8bit``). One whose descriptions say what the place looks like where
    an image was taken says so by ``reads_places``, how long they may be by ``most_tokens``, and may count their tokens by a
    method ``count_tokens(text)``; one that reads a sentence on each class there by ``reads_class_descriptions``. What either
    was told in training is its ``prompt_policy``. Without these none is assumed.
    """

    tiling: Tiling
    batch: int

    def score(self, tiles: Tensor, vocabulary: Vocabulary) -> Tensor:
        """Scores in 0..1 [B, names, h, w] on the CPU of tiles, or what there is of a small image.

        Args:
            tiles: RGB uint8 [B, 3, ., .]; with a SAR partner of S polarisations, which only a model that reads it is given,
                float32 [B, 3 + S, ., .], NaN where something is missing: the colours too where SAR is to be read alone.
        """
        ...


class SystemTiles:
    """A system of ``ovrs.modeling`` that is built, loaded and in evaluation mode, as a :class:`TileModel`."""

    def __init__(
        self, model: SegmentationModel, batch: int | None = None, policy: PromptPolicy | None = None, settings: str = ""
    ) -> None:
        """``batch``: tiles read together; None takes one on a CPU and eight elsewhere. ``policy``: what the model was told of
        places in training; None is a prompt about what is asked for, from the bank that comes along. ``settings``: what scores
        depend on beside weights; interrupted work is gone on with where both are the same.
        """
        patch = model.size_divisor
        side = model.fixed_size or max(model.inference.tile // patch, 1) * patch
        self.model = model
        self.settings = settings
        self.squeezes = bool(model.fixed_size)
        self.reads_sentences = model.reads_sentences
        self.reads_descriptions = model.reads_descriptions
        self.reads_places = model.reads_places
        self.prompt_policy = policy or PromptPolicy()
        self.reads_class_descriptions = model.reads_class_descriptions
        self.count_tokens = getattr(model, "count_tokens", None)  # by its own tokenizer, where it offers that
        self.most_tokens = int(getattr(model, "most_tokens", 0)) or MOST_TOKENS
        self.reads_sar = model.reads_sar
        self.sar_scale = str(getattr(model, "sar_scale", ""))
        self.sar_bands = int(getattr(model, "sar_bands", 0))  # polarisations; 0 where a system does not say
        self.tiling = Tiling(side, model.inference.overlap, patch, model.scores_per_patch)
        self.batch = batch or (1 if model.device.type == "cpu" else 8)

    def score(self, tiles: Tensor, vocabulary: Vocabulary) -> Tensor:
        """See the base class."""
        with torch.inference_mode():
            scores = self.model.scores(tiles.float(), vocabulary).sigmoid()
            if vocabulary.background.policy == "threshold":
                scores = scores[:, : vocabulary.num_classes]
            scores = scores.float().cpu()
            if not self.squeezes:
                return scores
            # What there is of a small image was squeezed to the size of a tile, and so were its scores.
            cells = [-(-side // self.tiling.patch) * self.tiling.per_patch for side in tiles.shape[-2:]]
            return resize(scores, (cells[0], cells[1]))

    def identity(self) -> str:
        """sha256 of settings and weights."""
        digest = hashlib.sha256(self.settings.encode())
        for name, value in sorted(self.model.state_dict().items()):
            digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
            digest.update(
                value.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes() if value.dim() else str(value).encode()
            )
        return digest.hexdigest()
